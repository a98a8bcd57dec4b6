"""Model files: real ones of both backends, and strangers' that must not be able to do anything."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import made_up_models
import pytest

from aiida_dpasse.deepmd.checkpoint import read_model_file
from aiida_dpasse.deepmd.dataset import write_dataset
from aiida_dpasse.deepmd.frozen_graph import read_frozen_graph
from aiida_dpasse.deepmd.training_input import complete_input
from aiida_dpasse.unreadable import UnreadableError

THREADS = ('OMP_NUM_THREADS', *(f'{a}_{b}_PARALLELISM_THREADS' for a in ('TF', 'DP') for b in ('INTRA_OP', 'INTER_OP')))


def dp(folder: Path, *arguments: str) -> None:
    """Run DeePMD-kit with one thread."""
    program = Path(sys.prefix) / 'bin' / 'dp'
    environment = os.environ | dict.fromkeys(THREADS, '1')
    done = subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope='session')
def tensorflow_models(tmp_path_factory, pair_frames, tiny_input) -> Path:
    """A frozen and a compressed model of TensorFlow."""
    folder = tmp_path_factory.mktemp('tensorflow')
    systems = [str(path) for path in write_dataset(pair_frames, folder / 'data')]
    content = complete_input(tiny_input('se_e2_a', 4), training_systems=systems, seed=1)
    (folder / 'input.json').write_text(json.dumps(content))
    dp(folder, '--tf', 'train', 'input.json')
    dp(folder, '--tf', 'freeze', '-o', 'frozen.pb')
    dp(folder, '--tf', 'compress', '-i', 'frozen.pb', '-o', 'compressed.pb')
    return folder


@pytest.fixture(scope='session')
def pytorch_models(tmp_path_factory, pair_frames, tiny_input) -> Path:
    """A DPA-2 checkpoint with two heads, one of them frozen and compressed."""
    folder = tmp_path_factory.mktemp('pytorch')
    systems = [str(path) for path in write_dataset(pair_frames, folder / 'data')]
    content = complete_input(tiny_input('dpa2', 4), training_systems=systems, seed=1)
    model, training = content['model'], content['training']
    heads = ('PBE', 'PBEsol')
    content['model'] = {
        'shared_dict': {'types': model['type_map'], 'net': model['descriptor']},
        'model_dict': {
            head: {'type_map': 'types', 'descriptor': 'net', 'fitting_net': model['fitting_net']} for head in heads
        },
    }
    content['loss_dict'] = dict.fromkeys(heads, content.pop('loss'))
    training['data_dict'] = {head: {'training_data': training['training_data']} for head in heads}
    del training['training_data']
    (folder / 'input.json').write_text(json.dumps(content))
    dp(folder, '--pt', 'train', 'input.json')
    dp(folder, '--pt', 'freeze', '-o', 'frozen.pth', '--head', 'PBEsol')
    dp(folder, '--pt', 'compress', '-i', 'frozen.pth', '-o', 'compressed.pth')
    return folder


@pytest.mark.programs
def test_tensorflow(tensorflow_models):
    """TensorFlow: the whole training input and the number of parameters."""
    frozen = read_model_file(tensorflow_models / 'frozen.pb')
    assert (frozen.backend, frozen.form, frozen.descriptor, frozen.cutoff) == ('tensorflow', 'frozen', 'se_e2_a', 4.0)
    assert frozen.type_map == ['Li', 'S', 'Cl']
    # Nine embedding nets 1-4-8 and three fitting nets 16-8-8-1 (8 x 2 inputs): weights, biases, and the time steps
    # of the fitting net's residual layer.
    assert frozen.parameters == 9 * (4 + 4 + 32 + 8) + 3 * (16 * 8 + 8 + 64 + 8 + 8 + 8 + 1)
    assert frozen.training_input['training']['numb_steps'] == 4
    compressed = read_model_file(tensorflow_models / 'compressed.pb')
    assert (compressed.form, compressed.parameters) == ('compressed', None)
    assert compressed.type_map == frozen.type_map


@pytest.mark.programs
def test_pytorch(pytorch_models):
    """PyTorch: heads, step and parameters of a checkpoint as torch itself reports them; frozen and compressed."""
    import torch

    checkpoint = read_model_file(pytorch_models / 'model.ckpt.pt')
    assert (checkpoint.backend, checkpoint.form, checkpoint.descriptor) == ('pytorch', 'checkpoint', 'dpa2')
    assert (checkpoint.heads, checkpoint.step, checkpoint.cutoff) == (['PBE', 'PBEsol'], 4, 4.0)
    assert not checkpoint.needs_migration
    state = torch.load(pytorch_models / 'model.ckpt.pt', weights_only=True)['optimizer']['state']
    assert checkpoint.parameters == sum(entry['exp_avg'].numel() for entry in state.values())
    for name, form in (('frozen.pth', 'frozen'), ('compressed.pth', 'compressed')):
        model = read_model_file(pytorch_models / name)
        assert (model.form, model.descriptor, model.type_map) == (form, 'dpa2', ['Li', 'S', 'Cl'])
        assert model.heads == []
        assert model.training_input['model']['fitting_net']['neuron'] == [8, 8]


@pytest.mark.programs
def test_cut_short(pytorch_models, tensorflow_models, tmp_path):
    """A truncated model is refused."""
    for source in (pytorch_models / 'model.ckpt.pt', pytorch_models / 'frozen.pth', tensorflow_models / 'frozen.pb'):
        content = source.read_bytes()
        path = tmp_path / source.name
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(UnreadableError, match=f'`{source.name}`'):
            read_model_file(path)


class Payload:
    """What a stranger puts into a pickle: it would leave a file behind."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f'touch {self.mark}',)


def zipped(path: Path, content: bytes, script: bool = False) -> Path:
    """Write a file as PyTorch lays it out."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('model/data.pkl', content)
        if script:
            archive.writestr('model/constants.pkl', b'')
    return path


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('script', [False, True])
def test_nothing_is_executed(tmp_path, protocol, script):
    """A pickle that would run a command is refused by name, and the command is not run."""
    mark = tmp_path / 'executed'
    content = pickle.dumps({'model': Payload(mark)}, protocol=protocol)
    path = zipped(tmp_path / f'evil{".pth" if script else ".pt"}', content, script)
    with pytest.raises(ValueError, match=r'`posix\.system`|holds the operation'):
        read_model_file(path)
    bare = tmp_path / 'bare.pt'
    bare.write_bytes(content)
    with pytest.raises(ValueError, match='it is a bare pickle'):
        read_model_file(bare)
    assert not mark.exists()
    # The same bytes do run the command when they are loaded: the test is a test.
    pickle.loads(content)
    assert mark.exists()


@pytest.mark.parametrize(
    ('module', 'name'), [('builtins', 'eval'), ('torch', 'load'), ('torch._utils', '_rebuild_x'), ('os', 'OrderedDict')]
)
def test_closed_whitelist(tmp_path, module, name):
    """What is not on the list is refused, near misses too."""
    content = f'\x80\x02c{module}\n{name}\n.'.encode('latin1')
    with pytest.raises(ValueError, match=f'asks for `{module}.{name}`'):
        read_model_file(zipped(tmp_path / 'a.pt', content))
    with pytest.raises(ValueError, match=f'asks for `{module}.{name}`'):
        read_model_file(zipped(tmp_path / 'a.pth', content, script=True))


def test_odd_persistent_object(tmp_path):
    """A persistent object of another kind than a storage is refused."""
    content = pickle.dumps(('module', 'x', 'y'), protocol=2)[:-1] + pickle.BINPERSID + pickle.STOP
    with pytest.raises(ValueError, match='`module`'):
        read_model_file(zipped(tmp_path / 'a.pt', content))


def test_stand_ins_cannot_be_called(tmp_path):
    """A stand-in that is used as what it stands for does nothing."""
    content = b'\x80\x02ctorch\nFloatStorage\n(tR.'
    with pytest.raises(ValueError, match=r'`a\.pt`'):
        read_model_file(zipped(tmp_path / 'a.pt', content))


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('notes.txt', b'These are notes.', 'TensorFlow'),
        ('empty.pb', b'', 'TensorFlow'),
        ('weights.pt', None, 'no `data.pkl`'),
        ('model.pt2', b'', 'compiled'),
    ],
)
def test_no_model(tmp_path, name, content, message):
    """A file that is not a model is named in one sentence."""
    path = tmp_path / name
    if content is None:
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('readme', 'x')
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_model_file(path)
    assert str(caught.value).startswith(f'`{name}`')
    assert '\n' not in str(caught.value)


def test_missing_file(tmp_path):
    """A path to nothing."""
    with pytest.raises(ValueError, match=r'`x\.pt`'):
        read_model_file(tmp_path / 'x.pt')


def test_other_pickles_of_pytorch(tmp_path):
    """A state of another program than DeePMD-kit is refused."""
    with pytest.raises(ValueError, match=r'`a\.pt`'):
        read_model_file(zipped(tmp_path / 'a.pt', pickle.dumps({'model': {'w': 1}}, protocol=2)))
    with pytest.raises(ValueError, match='`model_def_script`'):
        read_model_file(zipped(tmp_path / 'a.pth', pickle.dumps({'a': 1}, protocol=2), script=True))


def test_old_dpa2(tmp_path):
    """A DPA-2 checkpoint without the tensors of later versions is known as such, also without any trained array."""
    model = {
        'type_map': ['Li'],
        'descriptor': {'type': 'dpa2', 'repinit': {'rcut': 9.0}, 'repformer': {'rcut': 4.0}},
        'fitting_net': {},
    }
    weights = {'model.Default.descriptor.repinit.mean': made_up_models.Tensor()}
    path = tmp_path / 'old.pt'
    old = read_model_file(made_up_models.checkpoint(path, model, None, **weights))
    assert (old.needs_migration, old.cutoff, old.step, old.parameters) == (True, 9.0, None, 0)
    weights['model.Default.descriptor.repinit.type_embd_data'] = made_up_models.Tensor(shape=(0,))
    assert not read_model_file(made_up_models.checkpoint(path, model, None, **weights)).needs_migration


def test_frozen_graph():
    """A graph written by hand: one text and one array."""

    def field(number: int, content: bytes | int) -> bytes:
        if isinstance(content, int):
            return bytes([number << 3, content])
        return bytes([number << 3 | 2, len(content)]) + content

    def constant(name: bytes, tensor: bytes) -> bytes:
        value = field(5, field(1, b'value') + field(2, field(8, tensor)))
        return field(1, field(1, name) + field(2, b'Const') + value)

    shape = field(2, field(2, field(1, 3)) + field(2, field(1, 4)))
    graph = read_frozen_graph(constant(b'a/text', field(8, b'hello')) + constant(b'layer/matrix_1', shape))
    assert graph.strings == {'a/text': b'hello'}
    assert graph.shapes['layer/matrix_1'] == (3, 4)
    assert graph.count(['matrix']) == 12
    assert graph.count(['bias']) == 0
    with pytest.raises(ValueError, match='cut short'):
        read_frozen_graph(constant(b'a', b'')[:-2])


def test_no_backend_is_imported():
    """Reading models needs neither torch nor TensorFlow nor AiiDA."""
    code = (
        'import sys; import aiida_dpasse.deepmd.checkpoint; '
        'sys.exit(bool({"torch", "tensorflow", "aiida", "deepmd"} & set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def without(content: bytes, *names: bytes) -> bytes:
    """Return a TensorFlow graph without some of its nodes."""
    kept, position = b'', 0
    while position < len(content):
        end, length, shift = position + 1, 0, 0
        while True:
            length |= (content[end] & 0x7F) << shift
            end, shift = end + 1, shift + 7
            if content[end - 1] < 0x80:
                break
        message = content[end : end + length]
        # A node begins with its name.
        if not (content[position] == 0x0A and message[2 : 2 + message[1]] in names):
            kept += content[position : end + length]
        position = end + length
    return kept


@pytest.mark.programs
def test_graphs_of_earlier_releases(tensorflow_models, tmp_path):
    """A graph without its training input: converted from 1.x it tells enough, of 1.x it is refused with the command."""
    content = (tensorflow_models / 'frozen.pb').read_bytes()
    path = tmp_path / 'graph.pb'
    path.write_bytes(without(content, b'train_attr/training_script'))
    converted, whole = read_model_file(path), read_model_file(tensorflow_models / 'frozen.pb')
    for name in ('descriptor', 'type_map', 'cutoff', 'parameters', 'form'):
        assert getattr(converted, name) == getattr(whole, name)
    path.write_bytes(without(content, b'train_attr/training_script', b'model_attr/model_version'))
    with pytest.raises(ValueError, match=r'`dp convert-from -i graph\.pb -o converted\.pb`'):
        read_model_file(path)
