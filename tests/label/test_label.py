"""Labelling in batches: the account adds up over batches and retries, and good labels survive bad company."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_dpasse.cp2k.names import objection_to_settings
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.label.cp2k.chain import Cp2kLabelWorkChain
from aiida_dpasse.label.label import LabelWorkChain
from aiida_dpasse.label.shell.chain import ShellLabelWorkChain
from aiida_dpasse.label.vasp.chain import VaspLabelWorkChain
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.reports.provenance import orphans

#: The owner of the computer allows the calculators below.
ALLOWED = '\nexport AIIDA_DPASSE_CALCULATORS=flaky,killed,slow'
SLOW = """
import time
from ase.calculators.emt import EMT

class Slow(EMT):
    def calculate(self, *arguments, **options):
        time.sleep(1)
        super().calculate(*arguments, **options)
"""

KILLED = """
import os
import signal
from pathlib import Path

from ase.calculators.emt import EMT


class Killed(EMT):
    def __init__(self, log, kills):
        super().__init__()
        started = Path(log).read_text() if Path(log).exists() else ''
        Path(log).write_text(started + 'x')
        if len(started) < kills:
            os.kill(os.getpid(), signal.SIGKILL)
"""

FLAKY = '''
import hashlib
from pathlib import Path

from ase.calculators.emt import EMT


class Flaky(EMT):
    """EMT that breaks off the first time it meets one of two frames, and labels it the second time."""

    def __init__(self, memory):
        super().__init__()
        self.memory = Path(memory)

    def calculate(self, atoms=None, properties=('energy',), system_changes=()):
        digest = hashlib.sha256(atoms.positions.tobytes()).hexdigest()
        mark = self.memory / digest
        if int(digest, 16) % 2 and not mark.exists():
            mark.touch()
            raise RuntimeError('not this time')
        super().calculate(atoms, properties, system_changes)
'''


def copper(number: int) -> FrameSet:
    """Rattled cells of four copper atoms."""
    atoms = bulk('Cu', cubic=True)
    moves = np.random.default_rng(1).normal(scale=0.05, size=(number, 4, 3))
    cells = np.tile(atoms.cell.array, (number, 1, 1))
    return FrameSet(symbols=('Cu',) * 4, cells=cells, positions=atoms.positions + moves)


def strange(number: int) -> FrameSet:
    """Cells of an element that EMT does not know."""
    cells = np.array([np.eye(3) * (4 + index) for index in range(number)])
    return FrameSet(symbols=('U',), cells=cells, positions=np.zeros((number, 1, 3)))


def squeezed() -> FrameSet:
    """Two atoms on top of each other."""
    return FrameSet(symbols=('Cu', 'Cu'), cells=[np.eye(3) * 8], positions=[[[0, 0, 0], [0.1, 0, 0]]])


def label(code, sets, calculator=None, **overrides):
    """Run the chain and return its outputs and node."""
    builder = LabelWorkChain.get_builder_from_protocol(
        {'python': code},
        protocol='fast',
        overrides=overrides,
        frames=FramesData.from_sets(sets),
        calculator=orm.Dict(calculator or {'name': 'emt'}),
    )
    results, node = run_get_node(builder)
    account = results['account']
    admitted = results['frames'].frames if 'frames' in results else 0
    assert account['requested'] == account['admitted'] + len(account['rejected']) + len(account['failed'])
    assert account['admitted'] == admitted
    return results, node


def jobs(node) -> list[str]:
    """Link labels of the jobs of a chain."""
    triples = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    return sorted(triple.link_label for triple in triples)


def test_batches_bad_frames_and_duplicates(python_code):
    good = copper(5)
    results, node = label(python_code, [good, squeezed(), strange(2), good.take([0])], batch_size=4)
    assert node.is_finished_ok, node.exit_message
    account = results['account']
    assert (account['requested'], account['admitted'], account['retried']) == (9, 5, 2)
    reasons = sorted(entry['reason'].split(',')[0] for entry in account['rejected'])
    assert reasons == ['the same frame was given before', 'two atoms are 0.10 A apart']
    assert [entry['reason'].split(':')[0] for entry in account['failed']] == ['NotImplementedError'] * 2
    assert sorted(results['frames'].ids()) == sorted(str(identity) for identity in good.ids)
    # Each batch got one of the two strange frames.
    assert jobs(node) == ['batch_0000', 'batch_0000_s01', 'batch_0001', 'batch_0001_s01']


def test_failed_frames_are_labelled_the_second_time(localhost, python_code, tmp_path):
    (tmp_path / 'flaky.py').write_text(FLAKY)
    memory = tmp_path / 'memory'
    memory.mkdir()
    code = orm.InstalledCode(
        computer=localhost,
        filepath_executable=str(python_code.filepath_executable),
        label='flaky-python',
        prepend_text=f'{python_code.prepend_text}\nexport PYTHONPATH={tmp_path}{ALLOWED}',
    ).store()
    frames = copper(12)
    results, node = label(code, [frames], {'name': 'flaky:Flaky', 'memory': str(memory)}, batch_size=12)
    assert node.is_finished_ok, node.exit_message
    assert jobs(node) == ['batch_0000', 'batch_0000_s01']
    account = results['account']
    assert (account['admitted'], account['failed']) == (12, [])
    assert account['retried'] == len(list(memory.iterdir())) > 0
    assert sorted(results['frames'].ids()) == sorted(str(identity) for identity in frames.ids)


@pytest.mark.parametrize('kills', [2, 9])
def test_a_batch_is_given_up_after_three_jobs_without_a_result(localhost, python_code, tmp_path, kills):
    """Two independent faults may hit the same batch; a job that is killed for ever is not started for ever."""
    (tmp_path / 'killed.py').write_text(KILLED)
    code = orm.InstalledCode(
        computer=localhost,
        filepath_executable=str(python_code.filepath_executable),
        label=f'killed-{kills}-times',
        prepend_text=f'{python_code.prepend_text}\nexport PYTHONPATH={tmp_path}{ALLOWED}',
    ).store()
    calculator = {'name': 'killed:Killed', 'log': str(tmp_path / 'log'), 'kills': kills}
    results, node = label(code, [copper(2)], calculator, batch_size=2)
    assert jobs(node) == ['batch_0000', 'batch_0000_s01', 'batch_0000_s02']
    account = results['account']
    assert (account['admitted'], len(account['failed'])) == ((2, 0) if kills == 2 else (0, 2))
    assert node.exit_status == (0 if kills == 2 else LabelWorkChain.exit_codes.ERROR_NO_FRAME_ADMITTED.status)


def test_too_many_failures_keep_the_good_labels(python_code):
    results, node = label(python_code, [copper(1), strange(3)], minimum_success=0.9)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_TOO_MANY_FAILED.status
    assert '3 of 4' in node.exit_message
    assert 'NotImplementedError' in node.exit_message
    assert results['frames'].frames == 1


def test_only_failures_have_their_own_code(python_code):
    results, node = label(python_code, [strange(2)])
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_FRAME_ADMITTED.status
    assert 'frames' not in results
    assert len(results['account']['failed']) == 2


def test_a_labeller_that_cannot_start_is_not_tried_twice(python_code):
    _, node = label(python_code, [copper(1)], {'name': 'no_such_module:Calculator'})
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_FRAME_ADMITTED.status
    assert jobs(node) == ['batch_0000']


def test_every_node_has_a_creator(python_code):
    _, node = label(python_code, [copper(3)], batch_size=2)
    assert orphans(node) == []


@pytest.mark.parametrize(
    ('overrides', 'sentence'),
    [
        ({'batch_size': 0}, 'parameters: `batch_size`.* 0'),
        ({'minimum_success': 2}, '`minimum_success`'),
        ({'batches': 2}, '`batches`'),
    ],
)
def test_refusals(python_code, overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        label(python_code, [copper(1)], **overrides)


def test_frames_that_the_time_limit_left_out_are_asked_for_until_all_are_there(localhost, python_code, tmp_path):
    (tmp_path / 'slow.py').write_text(SLOW)
    code = orm.InstalledCode(
        computer=localhost,
        filepath_executable=str(python_code.filepath_executable),
        label='slow-python',
        prepend_text=f'{python_code.prepend_text}\nexport PYTHONPATH={tmp_path}{ALLOWED}',
    ).store()
    builder = LabelWorkChain.get_builder_from_protocol(
        {'python': code},
        protocol='fast',
        overrides={'batch_size': '9'},
        options={'label': {'max_wallclock_seconds': 9}},
        frames=FramesData.from_sets([copper(4)]),
        calculator=orm.Dict({'name': 'slow:Slow'}),
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    account = results['account']
    assert (account['requested'], account['admitted'], account['failed']) == (4, 4, [])
    assert 1 <= account['retried'] <= 3
    assert len(jobs(node)) == account['calculations'] >= 2
    assert sorted(results['frames'].ids()) == sorted(str(identity) for identity in copper(4).ids)


@pytest.mark.parametrize(
    ('name', 'process'),
    [('cp2k', Cp2kLabelWorkChain), ('shell', ShellLabelWorkChain), ('vasp', VaspLabelWorkChain)],
)
def test_a_batch_has_its_protocol(name, process):
    for protocol in ('dpa-sse', 'balanced', 'fast', 'demo'):
        parameters = process.protocol_parameters(protocol, {'max_force': 7.0})
        assert check_parameters(process.PARAMETERS, parameters) is None
        assert parameters['max_force'] == 7.0
        assert set(parameters) & {'vasp', 'cp2k', 'shell', 'batch_size'} <= {name}


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'kinds': {'Li': {'BASIS_SETT': 'x'}}}, 'has no BASIS_SETT: did you mean BASIS_SET'),
        ({'input': {'FORCE_EVALL': {}}}, 'has no FORCE_EVALL: did you mean FORCE_EVAL'),
        ({'scf': {'mixing': {'ALFA': 0.1}}}, 'has no ALFA: did you mean ALPHA'),
        ({'input': {'FORCE_EVAL': {'DFT': {'SCF': {'IGNORE_CONVERGENCE_FAILURE': '.TRUE.'}}}}}, None),
    ],
)
def test_misspelt_names_of_cp2k(changes, sentence):
    found = objection_to_settings(changes)
    assert found is None if sentence is None else sentence in found


def test_an_unknown_element_has_no_kind():
    with pytest.raises(ValueError, match="'Lii'"):
        Cp2kLabelWorkChain.PARAMETERS.model_validate(
            Cp2kLabelWorkChain.protocol_parameters('fast', {'cp2k': {'kinds': {'Lii': {}}}})
        )


def test_swapped_codes_and_no_labeller_are_refused(python_code, dp_code):
    with pytest.raises(ValueError, match=r'`dp`.*`python`'):
        label(dp_code, [copper(1)])
    builder = LabelWorkChain.get_builder_from_protocol(
        {'python': python_code}, frames=FramesData.from_sets([copper(1)])
    )
    builder.calculator = None
    with pytest.raises(ValueError, match='calculator, potential'):
        run_get_node(builder)
