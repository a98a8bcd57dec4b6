"""The runs of a conductivity and their analyses: cells, dynamics in legs, and statistics beside the trajectories."""

from __future__ import annotations

import re
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process

from aiida_dpasse.calculations.md_ase import AseMDCalculation
from aiida_dpasse.calculations.md_stops import BY_LABEL
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.functions.make_supercell import make_supercell
from aiida_dpasse.functions.plan_conductivity import LARGE
from aiida_dpasse.functions.select_candidates import select_candidates
from aiida_dpasse.functions.union_frames import union_frames
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.md import MDBaseWorkChain

#: Outputs of each analysis that tell the transport.
NAMES = ('statistics', 'results')
#: Exit codes of a dynamics that crossed one of its limits.
STOPPED = tuple(stop.status for stop in BY_LABEL.values())


def run_of(key: str) -> str:
    """Return the run that ``key`` is, or a leg of.

    >>> run_of('md_cell_00_01'), run_of('md_cell_00_01_leg_2')
    ('md_cell_00_01', 'md_cell_00_01')
    """
    return re.sub(r'_leg_\d+$', '', key)


def trajectories_of(node: orm.ProcessNode) -> dict[str, orm.RemoteData]:
    """Return the working directories of a run; a single job has its own."""
    if isinstance(node, orm.CalcJobNode):
        return {'segment_00': node.outputs.remote_folder}
    return dict(node.outputs.trajectories)


class ConductivityRuns(DpasseWorkChain):
    """Children of `dpasse.conductivity`, by the run ``md_<label>_<t>_<r>`` that they belong to."""

    def make_cells(self) -> ExitCode | None:
        """Make the supercell of each structure, and the larger one that it is compared with."""
        self.ctx.supercells = {}
        sizes = {'': 'supercell'} | ({f'_{LARGE}': 'supercell_large'} if 'supercell_large' in self.ctx.plan else {})
        for suffix, size in sizes.items():
            formulas = {}
            for label, structure in self.inputs.structures.items():
                metadata = {'call_link_label': f'supercell_{label}{suffix}'}
                try:
                    cell = make_supercell(structure, self.ctx.plan[size], metadata=metadata)
                except ValueError as exception:
                    return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
                self.ctx.supercells[f'{label}{suffix}'] = cell
                formulas[label] = cell.get_formula()
                if suffix and len(cell.sites) <= len(self.ctx.supercells[label].sites):
                    reason = f'`finite_size.supercell` makes {formulas[label]} of {label}: give a larger cell.'
                    return self.exit_codes.ERROR_STRUCTURES.format(reason=reason)
            if len(set(formulas.values())) > 1:
                found = ', '.join(f'{label}: {formula}' for label, formula in sorted(formulas.items()))
                reason = f'Configurations that are pooled should have one supercell formula, these have {found}.'
                return self.exit_codes.ERROR_STRUCTURES.format(reason=reason)
        return None

    def label_of(self, run: str) -> str:
        """Return the cell's label in ``md_<label>_<t>_<r>``."""
        return run.removeprefix('md_').rsplit('_', 2)[0]

    def length(self, run: str) -> orm.Dict:
        """Return the parameters of ``run`` as long as it is."""
        return self.ctx.lengths.get(run, self.ctx.plan[run])

    def make_run(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the dynamics ``md_<label>_<t>_<r>``, or a leg of it that goes on where the last one ended."""
        run = run_of(key)
        if 'calculator' in self.inputs:
            return AseMDCalculation, {
                'code': self.inputs.codes.python,
                'structure': self.ctx.supercells[self.label_of(run)],
                'calculator': self.inputs.calculator,
                'parameters': self.length(run),
                'metadata': {'options': self.options_for('md')},
            }
        # The first by name drives.
        committee = {f'potential_{label}': node for label, node in self.inputs.get('committee', {}).items()}
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.supercells[self.label_of(run)],
            'potentials': {'potential': self.inputs.potential, **committee},
            'parameters': self.length(run),
            'metadata': {'options': self.options_for('md')},
        }
        if run in self.ctx.legs:
            md['restart_folder'] = self.ctx.done[self.ctx.legs[run][-1]].outputs.remote_folder
        return MDBaseWorkChain, {'md': md, **self.restart(key)}

    def make_analysis(self, key: str) -> tuple[type[TransportCalculation], dict[str, Any]]:
        """Return the analysis of all legs of one run so far."""
        run = run_of(key.replace('transport_', 'md_', 1))
        folders = {
            f'leg_{index:02d}_{name}': folder
            for index, leg in enumerate(self.ctx.legs[run])
            for name, folder in trajectories_of(self.ctx.done[leg]).items()
        }
        inputs = {
            'code': self.inputs.codes.python,
            'trajectories': folders,
            'structure': self.ctx.supercells[self.label_of(run)],
            'parameters': self.ctx.plan['transport'],
            'metadata': {'options': self.options_for('transport')},
        }
        return TransportCalculation, inputs

    def analyses(self) -> dict[str, orm.ProcessNode]:
        """Return the last analysis of each run that ended well, by ``transport_<label>_<t>_<r>``.

        One that fell behind the others of its temperature is left out: it was sampled more densely.
        """
        last: dict[str, orm.ProcessNode] = {}
        most: dict[str, int] = {}
        for run, legs in self.ctx.legs.items():
            most[run.split('_')[-2]] = max(len(legs), most.get(run.split('_')[-2], 0))
        for run, legs in self.ctx.legs.items():
            if len(legs) < most[run.split('_')[-2]]:
                continue
            keys = [leg.replace('md_', 'transport_', 1) for leg in legs]
            good = [self.ctx.done[key] for key in keys if key in self.ctx.done and self.ctx.done[key].is_finished_ok]
            if good:
                last[run.replace('md_', 'transport_', 1)] = good[-1]
        return last

    def dynamics(self) -> dict[str, orm.Dict]:
        """Return what each run tells of itself: of one that was stopped its end, of others how they were equilibrated,
        by ``dynamics_<label>_<t>_<r>``."""
        keys = {run: legs[0] for run, legs in self.ctx.legs.items()} | self.ctx.stopped
        return {run.replace('md_', 'dynamics_', 1): self.ctx.done[key].outputs.results for run, key in keys.items()}

    def choose_candidates(self) -> dict[str, orm.Data]:
        """Return the frames of all runs that left the committee's trust, and how its trust is spread."""
        if 'selection' not in self.ctx.plan:
            return {}
        legs: dict[str, dict[str, orm.Data]] = {}
        for key, node in sorted(self.ctx.done.items()):
            if key.startswith('md_') and 'frames' in node.outputs:
                legs.setdefault(run_of(key).removeprefix('md_'), {})[key] = node.outputs.frames
        frames = {
            run: union_frames(**parts, metadata={'call_link_label': f'frames_{run}'})
            if len(parts) > 1
            else next(iter(parts.values()))
            for run, parts in legs.items()
        }
        found = select_candidates(self.ctx.plan['selection'], **frames, metadata={'call_link_label': 'select'})
        return {'trust': found['statistics'], **{k: node for k, node in found.items() if k == 'candidates'}}
