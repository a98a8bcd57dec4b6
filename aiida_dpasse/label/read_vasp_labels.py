"""Read the labels of the frames of a batch from VASP's files."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.label_outputs import label_outputs
from aiida_dpasse.label.plan_vasp_label import vasp_jobs
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.answers import settle_jobs
from aiida_dpasse.structures.calculated import CalculatedFrame
from aiida_dpasse.vasp.incar import temperature_at
from aiida_dpasse.vasp.output import read_frames

OUTCAR, VASPRUN = 'OUTCAR', 'vasprun.xml'


@calcfunction
def read_vasp_labels(
    frames: FramesData, parameters: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]
) -> dict[str, orm.Data]:
    """Return ``account`` and, if any frame is admitted, ``frames``.

    A frame whose electrons did not converge, by VASP's own statement, has failed; so have the steps that dynamics did
    not come to.

    :param runs: the record of each job, which says what frames it is of.
    :param inputs: by the ids of `vasp_jobs`, what the last calculation of each job left, ``retrieved``; and
        ``started``, the directories of all calculations, whose number the account gives as ``calculations``: aiida-vasp
        starts several for one job.
    """
    sets, retrieved = frames.sets(), inputs.get('retrieved', {})
    limits = limits_of(parameters.get_dict(), frames.elements)
    admitted, account = settle_jobs(
        sets, vasp_jobs(sets, limits), lambda run: _read(retrieved.get(run.id)), 'VASP', limits, temperature_at
    )
    return label_outputs(admitted, {**account, 'calculations': len(inputs.get('started', {}))})


def _read(folder: orm.Data | None) -> tuple[list[CalculatedFrame], str]:
    """The frames that a job left, and why there are no more."""
    if not isinstance(folder, orm.FolderData):
        return [], 'VASP left no files'
    status = '' if folder.creator is None else _status(folder.creator)
    repository = folder.base.repository
    names = repository.list_object_names()
    if missing := [name for name in (OUTCAR, VASPRUN) if name not in names]:
        return [], f'VASP left no {missing[0]}{status}'
    try:
        with repository.as_path(VASPRUN) as path:
            done = read_frames(path, repository.get_object_content(OUTCAR))
    except ValueError as error:
        return [], f'its files cannot be read: {error}'
    return done, f'VASP ended before this frame{status}'


def _status(job: orm.CalcJobNode) -> str:
    if job.exit_status is None:  # aiida-vasp's parser met what it does not expect, or somebody killed the job
        return f' (the job was {job.process_state.value})'
    return f' (exit code {job.exit_status}: {job.exit_message})'
