"""The commands for those who move over from DP-GEN, and the builder that their files make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dpdata
import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from click.testing import CliRunner
from vasp_family import FAMILY, upload_family

from aiida_dpasse.cli.dpgen import collect, convert
from aiida_dpasse.cli.main import cli
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.explore.from_dpgen import builder_from_dpgen, read_frames, read_structures
from aiida_dpasse.explore.simplify import SimplifyWorkChain

FIXTURES = Path(__file__).parents[1] / 'dpgen' / 'fixtures'
PARAM, MACHINE = FIXTURES / 'param.json', FIXTURES / 'machine.json'

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture
def stand_ins(nowhere) -> dict[str, orm.InstalledCode]:
    """Codes that are never run."""
    return {
        name: orm.InstalledCode(computer=nowhere, filepath_executable='/bin/true', label=name).store()
        for name in ('dp', 'lmp', 'python')
    }


def invoke(command, *arguments):
    """Run a command and return its exit code and output."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def builder_of(script: str, codes: dict[str, orm.InstalledCode], done: str = ''):
    """Run a script up to its submission, with nothing left to do after ``done``, and return its builder."""
    text = script.partition('node = submit(builder)')[0]
    start, end = text.index('CODES = '), text.index('# Settings that DP-GEN')
    text = f'{text[:start]}CODES = codes\n{text[end:]}'
    with pytest.raises(SystemExit):
        exec(compile(text, 'script', 'exec'), {'codes': codes})
    names = {'codes': codes}
    start, end = text.index('TO_DO = '), text.index('if TO_DO')
    exec(compile(f'{text[:start]}TO_DO = []\n{done}\n{text[end:]}', 'script', 'exec'), names)
    return names['builder']


def test_script_builds_what_the_files_say(stand_ins, tmp_path):
    """The script that is written makes the same builder as the function, whole and accepted but for what labels."""
    script = tmp_path / 'study.py'
    result = invoke(convert, PARAM, MACHINE, '-o', script)
    assert result.exit_code == 0, result.output
    assert f'{script}\n28 settings' in result.output
    assert '\n  my_own_key = 7\n' in result.output
    assert 'OVERRIDES' in result.output
    family = {'potential_family': 'PBE.54'}
    builder = builder_of(script.read_text(), stand_ins, f"OVERRIDES['label']['vasp'] |= {family}")
    expected, unmatched = builder_from_dpgen(PARAM, stand_ins, MACHINE)
    assert len(unmatched) == 28
    parameters = expected.parameters.get_dict()
    parameters['label']['vasp'] |= family
    assert builder.parameters.get_dict() == parameters
    assert builder.options == expected.options
    assert builder.frames.ids() == expected.frames.ids()
    assert sorted(builder.structures) == ['sys_000_0000', 'sys_001_0000', 'sys_001_0001']
    assert builder.clean_workdir.value is True


def test_script_on_the_standard_output(tmp_path):
    """The list goes elsewhere, so that the script can be redirected; a preset of an earlier DeePMD-kit is reported."""
    content = json.loads(PARAM.read_text())
    content['default_training_param']['model']['fitting_net']['coord_norm'] = True
    path = tmp_path / 'param.json'
    path.write_text(json.dumps(content))
    result = invoke(convert, path)
    assert result.exit_code == 0
    compile(result.stdout, 'script', 'exec')
    assert '`committee.train`' in result.stderr
    assert 'my_own_key' in result.stderr


def test_what_cannot_be_converted_is_one_sentence(tmp_path):
    path = tmp_path / 'param.json'
    path.write_text('{}')
    for arguments, sentence in (
        ((path,), '`numb_models`'),
        ((PARAM, '--protocol', 'slow'), '`slow`'),
    ):
        result = invoke(convert, *arguments)
        assert result.exit_code == 2
        assert result.output.startswith('Error: ')
        assert sentence in result.output


def test_builder_is_accepted(stand_ins):
    """With something that labels nothing is missing."""
    builder, unmatched = builder_from_dpgen(
        PARAM, stand_ins, protocol='fast', overrides={'seed': 7}, calculator={'name': 'emt'}
    )
    assert ActiveLearningWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None
    assert 'my_own_key' in {entry.key for entry in unmatched}
    assert builder.parameters['seed'] == 7
    assert builder.parameters['committee']['train']['input']['model']['descriptor']['neuron'] == [10, 20]
    assert builder.frames.frames == 4


def test_the_documented_builder_can_be_submitted(stand_ins, nowhere, tmp_path):
    """As in docs/dpgen.md: with VASP and the name of a POTCAR family nothing is missing."""
    codes = stand_ins | {'vasp': orm.InstalledCode(computer=nowhere, filepath_executable='/bin/true', label='vasp')}
    mapping = builder_from_dpgen(PARAM, codes)[0].parameters['label']['vasp']['potential_mapping']
    upload_family(tmp_path, sorted(set(mapping.values())))
    overrides = {'label': {'vasp': {'potential_family': FAMILY}}}
    builder, _ = builder_from_dpgen(PARAM, codes, MACHINE, overrides=overrides)
    assert ActiveLearningWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None


def test_what_is_not_here_is_asked_for(stand_ins, tmp_path):
    """Files that are elsewhere can be given instead; without VASP's settings other labels would be computed."""
    path = tmp_path / 'param.json'
    path.write_text(PARAM.read_text())
    with pytest.raises(ValueError, match='INCAR'):
        builder_from_dpgen(path, {**stand_ins, 'vasp': stand_ins['dp']})
    structures = {'one': orm.StructureData(cell=[[4, 0, 0], [0, 4, 0], [0, 0, 4]])}
    structures['one'].append_atom(position=(0, 0, 0), symbols='Li')
    with pytest.raises(ValueError, match='`sys_configs`'):
        builder_from_dpgen(path, stand_ins)
    with pytest.raises(ValueError, match='`frames`'):
        builder_from_dpgen(path, stand_ins, structures=structures)
    frames = read_frames([FIXTURES / 'data' / 'first'])
    builder, _ = builder_from_dpgen(path, stand_ins, structures=structures, frames=frames, options='slurm-gpu')
    assert list(builder.structures) == ['one']
    assert 'transport' in builder.options


def test_data_without_a_type_map_have_that_of_the_file(tmp_path):
    """DP-GEN's own data need none."""
    for name in ('type.raw', 'set.000'):
        source = FIXTURES / 'data' / 'first' / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    found, expected = read_frames([tmp_path], ['Li', 'S']), read_frames([FIXTURES / 'data' / 'first'])
    assert found.ids() == expected.ids()
    with pytest.raises(ValueError, match=r'`type_map\.raw`'):
        read_frames([tmp_path])


def test_a_selection_is_a_builder_too(stand_ins, tmp_path):
    """`dpgen simplify` of labelled data becomes `dpasse.simplify`."""
    content = json.loads(PARAM.read_text())
    own = {'labeled': True, 'pick_data': str(FIXTURES / 'data' / 'first'), 'init_pick_number': 2, 'iter_pick_number': 1}
    levels = {'model_devi_f_trust_lo': 0.05, 'model_devi_f_trust_hi': 0.3}
    path = tmp_path / 'simplify.json'
    names = ('type_map', 'numb_models', 'default_training_param')
    path.write_text(json.dumps({**{name: content[name] for name in names}, **own, **levels}))
    codes = {name: stand_ins[name] for name in ('dp', 'python')}
    builder, _ = builder_from_dpgen(path, codes)
    assert SimplifyWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None
    script = tmp_path / 'select.py'
    assert invoke(convert, path, '-o', script).exit_code == 0
    names = {'CODES': codes}
    text = script.read_text().partition('node = submit(builder)')[0]
    start, end = text.index('CODES = '), text.index('# Settings that DP-GEN')
    exec(compile(f'{text[:start]}{text[end:]}', 'script', 'exec'), names)
    assert names['builder'].parameters.get_dict() == builder.parameters.get_dict()


def test_structures_are_those_of_the_files():
    """Cell and atoms of a POSCAR, the atoms sorted by element."""
    path = FIXTURES / 'systems' / 'a' / 'POSCAR'
    structure = read_structures({'a': path}, 'vasp/poscar', ['Li', 'S'])['a']
    assert structure.get_ase().get_chemical_symbols() == ['Li', 'Li', 'S']
    np.testing.assert_allclose(structure.cell, [[4, 0, 0], [0, 4, 0], [0.5, 0, 4]], atol=1e-12)
    np.testing.assert_allclose(structure.sites[2].position, [2.25, 0, 2], atol=1e-12)
    with pytest.raises(ValueError, match='vasp/poscar'):
        read_structures({'a': FIXTURES / 'INCAR'}, 'vasp/poscar', ['Li', 'S'])


def test_collect(make_frames, tmp_path):
    """Of a node, or of a process with the output `frames`."""
    frames = FramesData.from_sets([make_frames('Li Li S', 4)]).store()
    process = orm.WorkChainNode().store()
    frames.base.links.add_incoming(process, LinkType.RETURN, 'frames')
    for number, node in enumerate((frames, process)):
        directory = tmp_path / str(number)
        result = invoke(collect, node.pk, directory, '--type-map', 'S Li')
        assert result.exit_code == 0, result.output
        assert result.output == f'wrote {directory}/sys.S1Li2\n'
        system = dpdata.LabeledSystem(str(directory / 'sys.S1Li2'), fmt='deepmd/npy')
        np.testing.assert_array_equal(system['forces'], frames.sets()[0].forces)
    again = invoke(collect, frames.pk, tmp_path / '0')
    assert again.exit_code == 0, again.output  # another type map, another name
    refused = invoke(collect, frames.pk, tmp_path / '0')
    assert refused.exit_code != 0
    assert str(tmp_path / '0') in refused.output.replace('\n', '')
    assert 'FramesData' in invoke(collect, orm.Int(1).store().pk, tmp_path / '2').output


def test_commands_are_found():
    """The group is one of `aiida-dpasse`."""
    assert invoke(cli, 'dpgen', '--help').exit_code == 0
    assert 'convert' in invoke(cli, 'dpgen', '--help').output
