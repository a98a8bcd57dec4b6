"""Errors and deviations against numbers by hand, and the evaluation with potentials of both backends."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_dpasse.assessment.errors import Prediction, committee_deviation, error_table
from aiida_dpasse.data.frames import FramesData


@pytest.fixture(scope='module')
def frames(aiida_profile, pair_frames) -> FramesData:
    """Labelled frames of two compositions."""
    return FramesData.from_sets(pair_frames).store()


@pytest.fixture(scope='module')
def potentials(dp_code, frames, tiny_input) -> dict:
    """A checkpoint of PyTorch and a frozen potential of TensorFlow."""
    found = {}
    for backend, output in (('pytorch', 'checkpoint'), ('tensorflow', 'frozen')):
        parameters = {'backend': backend, 'input': tiny_input('se_e2_a', 8), 'freeze': output == 'frozen'}
        given = {'code': dp_code, 'training_data': frames, 'parameters': orm.Dict(parameters)}
        node = run_get_node(CalculationFactory('dpasse.train'), **given)[1]
        assert node.is_finished_ok, node.exit_message
        found[backend] = node.outputs[output]
    return found


def shifted(item, energy: float, force: float) -> Prediction:
    """Return labels shifted by ``energy`` per atom and ``force`` on every component of the first atom."""
    forces = item.forces.copy()
    forces[:, 0] += force
    return Prediction(item.energies + energy * item.natoms, forces, item.virials)


def test_error_table(pair_frames):
    """Known shifts give known errors, per formula and per element."""
    predictions = [shifted(pair_frames[0], 0.010, 0.8), shifted(pair_frames[1], -0.030, 0.0)]
    table = error_table(pair_frames, predictions)
    assert table['frames'] == 12
    assert table['energy_mae_meV_atom'] == pytest.approx(20)
    assert table['energy_rmse_meV_atom'] == pytest.approx(np.sqrt(500))
    assert table['force_mae_meV_A'] == pytest.approx(50)
    assert table['force_rmse_meV_A'] == pytest.approx(800 / 4)
    assert table['virial_mae_meV_atom'] == 0
    assert table['per_formula']['Cl4Li4']['force_mae_meV_A'] == pytest.approx(100)
    assert table['per_formula']['Li6S2']['energy_mae_meV_atom'] == pytest.approx(30)
    # The first atom of the sorted Cl4Li4 is a chlorine, one of four.
    assert table['per_element']['Cl']['force_mae_meV_A'] == pytest.approx(200)
    assert table['per_element']['Li']['force_mae_meV_A'] == 0


def test_without_labels(pair_frames):
    """Without labels there is nothing to compare with."""
    bare = [item.with_labels() for item in pair_frames]
    assert error_table(bare, [shifted(item, 0.1, 0.1) for item in pair_frames]) == {'frames': 12}


def test_committee_deviation():
    """Two members whose forces on one atom differ by d deviate by d/2, as in DeePMD-kit's own function."""
    from deepmd.infer.model_devi import calc_model_devi_f, calc_model_devi_v

    rng = np.random.default_rng(2)
    forces = np.zeros((2, 3, 4, 3))
    forces[1, :, 2, 0] = 0.6
    members = [Prediction(np.zeros(3), force, rng.normal(size=(3, 3, 3))) for force in forces]
    deviation = committee_deviation(4, members)
    assert deviation['max_devi_f'] == pytest.approx(np.full(3, 0.3))
    assert deviation['min_devi_f'] == pytest.approx(np.zeros(3))
    assert deviation['avg_devi_f'] == pytest.approx(np.full(3, 0.075))
    forces = rng.normal(size=(3, 5, 4, 3))
    virials = rng.normal(size=(3, 5, 3, 3))
    deviation = committee_deviation(4, [Prediction(np.zeros(5), f, v) for f, v in zip(forces, virials, strict=True)])
    for kind, expected in (('f', calc_model_devi_f(forces)), ('v', calc_model_devi_v(virials.reshape(3, 5, 9) / 4))):
        for name, values in zip(('max', 'min', 'avg'), expected, strict=True):
            assert deviation[f'{name}_devi_{kind}'] == pytest.approx(values)


def test_evaluate(python_code, potentials, frames, pair_frames):
    """Both backends in one job: predictions, errors that follow from them, their deviation, and descriptors."""
    node = run_get_node(
        CalculationFactory('dpasse.evaluate'),
        code=python_code,
        potentials=potentials,
        frames=frames,
        parameters={'descriptors': True},
    )[1]
    assert node.is_finished_ok, node.exit_message
    results, predictions = node.outputs.results.get_dict(), node.outputs.predictions
    assert sorted(results) == ['pytorch', 'tensorflow']
    energies = np.concatenate([item.energies for item in pair_frames])
    natoms = predictions.get_array('natoms')
    assert natoms.tolist() == [8] * 12
    for label, table in results.items():
        error = 1000 * np.abs(predictions.get_array(f'{label}_energy') - energies) / natoms
        assert table['energy_mae_meV_atom'] == pytest.approx(error.mean())
        assert predictions.get_array(f'{label}_force').shape == (96, 3)
        assert predictions.get_array(f'{label}_virial').shape == (12, 3, 3)
        assert set(table['per_element']) == {'Li', 'S', 'Cl'}
    members = [predictions.get_array(f'{label}_force').reshape(12, 8, 3) for label in results]
    deviation = np.linalg.norm(members[0] - members[1], axis=-1).max(-1) / 2
    assert node.outputs.deviation.get_array('max_devi_f') == pytest.approx(deviation)
    for label in results:
        descriptors = node.outputs.descriptors.get_array(label)
        assert descriptors.shape == (12, 16)
        assert np.isfinite(descriptors).all()
        assert len(np.unique(descriptors, axis=0)) == 12


def test_unreadable_potential(python_code, potentials, frames, programs):
    """A potential that the program cannot read ends in an exit code that names it."""
    broken = orm.InstalledCode(
        computer=python_code.computer,
        filepath_executable=programs['python'].path,
        label='python-without-deepmd',
        # Python's own path wins: this package hides DeePMD-kit.
        prepend_text='export PYTHONPATH=x; mkdir -p x/deepmd; echo "raise ImportError(1)" > x/deepmd/__init__.py',
    ).store()
    node = run_get_node(
        CalculationFactory('dpasse.evaluate'), code=broken, potentials={'one': potentials['pytorch']}, frames=frames
    )[1]
    assert node.exit_status == 421
    assert '`one`' in node.exit_message


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'potentials': {}}, 'potentials: '),
        ({'parameters': {'heads': {'other': 'PBE'}}}, '`heads` names the potential `other`'),
        ({'parameters': {'heads': {'pytorch': 'PBE'}}}, '`pytorch`'),
        ({'parameters': {'head': 'PBE'}}, '`head`'),
    ],
)
def test_refused(python_code, potentials, frames, changes, message):
    """Inputs that do not go together are refused in one sentence."""
    given = {'code': python_code, 'potentials': potentials, 'frames': frames} | changes
    with pytest.raises(ValueError, match=message):
        run_get_node(CalculationFactory('dpasse.evaluate'), **given)


def test_unknown_element(python_code, potentials, make_frames):
    """Frames with an element outside the type map are refused."""
    frames = FramesData.from_sets([make_frames('Li Br')])
    with pytest.raises(ValueError, match=r'\bBr\b.*Li S Cl'):
        run_get_node(CalculationFactory('dpasse.evaluate'), code=python_code, potentials=potentials, frames=frames)
