"""What a dataset of frames costs: storing, uniting, splitting, drawing, one frame, the ids, bytes, and lineage.

python tests/benchmarks/datasets.py [FRAMES [SMALL]]

Ten nodes of 60 formulas are stored in a profile of their own and united. What is read is read in a new process, which
knows nothing of the node; its imports are not counted. All times are processor times. The second part stores SMALL
frames of two atoms, and a tenth of them, in one node: the ratio is ten if the cost is linear.

A previous release is measured with its package first in PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NODES, FORMULAS = 10, 60
#: What is measured in a new process, by name.
READ: dict[str, Callable[[Any], Any]] = {
    'one frame (`get_structure(0)`)': lambda node: node.get_structure(0),
    'the same frame again': lambda node: node.get_structure(0),
    'ids': lambda node: node.ids(),
    'ids again': lambda node: node.ids(),
    'all frames (`sets`)': lambda node: node.sets(),
}


def open_profile(folder: str, new: bool = False) -> None:
    """Load the profile in a folder."""
    os.environ['AIIDA_PATH'] = folder
    from aiida import load_profile
    from aiida.manage.configuration import create_profile, get_config, reset_config
    from aiida.manage.configuration.settings import AiiDAConfigDir

    AiiDAConfigDir.set(Path(folder) / '.aiida')
    reset_config()
    if new:
        create_profile(
            get_config(create=True),
            storage_backend='core.sqlite_dos',
            storage_config={'filepath': f'{folder}/storage'},
            broker_backend=None,
            broker_config=None,
            name='bench',
            email='bench@localhost',
        )
    load_profile('bench')


def make_sets(frames: int, formulas: int, atoms: int, seed: int) -> list[Any]:
    """Return labelled frames, one set for each formula, of about this number of atoms."""
    import numpy as np

    from aiida_dpasse.deepmd.frameset import FrameSet

    rng = np.random.default_rng(seed)
    sets = []
    for index in range(formulas):
        n, extra = frames // formulas, index % 20
        count = atoms if formulas == 1 else atoms - 10 + extra
        symbols = ['Cl'] * (1 + index // 20) + ['S'] * (count // 3)
        symbols = symbols + ['Li'] * (count - len(symbols))
        cells = np.eye(3) * 12 + rng.normal(size=(n, 3, 3)) * 0.1
        positions = rng.random((n, count, 3)) * 12
        labels = {
            'energies': rng.normal(size=n),
            'forces': rng.normal(size=(n, count, 3)),
            'virials': rng.normal(size=(n, 3, 3)),
        }
        origin = {'sources': f'samples__md_{seed:04d}', 'steps': np.arange(n), 'reasons': 'deviation 0.05 to 0.2 eV/A'}
        sets.append(FrameSet.sort_atoms(symbols, cells, positions, **labels, **origin))
    return sets


def size(folder: str) -> int:
    """Return the bytes of the files of the repository."""
    return sum(file.stat().st_size for file in Path(folder, 'storage', 'container').rglob('*') if file.is_file())


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of a call in s, and its result."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def in_a_new_process(folder: str, pk: int) -> dict[str, float]:
    """Return the times of `READ`, and of the lineage of one frame."""
    done = subprocess.run(
        [sys.executable, __file__, '--read', folder, str(pk)], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def read(folder: str, pk: int) -> None:
    """Print the times of `READ`, and of the lineage of the last frame, as JSON."""
    open_profile(folder)
    from aiida import orm

    from aiida_dpasse.reports.lineage import trace_frame

    # What is imported at the first use of a node is no cost of the node.
    structure = orm.StructureData(cell=[[9, 0, 0], [0, 9, 0], [0, 0, 9]], pbc=True)
    structure.append_atom(position=(0, 0, 0), symbols='Li')
    assert orm.StructureData(ase=structure.get_ase())
    node = orm.load_node(pk)
    times = {name: timed(lambda action=action: action(node))[0] for name, action in READ.items()}
    last = node.ids()[-1]
    again = [sys.executable, __file__, '--trace', folder, str(pk), last]
    done = subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True)
    assert trace_frame(node, last).frame_id == last
    print(json.dumps({**times, 'lineage of one frame': float(done.stdout.splitlines()[-1])}))


def trace(folder: str, pk: int, identity: str) -> None:
    """Print the time of the lineage of one frame."""
    open_profile(folder)
    from aiida import orm

    from aiida_dpasse.reports.lineage import trace_frame

    node = orm.load_node(pk)
    print(timed(lambda: trace_frame(node, identity))[0])


def many_formulas(frames: int) -> Iterator[tuple[str, float]]:
    """Yield the rows of ten nodes of many formulas."""
    from aiida import orm

    from aiida_dpasse.data.frames import FramesData
    from aiida_dpasse.frames.draw_frames import draw_frames
    from aiida_dpasse.frames.split_frames import split_frames
    from aiida_dpasse.frames.union_frames import union_frames

    with tempfile.TemporaryDirectory() as folder:
        open_profile(folder, new=True)
        members = [make_sets(frames // NODES, FORMULAS, 50, seed) for seed in range(NODES)]
        arrays = ('positions', 'cells', 'energies', 'forces', 'virials')
        raw = sum(getattr(item, name).nbytes for sets in members for item in sets for name in arrays)
        spent, nodes = timed(lambda: [FramesData.from_sets(sets).store() for sets in members])
        yield 'storing ten nodes', spent
        before = size(folder)
        given = {f'n{index}': node for index, node in enumerate(nodes)}
        spent, union = timed(lambda: union_frames(**given))
        yield 'their union', spent
        added = size(folder) - before
        settings = orm.Dict({'seed': 1, 'validation': 0.1, 'test': 0.1})
        spent, parts = timed(lambda: split_frames(union, settings))
        yield 'a split of the union', spent
        drawn = orm.Dict({'seed': 1, 'number': 1000, 'choice': 'random'})
        spent, _ = timed(lambda: draw_frames(union, drawn))
        yield 'a draw of 1000 frames', spent
        with tempfile.TemporaryDirectory() as target:
            yield 'writing it for DeePMD-kit', timed(lambda: union.write(f'{target}/plain'))[0]
        yield from in_a_new_process(folder, union.pk).items()
        yield 'lineage through the split', in_a_new_process(folder, parts['training'].pk).popitem()[1]
        yield 'bytes of the ten nodes, of the raw arrays', before / raw
        yield 'bytes that the union adds, of the ten nodes', added / before


def small_frames(frames: int) -> list[tuple[str, float]]:
    """Return the times of storing small frames and reading their ids, and their ratios to those of a tenth."""
    from aiida_dpasse.data.frames import FramesData

    times = []
    for number in (frames // 10, frames):
        with tempfile.TemporaryDirectory() as folder:
            open_profile(folder, new=True)
            sets = make_sets(number, 1, 2, 0)
            spent, node = timed(lambda sets=sets: FramesData.from_sets(sets).store())
            times.append((spent, timed(node.ids)[0], timed(lambda node=node: node.get_structure(-1))[0]))
    names = (f'storing {frames} frames of two atoms', 'their ids', 'the last of them')
    return [
        pair
        for name, few, many in zip(names, *times, strict=True)
        for pair in ((name, many), (f'{name}, of a tenth', many / few))
    ]


def main(arguments: list[str]) -> None:
    """Print the table."""
    if arguments[:1] == ['--read']:
        read(arguments[1], int(arguments[2]))
        return
    if arguments[:1] == ['--trace']:
        trace(arguments[1], int(arguments[2]), arguments[3])
        return
    frames, small = (
        (int(word) for word in (*arguments, '55000', '1000000')[:2])
        if len(arguments) != 1
        else (int(arguments[0]), 1_000_000)
    )
    print(f'| {frames} frames of {FORMULAS} formulas, {NODES} nodes | s, or ratio |\n| --- | ---: |')
    for name, value in many_formulas(frames):
        print(f'| {name} | {value:.3f} |', flush=True)
    if small:
        for name, value in small_frames(small):
            print(f'| {name} | {value:.3f} |', flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
