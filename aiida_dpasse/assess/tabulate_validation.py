"""The report card: errors of every potential on every test set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.errors import Prediction
from aiida_dpasse.assessment.report_card import Pairs, frame_temperatures, match, report_card
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.labels.records import FAILED, REJECTED
from aiida_dpasse.runs import Runs
from aiida_dpasse.seeds import derive_seed

NOTHING = 'the job has no output: see its exit code'
#: Kind of the tested object, by the kind of run.
KINDS = {'evaluate': 'potential', 'label': 'calculator'}


@calcfunction
def tabulate_validation(settings: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> dict[str, orm.Data]:
    """Tabulate the errors of all potentials and calculators on all test sets.

    :param settings: output ``table`` of :func:`plan_validate`.
    :param runs: record of each run, by its id.
    :param inputs: ``test_sets`` by name; ``predictions`` of an evaluation, and ``labels`` and ``accounts`` of a
        calculator, by run. Those of failed jobs are missing.
    :return: ``report_card`` and, if there are predictions, ``parity``.

    ``report_card`` holds the list ``tests``. Each test holds the record of its run, its ``key`` (the id of the run),
    ``kind`` (`potential` or `calculator`) and ``set``, the account of its frames (``requested`` = ``admitted`` +
    ``rejected`` + ``failed``, the latter two as lists of ``id`` and ``reason``), and, if frames were admitted, the
    result of
    :func:`report_card`. ``parity`` holds randomly drawn pairs of reference and prediction: ``<key>_energy`` (n, 2) in
        eV/atom and ``<key>_force`` (n, 2) in eV/A.
    """
    options = settings.get_dict()
    predictions, labels, accounts = (inputs.get(name, {}) for name in ('predictions', 'labels', 'accounts'))
    tests, parity = [], orm.ArrayData()
    for key, run in Runs.from_dict(runs.get_dict()).items():
        if run.what not in KINDS:
            continue
        sets = inputs['test_sets'][str(run.data)].sets()
        if key in predictions:
            pairs, mask = read_predictions(sets, predictions[key], str(run.potential))
        else:
            node = labels.get(key)
            pairs, mask = match(sets, node.sets() if isinstance(node, FramesData) else [])
        who = {'key': key, **run.to_dict(), 'kind': KINDS[run.what], 'set': run.data}
        row: dict[str, Any] = {**who, **count(sets, mask, accounts.get(key))}
        if pairs:
            given = options['temperatures'].get(run.data)
            kelvin = None if given is None else frame_temperatures(sets, given)[mask]
            row |= report_card(pairs, kelvin, options['temperature_bin'])
            rng = np.random.default_rng(derive_seed(options['seed'], 'parity', key))
            for name, points in parity_points(pairs, options['parity_points'], rng).items():
                parity.set_array(f'{key}_{name}', points)
        tests.append(row)
    outputs: dict[str, orm.Data] = {'report_card': orm.Dict({'tests': tests})}
    return outputs | ({'parity': parity} if parity.get_arraynames() else {})


def read_predictions(sets: Sequence[FrameSet], node: orm.ArrayData, label: str) -> tuple[Pairs, np.ndarray]:
    """Return the predictions of `dpasse.evaluate` for every frame, set by set.

    :param sets: test frames, in the order in which they were evaluated.
    :param node: output ``predictions`` of `dpasse.evaluate`.
    :param label: label of the potential.
    :return: pairs of frames and predictions, and a mask (frames,) that is true everywhere.
    """
    energy, force, virial = (node.get_array(f'{label}_{name}') for name in ('energy', 'force', 'virial'))
    pairs, frame, atom = [], 0, 0
    for item in sets:
        n, atoms = len(item), len(item) * item.natoms
        forces = force[atom : atom + atoms].reshape(n, item.natoms, 3)
        pairs.append((item, Prediction(energy[frame : frame + n], forces, virial[frame : frame + n])))
        frame, atom = frame + n, atom + atoms
    return pairs, np.ones(frame, dtype=bool)


def count(sets: Sequence[FrameSet], mask: np.ndarray, account: orm.Dict | None) -> dict[str, Any]:
    """Return the account of the frames.

    A frame that occurs twice in a set counts twice, whatever the labeller did with it.

    :param sets: test frames.
    :param mask: (frames,), true where a frame has a prediction.
    :param account: account of the labelling, if there is one.
    :return: ``requested``, ``admitted``, ``rejected`` and ``failed``.
    """
    ids = np.concatenate([item.ids for item in sets])
    lost = Counter(str(identity) for identity in ids[~mask])
    states = account.get_dict() if account is not None else {}
    reasons = {entry['id']: (state, entry['reason']) for state in (REJECTED, FAILED) for entry in states.get(state, [])}
    found: dict[str, Any] = {'requested': len(ids), 'admitted': int(mask.sum()), REJECTED: [], FAILED: []}
    for identity, times in lost.items():
        state, reason = reasons.get(identity, (FAILED, NOTHING))
        found[state] += [{'id': identity, 'reason': reason}] * times
    return found


def parity_points(pairs: Pairs, most: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw pairs of reference and prediction for a parity plot.

    :param pairs: frames and predictions.
    :param most: largest number of points.
    :param rng: random number generator of the draw.
    :return: ``energy`` (n, 2) in eV/atom and ``force`` (n, 2) in eV/A.
    """
    columns = {
        'energy': [(np.asarray(s.energies) / s.natoms, p.energies / s.natoms) for s, p in pairs],
        'force': [(np.ravel(np.asarray(s.forces)), np.ravel(p.forces)) for s, p in pairs],
    }
    points = {}
    for name, parts in columns.items():
        joined = np.concatenate([np.stack(part, axis=-1) for part in parts])
        few = np.sort(rng.choice(len(joined), min(most, len(joined)), replace=False))
        points[name] = joined[few]
    return points
