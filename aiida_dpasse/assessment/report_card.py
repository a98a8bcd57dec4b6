"""Report card of a potential: its errors in total, by formula, by element and by temperature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_dpasse.assessment.errors import MILLI, Prediction, error_table
from aiida_dpasse.deepmd.frameset import FrameSet

Pairs = Sequence[tuple[FrameSet, Prediction]]


def error_of_mean(sums: ArrayLike, counts: ArrayLike) -> float | None:
    """Return the standard error of sum(``sums``) / sum(``counts``) for independent frames; None for a single frame.

    :param sums: (n,), sum over each frame.
    :param counts: (n,), number of values in each frame.
    """
    s, c = np.asarray(sums, dtype=float), np.asarray(counts, dtype=float)
    n = len(s)
    if n < 2:
        return None
    left = s - c * s.sum() / c.sum()
    return float(np.sqrt(n / (n - 1) * np.square(left).sum()) / c.sum())


def force_slope(reference: ArrayLike, predicted: ArrayLike) -> float | None:
    """Return the slope of predicted against reference forces; below 1 the potential is too soft.

    The line passes through the origin, since all forces vanish in a crystal at rest. None if all reference forces are
    zero.

    :param reference: forces of any shape.
    :param predicted: likewise.

    >>> force_slope([1.0, -2.0], [0.8, -1.6])
    0.8
    """
    x, y = np.ravel(np.asarray(reference, dtype=float)), np.ravel(np.asarray(predicted, dtype=float))
    square = float(x @ x)
    return float(x @ y) / square if square > 0 else None


def energy_errors(item: FrameSet, prediction: Prediction) -> NDArray[np.float64]:
    """Return predicted minus reference energy of each frame (n,), eV/atom.

    :param item: n frames with energies.
    :param prediction: for the same frames.
    """
    return (prediction.energies - np.asarray(item.energies)) / item.natoms


def aligned(pairs: Pairs) -> NDArray[np.float64]:
    """Return the energy errors (n,), eV/atom, after subtraction of the best-fitting constant per element.

    Energies from two functionals or two sets of pseudopotentials differ by such constants, which do not affect forces
    or dynamics.

    :param pairs: frame sets with their predictions, n frames in total.
    """
    elements = sorted({symbol for item, _ in pairs for symbol in item.symbols})
    rows, errors = [], []
    for item, prediction in pairs:
        counts = [item.symbols.count(element) / item.natoms for element in elements]
        rows.append(np.tile(counts, (len(item), 1)))
        errors.append(energy_errors(item, prediction))
    matrix, vector = np.concatenate(rows), np.concatenate(errors)
    return vector - matrix @ np.linalg.lstsq(matrix, vector, rcond=None)[0]


def scores(pairs: Pairs) -> dict[str, Any]:
    """Return the number of ``frames``, the MAE and RMSE of energy, forces and virial (see `error_table`), and more.

    :param pairs: frame sets with their predictions.
    :returns: in addition ``energy_mae_error_meV_atom`` and ``force_mae_error_meV_A``, standard errors of the MAE over
        the frames; ``energy_mean_meV_atom``, the mean signed error, predicted minus reference;
        ``energy_mae_aligned_meV_atom``, the MAE after subtraction of a constant per element; ``force_slope``, predicted
        against reference.
    """
    table = error_table([item for item, _ in pairs], [prediction for _, prediction in pairs])
    flat = {key: value for key, value in table.items() if not isinstance(value, dict)}
    energy = np.concatenate([energy_errors(s, p) for s, p in pairs]) * MILLI
    force = np.concatenate([np.abs(p.forces - np.asarray(s.forces)).sum((1, 2)) for s, p in pairs]) * MILLI
    counts = np.concatenate([np.full(len(s), 3 * s.natoms) for s, _ in pairs])
    reference = np.concatenate([np.ravel(np.asarray(s.forces)) for s, _ in pairs])
    predicted = np.concatenate([np.ravel(p.forces) for _, p in pairs])
    return flat | {
        'energy_mean_meV_atom': float(energy.mean()),
        'energy_mae_error_meV_atom': error_of_mean(np.abs(energy), np.ones(len(energy))),
        'energy_mae_aligned_meV_atom': float(np.abs(aligned(pairs)).mean() * MILLI),
        'force_mae_error_meV_A': error_of_mean(force, counts),
        'force_slope': force_slope(reference, predicted),
    }


def element_scores(pairs: Pairs, element: str) -> dict[str, Any]:
    """Return the scores of the forces on one element.

    :param pairs: frame sets, all with ``element``, and their predictions.
    :param element: chemical symbol.
    :returns: number of ``atoms``, summed over the frames, MAE and RMSE (meV/A), and ``force_slope``.
    """
    chosen = [(np.array(item.symbols) == element, item, prediction) for item, prediction in pairs]
    reference = np.concatenate([np.ravel(np.asarray(s.forces)[:, mine]) for mine, s, _ in chosen])
    predicted = np.concatenate([np.ravel(p.forces[:, mine]) for mine, _, p in chosen])
    difference = (predicted - reference) * MILLI
    return {
        'atoms': len(reference) // 3,
        'force_mae_meV_A': float(np.abs(difference).mean()),
        'force_rmse_meV_A': float(np.sqrt(np.square(difference).mean())),
        'force_slope': force_slope(reference, predicted),
    }


def take(pairs: Pairs, wanted: ArrayLike) -> list[tuple[FrameSet, Prediction]]:
    """Return the selected frames with their predictions; sets that become empty are dropped.

    :param pairs: frame sets with their predictions.
    :param wanted: mask (n,), counted over all sets.
    """
    mask, start, taken = np.asarray(wanted, dtype=bool), 0, []
    for item, p in pairs:
        mine = mask[start : start + len(item)]
        start += len(item)
        if mine.any():
            taken.append((item.take(mine), Prediction(p.energies[mine], p.forces[mine], p.virials[mine])))
    return taken


def report_card(pairs: Pairs, temperatures: ArrayLike | None = None, width: float = 100.0) -> dict[str, Any]:
    """Return the scores over all frames, ``per_formula``, ``per_element`` and, as rows, ``per_temperature``.

    :param pairs: frame sets with their predictions.
    :param temperatures: (n,) K, of the frames, counted over all sets; without them there are no rows by temperature.
    :param width: bin width in K; bins begin at multiples of it, and the temperature of a row is the mean of its frames.
    """
    formulas = sorted({item.formula for item, _ in pairs})
    elements = sorted({symbol for item, _ in pairs for symbol in item.symbols})
    card = scores(pairs)
    card['per_formula'] = {name: scores([pair for pair in pairs if pair[0].formula == name]) for name in formulas}
    card['per_element'] = {element: element_scores(_with(pairs, element), element) for element in elements}
    if temperatures is not None:
        kelvin = np.asarray(temperatures, dtype=float)
        places = np.floor(kelvin / width)
        card['per_temperature'] = [
            {'temperature_K': float(kelvin[places == place].mean()), **scores(take(pairs, places == place))}
            for place in np.unique(places)
        ]
    return card


def _with(pairs: Pairs, element: str) -> list[tuple[FrameSet, Prediction]]:
    return [pair for pair in pairs if element in pair[0].symbols]


def frame_temperatures(sets: Iterable[FrameSet], given: Any) -> NDArray[np.float64]:
    """Return the temperature of each frame (n,) in K.

    :param sets: frame sets, n frames in total.
    :param given: one number per frame, or ``first`` and ``last`` (K) and ``steps`` of a linear heating, in which case
        the MD steps of the frames determine their temperatures.
    """
    if not isinstance(given, Mapping):
        return np.asarray(given, dtype=float)
    steps = np.concatenate([item.steps for item in sets])
    return given['first'] + (given['last'] - given['first']) * steps / given['steps']


def match(
    sets: Sequence[FrameSet], labelled: Iterable[FrameSet]
) -> tuple[list[tuple[FrameSet, Prediction]], NDArray[np.bool_]]:
    """Return the frames of ``sets`` that also occur in ``labelled``, with the labels found there as predictions.

    Frames are identified by their ids; a frame that occurs twice in ``sets`` is matched twice.

    :param sets: frames to be matched.
    :param labelled: frames with the labels to compare with.
    :returns: the matched frames in the order of ``sets``, and their mask (n,), counted over ``sets``.
    """
    found = {
        str(identity): (item, frame) for item in labelled for frame, identity in enumerate(item.ids) if item.labelled
    }
    pairs, masks = [], []
    for item in sets:
        places = [found.get(str(identity)) for identity in item.ids]
        mask = np.array([place is not None for place in places], dtype=bool)
        masks.append(mask)
        if not mask.any():
            continue
        kept, rows = item.take(mask), [place for place in places if place is not None]
        energies = np.array([np.asarray(other.energies)[frame] for other, frame in rows])
        forces = np.array([np.asarray(other.forces)[frame] for other, frame in rows])
        virials = np.zeros((len(rows), 3, 3))
        if all(other.virials is not None for other, _ in rows):
            virials = np.array([np.asarray(other.virials)[frame] for other, frame in rows])
        else:
            # Not all frames have a virial, for example from a calculator without stress.
            kept = replace(kept, virials=None)
        pairs.append((kept, Prediction(energies, forces, virials)))
    return pairs, np.concatenate(masks)
