"""How a job uses the cores of a program: in several processes, or in threads.

`aiida-dpasse setup --threads N` measures for each backend which is faster, and stores the result as an extra of the
code. The choice is made where a job is made, because one LAMMPS runs models of both backends. What the user sets in the
scheduler options has priority.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_dpasse.data.engine import Potential
from aiida_dpasse.deepmd.engine import BACKENDS, thread_lines

#: Extra of a code: ``cores``, ``ways`` by backend (``processes`` and ``threads``), and the rows of the measurement.
WAYS_EXTRA = 'dpasse_ways'


def backend_of(potentials: Mapping[str, Potential]) -> str:
    """Return the backend of the potentials of a job; of several the first in `BACKENDS`, which takes most of the time.

    :param potentials: potentials by name.
    """
    found = {potential.framework for potential in potentials.values()}
    return next((name for name in BACKENDS if name in found), '')


def options_in_its_way(options: Mapping[str, Any], code: orm.AbstractCode, backend: str) -> dict[str, Any]:
    """Return scheduler options with the processes and threads that were measured to be fastest for a code.

    Options with `resources` or `withmpi` are returned as they are: the user has chosen, and the code has one thread.

    :param options: scheduler options of a job.
    :param code: code of the job.
    :param backend: 'pytorch' or 'tensorflow', that of the model.
    """
    way = ((code.base.extras.get(WAYS_EXTRA, None) or {}).get('ways') or {}).get(backend)
    if way is None or way['processes'] * way['threads'] == 1 or {'resources', 'withmpi'} & options.keys():
        return dict(options)
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': way['processes']}
    if way['processes'] > 1:
        return {**options, 'resources': resources, 'withmpi': True}
    lines = [*thread_lines(way['threads']), *filter(None, [options.get('prepend_text')])]
    resources['num_cores_per_mpiproc'] = way['threads']
    return {**options, 'resources': resources, 'prepend_text': '\n'.join(lines)}
