"""Training, freezing and compressing in one process of the real `dp`, and in several where that is not possible."""

from __future__ import annotations

import io
import zipfile
from collections import Counter

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_dpasse.calculations.dp_steps import command_line
from aiida_dpasse.data.frames import FramesData

TRAIN = CalculationFactory('dpasse.train')
PROGRAMS = ('train', 'freeze', 'compress')


@pytest.fixture
def noted(wrapped, tmp_path):
    """Return a maker of a code that notes each call of `dp`, after lines of bash of its own."""

    def make(lines: str = '') -> orm.InstalledCode:
        return wrapped(f'echo "$2" >> {tmp_path}/calls\n{lines}\nexec "$dp" "$@"')

    def called() -> list[str]:
        calls = (tmp_path / 'calls').read_text().split()
        (tmp_path / 'calls').unlink()
        return calls

    return make, called


def contents(potential: orm.SinglefileData) -> object:
    """Return what has to be equal in two files of the same model.

    TensorFlow writes the attributes of its nodes in any order, and PyTorch numbers the classes of a second model in a
    process: there the weights are compared.
    """
    content = potential.get_content(mode='rb')
    if potential.framework == 'tensorflow':
        return Counter(content)
    if potential.form == 'frozen':
        return content
    archive = zipfile.ZipFile(io.BytesIO(content))
    return {name: archive.read(name) for name in archive.namelist() if name.split('/')[1] in ('data', 'constants.pkl')}


@pytest.mark.parametrize('backend', ['tensorflow', 'pytorch'])
def test_one_process_or_three(aiida_profile, noted, pair_frames, tiny_input, backend):
    """One process gives the files of three; so does the freezing of a training that has ended."""
    make, called = noted
    parameters = {'backend': backend, 'input': tiny_input('se_e2_a', 8), 'compress': True, 'seed': 1}
    inputs = {'training_data': FramesData.from_sets(pair_frames).store(), 'parameters': orm.Dict(parameters)}

    def run(lines: str = '', **further) -> orm.CalcJobNode:
        node = run_get_node(TRAIN, code=make(lines), **inputs, **further)[1]
        assert node.is_finished_ok, node.exit_message
        return node

    one = run()
    assert called() == ['train']
    # As a container that does not pass the environment on.
    three = run('unset PYTHONPATH')
    assert called() == [*PROGRAMS]
    again = run(finished_folder=one.outputs.remote_folder)
    assert called() == ['freeze']
    for output in ('frozen', 'compressed'):
        wanted = contents(three.outputs[output])
        assert contents(one.outputs[output]) == contents(again.outputs[output]) == wanted
    for name in ('freeze.out', 'compress.out'):
        assert one.outputs.retrieved.base.repository.get_object_content(name).strip()
    assert one.outputs.retrieved.base.repository.get_object_content(
        'lcurve.out'
    ) == three.outputs.retrieved.base.repository.get_object_content('lcurve.out')


def test_what_fails_in_the_process_is_tried_in_its_own(aiida_profile, noted, pair_frames, tiny_input):
    """A step that fails in the process of the training leaves no file, and the script starts `dp` for it."""
    make, called = noted
    # A file at the place of the folder of unfinished ones.
    code = make('[ "$2" != train ] || touch dp_part')
    parameters = {'backend': 'tensorflow', 'input': tiny_input('se_e2_a', 8), 'seed': 2}
    frames = FramesData.from_sets(pair_frames).store()
    node = run_get_node(TRAIN, code=code, training_data=frames, parameters=orm.Dict(parameters))[1]
    assert node.is_finished_ok, node.exit_message
    assert called() == ['train', 'freeze']
    assert node.outputs.frozen.form == 'frozen'


def test_command_line_is_quoted_as_aiida_does(aiida_profile, dp_code):
    """The program of a code, and the container around it."""
    path = dp_code.get_executable()
    assert command_line(dp_code, ['freeze', '-o', "a'b"], 'freeze.out') == (
        f"""'{path}' 'freeze' '-o' 'a'"'"'b' > freeze.out 2>&1"""
    )
    container = orm.ContainerizedCode(
        computer=dp_code.computer,
        filepath_executable='dp',
        image_name='deepmd',
        engine_command='docker run -v $PWD:/work {image_name} sh -c',
        wrap_cmdline_params=True,
    )
    assert command_line(container, ['freeze'], 'freeze.out') == (
        """'docker' 'run' '-v' '$PWD:/work' 'deepmd' 'sh' '-c' "'dp' 'freeze' > freeze.out 2>&1\""""
    )
