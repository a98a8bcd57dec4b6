"""Read the labels of a batch from the output of VASP."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.label_outputs import label_outputs
from aiida_dpasse.label.vasp.plan import vasp_jobs
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
    """Read and check the labels of a batch computed with VASP.

    A frame whose electrons did not converge, according to VASP, has failed; so have the steps that dynamics did not
    reach.

    :param frames: frames of the batch.
    :param parameters: `VaspLabelParameters`.
    :param runs: record of each job; it keeps the frames of the jobs in the provenance.
    :param inputs: namespaces ``retrieved``, the retrieved folder of the last calculation of each job by the id of the
        run (see `vasp_jobs`), and ``started``, the remote folders of all calculations. Their number is ``calculations``
        in the account, as aiida-vasp may run several for one job.
    :returns: ``account`` and, if any frame is accepted, ``frames`` with energies (eV), forces (eV/A) and virials (eV).
    """
    sets, retrieved = frames.sets(), inputs.get('retrieved', {})
    limits = limits_of(parameters.get_dict(), frames.elements)
    admitted, account = settle_jobs(
        sets, vasp_jobs(sets, limits), lambda run: _read(retrieved.get(run.id)), 'VASP', limits, temperature_at
    )
    return label_outputs(admitted, {**account, 'calculations': len(inputs.get('started', {}))})


def _read(folder: orm.Data | None) -> tuple[list[CalculatedFrame], str]:
    """Return the frames that a job computed, and why it computed no more."""
    if not isinstance(folder, orm.FolderData):
        return [], 'VASP wrote no files'
    status = '' if folder.creator is None else _status(folder.creator)
    repository = folder.base.repository
    names = repository.list_object_names()
    if missing := [name for name in (OUTCAR, VASPRUN) if name not in names]:
        return [], f'VASP did not write {missing[0]}{status}'
    try:
        with repository.as_path(VASPRUN) as path:
            done = read_frames(path, repository.get_object_content(OUTCAR))
    except ValueError as error:
        return [], f'its files cannot be read: {error}'
    return done, f'VASP ended before this frame{status}'


def _status(job: orm.CalcJobNode) -> str:
    if job.exit_status is None:  # the parser of aiida-vasp excepted, or the job was killed
        return f' (the job was {job.process_state.value})'
    return f' (exit code {job.exit_status}: {job.exit_message})'
