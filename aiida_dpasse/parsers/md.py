"""`MDParser`: frames, thermodynamics and deviation of one segment, also of an interrupted or exploded run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from numpy.typing import NDArray

from aiida_dpasse.calculations.md import COUNT_FILE, symbols_of
from aiida_dpasse.calculations.md_stops import Stop, find_stop
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.lammps.datafile import lammps_frame
from aiida_dpasse.lammps.deviation import deviation_at, parse_deviation
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.lammps.log import Log, parse_log
from aiida_dpasse.lammps.script import DEVIATION_FILE, LAST_FILE, SAMPLES_FILE, total_steps
from aiida_dpasse.lammps.summary import summarize_run
from aiida_dpasse.lammps.watch import KEPT
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.parsers.base import JobParser

Array = NDArray[np.float64]


class MDParser(JobParser):
    """Parser of `MDCalculation`."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach the outputs of the segment and return its exit code.

        A segment that completed all its steps counts as successful, whatever exit code the scheduler reports.
        """
        code = self.read(**kwargs)
        return self.full_disk() if code is not None and code.status and self.disk_full() else code

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the outputs of the segment and return its exit code."""
        self.folder = Path(kwargs['retrieved_temporary_folder'])
        self.parameters = MDParameters.model_validate(self.node.inputs.parameters.get_dict()).model_dump()
        self.structure: orm.StructureData = self.node.inputs.structure
        _, self.rotation = lammps_frame(self.structure.cell)
        log = self._log()
        if log is None or (log.first_step is None and log.error is None):
            return self.scheduler_exit_code() or self.exit_codes.ERROR_OUTFILE_MISSING
        if len(log.thermo.get('step', ())):
            self.out('thermo', array_data(log.thermo))
        deviation = self._deviation()
        if len(deviation['step']):
            self.out('deviation', array_data(deviation))
        frames, dropped, unreadable = self._frames(deviation)
        if frames is not None:
            self.out('frames', FramesData.from_sets([frames]))
        end, last = self._last()
        if last is not None:
            self.out('structure', last)
        middle, total = total_steps(self.parameters)
        step = max([done for done in (log.last_step, end) if done is not None], default=0)
        stop = find_stop(log, deviation, self.parameters, step)
        results = self._results(log, step, middle, total, frames, dropped)
        self.out('results', orm.Dict(results | self._verdict(stop, log, step, total)))
        whole = step >= total and last is not None
        if stop is None and not whole and (ended := self.scheduler_exit_code()) is not None:
            return ended
        if (damage := self._missing(log, middle, frames, dropped - unreadable, deviation)) is not None:
            what, found, due = damage
            return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(what=what, found=found, due=due)
        if stop is not None:
            kind, at, reason = stop
            return getattr(self.exit_codes, kind.label).format(step=at, reason=reason)
        if log.error is not None:
            return self.exit_codes.ERROR_LAMMPS_FAILED.format(reason=self._reason(log))
        return ExitCode() if whole else self.exit_codes.ERROR_INTERRUPTED.format(step=step, steps=total)

    def _missing(
        self, log: Log, start: int, frames: FrameSet | None, left_out: int, deviation: dict[str, Array]
    ) -> tuple[str, int, int] | None:
        """Return the file that lacks frames, their number and the expected number, or None if none is missing.

        :param left_out: number of samples that were written completely but are unusable (lost atoms or invalid
            numbers).
        """
        due = self._due(log, start, self.parameters['sample_interval'])
        found = set() if frames is None else set(frames.steps.tolist())
        missing = len(due - found) - left_out
        if missing > 0:
            return 'samples', len(due) - missing, len(due)
        if len(self.node.inputs.potentials) > 1:
            missing = len(due & found - set(deviation['step'].astype(int).tolist()))
            if missing > 0:
                return 'deviation', len(due) - missing, len(due)
        due = self._due(log, start, self.parameters['trajectory_interval'])
        path = self.folder / COUNT_FILE
        count = path.read_text().strip() if path.is_file() else ''
        return ('trajectory', int(count), len(due)) if count.isdigit() and int(count) < len(due) else None

    @staticmethod
    def _due(log: Log, start: int, interval: int | None) -> set[int]:
        """Return the steps of the frames that were written before the last row of the log."""
        if not interval or log.first_step is None or log.first_step < start or log.last_step is None:
            return set()
        begun = [loop.first_step for loop in log.loops if loop.first_step is not None]
        first = max(start, *begun[:1], log.first_step if not begun else start)
        return set(range(-(-first // interval) * interval, log.last_step + 1, interval))

    @staticmethod
    def _verdict(stop: tuple[Stop, int, str] | None, log: Log, step: int, total: int) -> dict[str, Any]:
        if stop is not None:
            kind, at, reason = stop
            return {'verdict': kind.verdict, 'stopped_at': at, 'reason': reason}
        verdict = KEPT if log.error is None and step >= total else 'incomplete'
        return {'verdict': verdict, 'stopped_at': None, 'reason': None}

    def _reason(self, log: Log) -> str:
        if log.first_step is None and 'restart_folder' in self.node.inputs:
            return f'{log.error}, before its first step: is there a restart file in `restart_folder`?'
        return str(log.error)

    def _log(self) -> Log | None:
        name = self.node.get_option('output_filename')
        if name not in self.retrieved.base.repository.list_object_names():
            return None
        content = self.retrieved.base.repository.get_object_content(name, mode='rb')
        return parse_log(content.decode(errors='replace'))

    def _deviation(self) -> dict[str, Array]:
        path = self.folder / DEVIATION_FILE
        return parse_deviation(path.read_text(errors='replace') if path.is_file() else '')

    def _frames(self, deviation: dict[str, Array]) -> tuple[FrameSet | None, int, int]:
        """Return the frames, the number of dropped frames, and the number of truncated frames among the latter."""
        reader = DumpReader([self.folder / SAMPLES_FILE])
        atoms = len(self.structure.sites)
        everything = list(reader)
        # Atoms may be lost before the first frame that a continued run samples.
        found = [frame for frame in everything if len(frame[2]) == atoms]
        dropped = reader.dropped + len(everything) - len(found)
        if not found:
            return None, dropped, reader.unreadable
        steps = np.array([step for step, _, _ in found])
        frames = FrameSet.sort_atoms(
            symbols_of(self.structure),
            # Rotated back to the orientation of the input structure; the corner of the box remains the origin.
            np.array([cell @ self.rotation.T for _, cell, _ in found]),
            np.array([positions @ self.rotation.T for _, _, positions in found]),
            steps=steps,
            deviations=deviation_at(deviation, steps),
        )
        return frames, dropped, reader.unreadable

    def _last(self) -> tuple[int | None, orm.StructureData | None]:
        for step, cell, positions in DumpReader([self.folder / LAST_FILE]):
            if len(positions) != len(self.structure.sites):
                return step, None
            structure = self.structure.clone()
            structure.reset_cell((cell @ self.rotation.T).tolist())
            structure.reset_sites_positions((positions @ self.rotation.T).tolist())
            return step, structure
        return None, None

    def _results(
        self, log: Log, step: int, middle: int, total: int, frames: FrameSet | None, dropped: int
    ) -> dict[str, Any]:
        masses = {kind.name: kind.mass for kind in self.structure.kinds}
        mass = sum(masses[site.kind_name] for site in self.structure.sites)
        final = self.parameters['final_temperature']
        return {
            'step': step,
            'steps': total,
            'production_start': middle,
            'atoms': len(self.structure.sites),
            'frames': 0 if frames is None else len(frames),
            'frames_dropped': dropped,
            'timed_out': log.timed_out,
            'error': log.error,
            'atom_steps': log.atom_steps,
            'loop_time_s': log.loop_time_s,
            'wall_time_s': log.wall_time_s,
            'katom_steps_per_s': log.katom_steps_per_s,
            'loops': [asdict(loop) for loop in log.loops],
            'mass_u': mass,
            'timestep_fs': self.parameters['timestep'],
            'final_temperature_K': final,
            **summarize_run(
                log.thermo, middle, len(self.structure.sites), mass, self.parameters['timestep'], final is not None
            ),
        }


def array_data(table: dict[str, Array]) -> orm.ArrayData:
    """Return a table as one node.

    :param table: columns by name.
    """
    node = orm.ArrayData()
    for name, values in table.items():
        node.set_array(name, values)
    return node
