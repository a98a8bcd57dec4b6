"""Report of a training, and the learning curves of all chains that train."""

from __future__ import annotations

from pathlib import Path

from aiida import orm

from aiida_dpasse.reports.broken import drawn
from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.learning import plot_learning
from aiida_dpasse.reports.read import all_errors, bars, trainings


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the number of completed steps, and that only low-rank matrices were trained (LoRA).

    :param process: a `dpasse.train`, or the work chain that restarts it.
    """
    results = output_dict(process, 'results')
    if results.get('step') is None:
        return []
    lora = results.get('lora')
    return [f'{results["step"]} steps trained' + (f', LoRA of rank {lora["rank"]}' if lora else '')]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the learning curves of a process and its children, and their errors on held-out frames.

    :param process: any process.
    :param directory: folder of the picture.
    """
    path = directory / 'learning.png'
    drawn(path, plot_learning, lambda: trainings(process), lambda: bars(all_errors(process)))
    return [path]
