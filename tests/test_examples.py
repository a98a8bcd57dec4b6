"""The example scripts that take a data set of the user."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.deepmd.dataset import write_dataset

EXAMPLES = Path(__file__).parents[1] / 'examples'
#: Frames by folder in the layout of the public data set of LGPS.
FOLDERS = {
    **{f'data.init/LiGePS-iter.{number:06d}-data.{number:03d}': 4 for number in (0, 1, 2, 3, 8, 9, 10)},
    'data.init/LiGePS-iter.000011-data.011': 5,
    'data.init/LiGePS-iter.000011-data.019': 2,
    'data.init/LiGePS-iter.000015-data.015': 3,
    'data.init/LiGePS-init.system': 6,
    'iter.000002/02.fp/data.000': 2,
    'iter.000002/02.fp/data.001': 1,
}


@pytest.fixture
def lgps() -> ModuleType:
    """The example of LGPS."""
    spec = spec_from_file_location('lgps', EXAMPLES / 'lgps.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dataset(pair_frames, tmp_path) -> Path:
    """Frames of eight atoms in the folders of the public data set."""
    [frames] = [one for one in pair_frames if 'Cl' in one.symbols]
    whole = frames.take(np.resize(np.arange(len(frames)), max(FOLDERS.values())))
    for seed, (folder, count) in enumerate(FOLDERS.items()):
        shift = np.random.default_rng(seed).normal(0, 1e-3, whole.positions.shape)
        [written] = write_dataset(
            [whole.with_labels(whole.energies, whole.forces, whole.virials).take(range(count))], tmp_path / 'raw'
        )
        coordinates = written / 'set.0000' / 'coord.npy'
        np.save(coordinates, np.load(coordinates) + shift[:count].reshape(count, -1))
        place = tmp_path / 'dataset' / folder
        place.parent.mkdir(parents=True, exist_ok=True)
        written.rename(place)
    return tmp_path / 'dataset'


def test_what_is_held_out_is_not_learnt(lgps, dataset, aiida_profile):
    training, held_out = lgps.read_iterations(dataset)
    assert training.frames == 28
    counts = {name: frames.frames for name, frames in held_out.items()}
    assert counts == {'perturbed': 6, 'small_cells': 7, 'large_cells': 3, 'compressed': 3}
    tested = [identity for frames in held_out.values() for identity in frames.ids()]
    assert len(set(training.ids()) | set(tested)) == 28 + 19


def test_the_example_of_lgps_runs(lgps, dataset, codes, tmp_path):
    """Twenty steps of training and a fifth of a picosecond: committee, report card, conductivity and archive."""
    lgps.CODES, lgps.TEMPERATURES = codes, [300]
    lgps.main(dataset, tmp_path / 'out', steps=20, picoseconds=0.2, cells=[1, 1, 1])
    group = orm.load_group('lgps')
    committee, validate, conductivity = sorted(group.nodes, key=lambda node: node.pk)
    assert [node.is_finished for node in group.nodes] == [True] * 3
    assert len(committee.outputs.potentials) == 3
    assert validate.exit_status == 0
    assert {test['set'] for test in validate.outputs.report_card['tests']} == {
        'perturbed',
        'small_cells',
        'large_cells',
        'compressed',
    }
    [row] = conductivity.outputs.transport['temperatures']
    assert row['temperature_K'] == 300
    assert (tmp_path / 'out' / 'lgps.aiida').stat().st_size > 1e4
    assert (tmp_path / 'out' / 'validate' / 'report.txt').exists()
