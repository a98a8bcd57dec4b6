"""`AseMDParser`: outputs of molecular dynamics with an ASE calculator, under the names that `dpasse.md` uses."""

from __future__ import annotations

import json
import zipfile
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from numpy.typing import NDArray

from aiida_dpasse.calculations.driver import OUTPUT, RESULT, check_manifest
from aiida_dpasse.calculations.md_stops import STOPS, what_was_found
from aiida_dpasse.deepmd.arrays import read_archive
from aiida_dpasse.drivers.trajectory import LAST, THERMO
from aiida_dpasse.lammps.datafile import lammps_frame
from aiida_dpasse.lammps.script import total_steps
from aiida_dpasse.lammps.speed import katom_steps_per_s
from aiida_dpasse.lammps.summary import summarize_run
from aiida_dpasse.lammps.watch import KEPT
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.parsers.base import JobParser
from aiida_dpasse.parsers.md import array_data


class AseMDParser(JobParser):
    """Parser of `AseMDCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the table, the last configuration and the results; the exit code gives the exceeded limit."""
        try:
            result = json.loads(self.retrieved.base.repository.get_object_content(RESULT))
            if result['error'] is not None:
                return self.exit_codes.ERROR_CALCULATOR.format(reason=result['error'])
            if damage := check_manifest(self.retrieved):
                return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(reason=damage)
            thermo, last = self._arrays(THERMO), self._arrays(LAST)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as exception:
            return self.exit_codes.ERROR_NO_RESULT.format(reason=str(exception))
        structure = self.node.inputs.structure
        parameters = MDParameters.model_validate(self.node.inputs.parameters.get_dict()).model_dump()
        middle, total = total_steps(parameters)
        masses = {kind.name: kind.mass for kind in structure.kinds}
        atoms, mass = len(structure.sites), sum(masses[site.kind_name] for site in structure.sites)
        end = {'verdict': KEPT, 'stopped_at': None, 'reason': None}
        stop = None if result['stopped'] is None else STOPS[result['stopped'][0]]
        if stop is not None:
            name, step, value = result['stopped']
            end = {'verdict': stop.verdict, 'stopped_at': step, 'reason': what_was_found(name, value, parameters)}
        seconds, steps = result['loop_time_s'], result['step']
        wall, processor = result.get('production_s', (0.0, 0.0))
        loop = {'first_step': middle, 'steps': max(0, steps - middle), 'atoms': atoms, 'seconds': wall}
        loop |= {'processes': 1, 'threads': None, 'cpu_percent': 100 * processor / wall if wall > 0 else None}
        self.out('thermo', array_data(thermo))
        moved = structure.clone()
        moved.reset_sites_positions((last['positions'] @ lammps_frame(structure.cell)[1].T).tolist())
        self.out('structure', moved)
        self.out(
            'results',
            orm.Dict(
                {
                    **end,
                    'step': steps,
                    'steps': total,
                    'production_start': middle,
                    'atoms': atoms,
                    'mass_u': mass,
                    'timestep_fs': parameters['timestep'],
                    'loop_time_s': seconds,
                    'loops': [loop],
                    'atom_steps': atoms * steps,
                    'katom_steps_per_s': katom_steps_per_s(atoms * steps, seconds),
                    **summarize_run(thermo, middle, atoms, mass, parameters['timestep']),
                }
            ),
        )
        if stop is not None:
            return getattr(self.exit_codes, stop.label).format(step=end['stopped_at'], reason=end['reason'])
        return None

    def _arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        content = self.retrieved.base.repository.get_object_content(f'{OUTPUT}/{name}', mode='rb')
        return read_archive(content, name)
