"""Convert the output nodes of the work chains into plain numbers for tables and plots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_dpasse.reports.graph import Call, below, call_tree, output, output_dict
from aiida_dpasse.reports.learning import Errors, Training
from aiida_dpasse.reports.tables import text

#: Panel of a training, by the chain that requested it.
PANELS = {
    'dpasse.committee': 'Committee',
    'dpasse.pretrain': 'Pre-training',
    'dpasse.finetune': 'Fine-tuning',
    'dpasse.distill': 'Student',
}
ERROR_KEYS = ('energy_mae_meV_atom', 'force_mae_meV_A')


def learning_curve(data: orm.ArrayData, name: str = '') -> Training:
    """Return the RMSE of forces in meV/A against the step, from the columns of DeePMD-kit's ``lcurve.out``.

    :param data: learning curve node; forces in eV/A.
    :param name: name of the training.
    """
    columns = {column: np.asarray(data.get_array(column), dtype=float) for column in data.get_arraynames()}

    def forces(kind: str) -> NDArray[np.float64] | None:
        values = next((columns[key] for key in (f'rmse_f_{kind}', f'rmse_{kind}') if key in columns), None)
        return None if values is None or not np.isfinite(values).any() else 1e3 * values

    training = forces('trn')
    step = columns['step']
    validation = forces('val')
    return Training(name, step, np.full_like(step, np.nan) if training is None else training, validation)


def trainings(process: orm.ProcessNode) -> dict[str, list[Training]]:
    """Return every learning curve below a process, by panel.

    :param process: any process.
    """
    tree = call_tree(process.pk)
    by_pk = {call.pk: call for call in tree}
    panels: dict[str, list[Training]] = {}
    for call in tree:
        if call.entry_point != 'dpasse.train':
            continue
        curve = output(orm.load_node(call.pk), 'learning_curve')
        if isinstance(curve, orm.ArrayData):
            panels.setdefault(_panel(call, by_pk), []).append(learning_curve(curve, call.label))
    order = [*PANELS.values(), 'Training']
    return {name: panels[name] for name in order if name in panels}


def _panel(call: Call, by_pk: Mapping[int, Call]) -> str:
    current: Call | None = call
    while current is not None:
        if current.entry_point in PANELS:
            return PANELS[current.entry_point]
        current = by_pk.get(current.parent) if current.parent is not None else None
    return 'Training'


def error_results(process: orm.ProcessNode) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and errors of every potential that a process tested.

    The errors are those of `dpasse.evaluate`; nested names, as those of a distillation, are joined.

    :param process: a work chain with the output `errors`.
    """
    for name, values in output_dict(process, 'errors').items():
        if not isinstance(values, Mapping):
            continue
        if ERROR_KEYS[0] in values:
            yield NAMES.get(name, name), dict(values)
            continue
        for inner, numbers in values.items():
            if isinstance(numbers, Mapping):
                yield f'{NAMES.get(inner, inner)}, {name.replace("_", " ")}', dict(numbers)


NAMES = {'zero_shot': 'zero-shot', 'fine_tuned': 'fine-tuned', 'pretrained': 'pre-trained'}


def error_lines(results: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the mean absolute errors of each potential in one line.

    :param results: names and errors; those without energies are left out.
    """
    return [
        f'{name}: {text(values[ERROR_KEYS[0]])} meV/atom, {text(values[ERROR_KEYS[1]])} meV/Å'
        for name, values in results
        if isinstance(values, Mapping) and values.get(ERROR_KEYS[0]) is not None
    ]


def bars(results: Iterable[tuple[str, dict[str, Any]]]) -> list[Errors]:
    """Return the errors that can be drawn.

    :param results: names and errors; those without energies or forces are left out.
    """
    return [
        Errors(name, float(values[ERROR_KEYS[0]]), float(values[ERROR_KEYS[1]]))
        for name, values in results
        if values.get(ERROR_KEYS[0]) is not None and values.get(ERROR_KEYS[1]) is not None
    ]


def all_errors(process: orm.ProcessNode) -> list[tuple[str, dict[str, Any]]]:
    """Return the errors of a process and of the chains that it called, each node once.

    :param process: any process.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    tree = call_tree(process.pk)
    for call in [tree[0], *below(tree, process.pk)]:
        if call.entry_point in PANELS:
            found += list(error_results(orm.load_node(call.pk)))
    return found


def latest_iterations(tree: list[Call]) -> dict:
    """Return the latest iteration table of an active learning run.

    :param tree: processes, of `call_tree`.
    :return: content of the table, empty without a table.
    """
    made = [call for call in tree if call.entry_point == 'tabulate_iterations' and call.ok]
    return output_dict(orm.load_node(max(made, key=lambda call: call.ctime).pk), 'iterations') if made else {}
