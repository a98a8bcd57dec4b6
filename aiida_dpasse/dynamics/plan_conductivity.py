"""Plan the inputs of all children of `ConductivityWorkChain`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.dynamics.plan_watch import selection
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed

#: Size label of the larger cells of `finite_size`.
LARGE = 'large'
#: Label of the input `potential` among those of the committee.
FIRST = 'potential'


def drivers(committee: Iterable[str]) -> list[str]:
    """Return the labels of the potentials that drive the runs of a temperature in turn.

    :param committee: labels of the committee.
    """
    return [FIRST, *sorted(committee)]


def check_committee(committee: Iterable[str], structures: int, replicas: int) -> str | None:
    """Return an error message if the runs of a temperature are fewer than the potentials that drive them in turn.

    :param committee: labels of the committee.
    :param structures: number of structures.
    :param replicas: number of replicas of each structure and temperature.
    """
    labels = drivers(committee)
    if FIRST in labels[1:]:
        return f'committee: the label `{FIRST}` is that of the other input: choose another label.'
    if structures * replicas < len(labels):
        fewest = -(-len(labels) // structures)
        return (
            f'parameters: `replicas` ({replicas}) should be at least {fewest}: {len(labels)} potentials drive the runs.'
        )
    return None


@calcfunction
def plan_conductivity(parameters: orm.Dict, **inputs: dict[str, orm.Data]) -> dict[str, Any]:
    """Derive the runs of a conductivity and the parameters of each child.

    Every structure is simulated ``replicas`` times at every temperature. With `finite_size`, runs of size 'large'
    repeat one temperature in a larger cell. With a committee, the potentials drive the runs of a temperature in turn,
    structure by structure: a single replica of each structure has a potential of its own if there are as many.

    :param parameters: `ConductivityParameters`.
    :param inputs: namespaces ``structures`` and, optionally, ``committee`` (the further potentials), by label.
    :returns: ``runs``, the record of each run by id; ``md``, the parameters of each run by the same id; ``transport``,
        the parameters of all analyses; ``supercell`` and, with `finite_size`, ``supercell_large``; with a committee,
        ``selection``, the settings of the candidate selection, and ``samples``, those of the frames that are drawn.
    """
    settings = ConductivityParameters.model_validate(parameters.get_dict())
    structures, larger = sorted(inputs['structures']), settings.finite_size
    replicas: dict[str | None, int] = {None: settings.replicas}
    cells: list[Any] = list(product(structures, settings.temperatures, range(settings.replicas), [None]))
    if larger is not None:
        replicas[LARGE] = larger.replicas or settings.replicas
        cells += product(structures, [larger.temperature], range(replicas[LARGE]), [LARGE])
    labels = drivers(inputs.get('committee', {}))
    several = len(labels) > 1

    def turn(structure: str, replica: int, size: str | None) -> int:
        return structures.index(structure) * replicas[size] + replica

    runs = Runs(
        Run(
            'md',
            number,
            structure=label,
            potential=labels[turn(label, replica, size) % len(labels)] if several else None,
            temperature=temperature,
            replica=replica,
            size=size,
        )
        for number, (label, temperature, replica, size) in enumerate(cells)
    )
    trust = settings.trust.model_dump() if settings.trust is not None and several else None
    md = watched(settings.md, settings.transport.ion, trust)
    dynamics = {
        key: complete(md, temperature=run.temperature, seed=derive_seed(settings.seed, 'md', run.number))
        for key, run in runs.items()
    }
    any_run = next(iter(dynamics.values()))
    plan: dict[str, Any] = {
        'runs': orm.Dict(runs.to_dict()),
        'md': {key: orm.Dict(value) for key, value in dynamics.items()},
        'transport': orm.Dict(settings.analysis(any_run)),
        'supercell': orm.Dict({'supercell': settings.supercell}),
    }
    if larger is not None:
        plan['supercell_large'] = orm.Dict({'supercell': larger.supercell})
    if trust is not None:
        chosen = selection(trust, {**any_run, 'seed': derive_seed(settings.seed, 'candidates')})
        plan['selection'] = orm.Dict(chosen)
        drawn = {'number': settings.samples, 'choice': 'random', 'seed': derive_seed(settings.seed, 'samples')}
        plan['samples'] = orm.Dict(drawn)
    return plan


def complete(md: dict[str, Any], **each: Any) -> dict[str, Any]:
    """Return the parameters of `dpasse.md` for one run, with all defaults.

    :param md: parameters that all runs share.
    :param each: parameters that differ between runs.
    """
    return MDParameters.model_validate({**md, **each}).model_dump()


def watched(md: dict[str, Any], ion: str, trust: dict[str, Any] | None) -> dict[str, Any]:
    """Return the parameters of a dynamics with the mobile ion and the committee limit in `watch`.

    :param md: parameters of `dpasse.md`.
    :param ion: symbol of the mobile ion.
    :param trust: limits of the committee deviation and the sampling ``interval`` in steps, or None.
    """
    watch = {'mobile': [ion], **md['watch']} if md.get('watch') else None
    if trust is None:
        return {**md, 'watch': watch}
    limits = {name: value for name, value in trust.items() if name != 'interval'}
    watch = {**(watch or {'mobile': [ion]}), 'deviation': limits}
    return {'sample_interval': trust['interval'], **md, 'watch': watch}
