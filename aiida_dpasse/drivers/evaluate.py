"""Driver: evaluate potentials on the same frames, for predictions, errors and committee deviation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.assessment.errors import Prediction, committee_deviation, error_table
from aiida_dpasse.deepmd.dataset import read_dataset
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.job import FRAMES, OUTPUT, read_job, write_result

#: Atoms that a potential evaluates in one call, which limits the memory.
ATOMS_PER_CALL = 8192
PREDICTIONS = 'predictions.npz'
DEVIATION = 'deviation.npz'
DESCRIPTORS = 'descriptors.npz'


def calls(potential: Any, item: FrameSet) -> Iterator[tuple[int, tuple[Any, Any, list[int]]]]:
    """Yield the arguments of calls to a `DeepPot`, for a few frames at a time.

    :param potential: a `deepmd.infer.DeepPot`.
    :param item: set of frames.
    :returns: number of frames, and coordinates (n, 3 natoms) in A, cells (n, 9) in A and atom types of each call.
    """
    type_map = list(potential.get_type_map())
    types = [type_map.index(symbol) for symbol in item.symbols]
    chunk = max(1, ATOMS_PER_CALL // item.natoms)
    for start in range(0, len(item), chunk):
        positions, cells = item.positions[start : start + chunk], item.cells[start : start + chunk]
        yield len(cells), (positions.reshape(len(cells), -1), cells.reshape(-1, 9), types)


def predict(potential: Any, item: FrameSet) -> Prediction:
    """Return the predictions of a potential for a set of frames.

    :param potential: a `deepmd.infer.DeepPot`.
    :param item: set of n frames.
    :returns: energies (n,) in eV, forces (n, natoms, 3) in eV/A and virials (n, 3, 3) in eV.
    """
    parts: list[list[NDArray[np.float64]]] = [[], [], []]
    for count, arguments in calls(potential, item):
        for part, values in zip(parts, potential.eval(*arguments)[:3], strict=True):
            part.append(np.asarray(values, dtype=float).reshape(count, -1))
    energies, forces, virials = (np.concatenate(part) for part in parts)
    n = len(item)
    return Prediction(energies.reshape(n), forces.reshape(n, item.natoms, 3), virials.reshape(n, 3, 3))


def describe(potential: Any, item: FrameSet) -> NDArray[np.float64]:
    """Return the descriptor of each frame, averaged over its atoms.

    :param potential: a `deepmd.infer.DeepPot`.
    :param item: set of n frames.
    :returns: array (n, m).
    """
    return np.concatenate(
        [
            np.asarray(potential.eval_descriptor(*arguments), dtype=float).reshape(count, item.natoms, -1).mean(1)
            for count, arguments in calls(potential, item)
        ]
    )


def load(path: str, head: str | None) -> Any:
    """Load a potential.

    :param path: model file.
    :param head: head of a multi-task model, or None.
    """
    from deepmd.infer import DeepPot

    return DeepPot(path) if head is None else DeepPot(path, head=head)


def prediction_arrays(predictions: dict[str, list[Prediction]]) -> dict[str, NDArray[np.float64]]:
    """Concatenate the predictions of all sets.

    :param predictions: predictions of each set, by the label of the potential.
    :returns: for each label ``<label>_energy`` (n,), ``<label>_force`` (atoms of all frames, 3) and ``<label>_virial``
        (n, 3, 3), in eV and eV/A.
    """
    arrays = {}
    for label, parts in predictions.items():
        arrays[f'{label}_energy'] = np.concatenate([part.energies for part in parts])
        arrays[f'{label}_force'] = np.concatenate([part.forces.reshape(-1, 3) for part in parts])
        arrays[f'{label}_virial'] = np.concatenate([part.virials for part in parts])
    return arrays


def _save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def main(argv: list[str]) -> int:
    """Evaluate the potentials of ``job.json``; the first unusable one is named in the result and ends the job."""
    job = read_job(argv)
    sets = read_dataset(FRAMES)
    predictions: dict[str, list[Prediction]] = {}
    descriptors: dict[str, NDArray[np.float64]] = {}
    for label, potential in sorted(job['potentials'].items()):
        try:
            loaded = load(potential['file'], potential['head'])
            predictions[label] = [predict(loaded, item) for item in sets]
            if job['descriptors']:
                descriptors[label] = np.concatenate([describe(loaded, item) for item in sets])
        except Exception as exception:  # each backend raises its own types of exceptions
            text = ' '.join(f'{type(exception).__name__}: {exception}'.split())[:300]
            write_result({'error': {'label': label, 'reason': text}})
            return 0
    output = Path(OUTPUT)
    output.mkdir(exist_ok=True)
    natoms = np.concatenate([np.full(len(item), item.natoms) for item in sets])
    _save(output / PREDICTIONS, {'natoms': natoms, **prediction_arrays(predictions)})
    if descriptors:
        _save(output / DESCRIPTORS, descriptors)
    if len(predictions) > 1:
        deviations = [
            committee_deviation(item.natoms, [parts[index] for parts in predictions.values()])
            for index, item in enumerate(sets)
        ]
        names = deviations[0]
        _save(output / DEVIATION, {name: np.concatenate([part[name] for part in deviations]) for name in names})
    write_result({'error': None, 'results': {label: error_table(sets, parts) for label, parts in predictions.items()}})
    return 0
