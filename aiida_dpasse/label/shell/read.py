"""Read labels that a program of the user wrote as extended XYZ."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from ase.io import iread
from numpy.typing import NDArray

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.label.label_outputs import label_outputs
from aiida_dpasse.label.shell.parameters import ANSWER
from aiida_dpasse.label.shell.plan import NAME
from aiida_dpasse.labels.admission import Labels, limits_of
from aiida_dpasse.labels.records import Unreached, settle, sound_frames

if TYPE_CHECKING:
    from ase import Atoms

#: Largest distance in A between the input and output position of an atom.
MOVED = 1e-3


@calcfunction
def read_shell_labels(
    frames: FramesData, parameters: orm.Dict, **inputs: dict[str, orm.SinglefileData]
) -> dict[str, orm.Data]:
    """Read and check the labels of a batch computed by a program of the user.

    A frame is identified by its ``frame_id`` or, if the program removed that, by its position in the file. With
    ``converged=F``, or a ``reason``, in the comment line the frame has failed.

    :param frames: frames of the batch.
    :param parameters: `ShellLabelParameters`.
    :param inputs: namespace ``files`` with the file ``labels.xyz`` by the id of the run, if the program wrote it: ASE's
        extended XYZ with ``energy`` (eV), ``forces`` (eV/A), and ``stress`` (eV/A^3) or ``virial`` (eV, nine numbers).
    :returns: ``account`` and, if any frame is accepted, ``frames`` with energies (eV), forces (eV/A) and virials (eV).
    """
    sets = frames.sets()
    limits = limits_of(parameters.get_dict(), frames.elements)
    asked = {
        str(identity): (item, frame)
        for item in sets
        for frame, identity in enumerate(item.ids)
        if frame in set(sound_frames(item, limits))
    }
    missing = f'the program did not write {ANSWER}'
    outcomes: dict[str, Labels | str] = {}
    for answer in inputs.get('files', {}).values():
        images, missing = _read(answer.get_content())
        outcomes |= _match(images, asked)
    admitted, account = settle(sets, outcomes, limits, Unreached(missing))
    return label_outputs(admitted, account)


def _read(text: str) -> tuple[list[Atoms], str]:
    """Return the readable images, and the reason for frames that are not among them."""
    images: list[Atoms] = []
    try:
        for atoms in iread(io.StringIO(text), format='extxyz'):
            images.append(atoms)
    except Exception as error:  # ASE's reader raises exceptions of any type for a broken file
        return images, f'labels.xyz cannot be read after {len(images)} frames ({error})'
    return images, 'it is not in labels.xyz'


def _match(images: Sequence[Atoms], asked: Mapping[str, tuple[FrameSet, int]]) -> dict[str, Labels | str]:
    """Return the outcome of each frame in the file."""
    names = list(asked)
    outcomes: dict[str, Labels | str] = {}
    for place, atoms in enumerate(images):
        name = str(atoms.info.get(NAME, names[place] if place < len(names) else ''))
        if name in asked:
            outcomes[name] = _labels(atoms, *asked[name])
    return outcomes


def _labels(atoms: Atoms, item: FrameSet, frame: int) -> Labels | str:
    results = {} if atoms.calc is None else atoms.calc.results
    if 'reason' in atoms.info or not atoms.info.get('converged', True):
        return f'the program reports: {atoms.info.get("reason", "not converged")}'
    if 'energy' not in results or 'forces' not in results:
        return 'its energy or forces are missing in labels.xyz'
    order = _order(atoms, item, frame)
    if order is None:
        return 'its atoms or positions in labels.xyz differ from the input'
    virial = None
    if 'stress' in results:
        virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
    elif 'virial' in atoms.info:
        virial = np.asarray(atoms.info['virial'], dtype=float).reshape(3, 3)
    return Labels(float(results['energy']), np.asarray(results['forces'], dtype=float)[order], virial)


def _order(atoms: Atoms, item: FrameSet, frame: int) -> NDArray[np.int64] | None:
    """Return indices that sort the output atoms, in any order and periodic image, into the order of the frame.

    None if the atoms differ from those of the frame.
    """
    fractional = (item.positions[frame][:, None] - atoms.positions[None]) @ np.linalg.inv(item.cells[frame])
    fractional -= np.rint(fractional)
    distances = np.linalg.norm(fractional @ item.cells[frame], axis=-1)
    order = np.argmin(distances, axis=1)
    same = sorted(order.tolist()) == list(range(len(atoms)))
    same = same and distances.min(axis=1).max() < MOVED
    same = same and tuple(np.asarray(atoms.get_chemical_symbols())[order]) == item.symbols
    return order if same else None
