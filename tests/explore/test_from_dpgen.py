"""A loop of DP-GEN, converted and run to its end by the real programs; EMT labels at no cost."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import engine
from click.testing import CliRunner

from aiida_dpasse.cli.dpgen import convert
from aiida_dpasse.deepmd.dataset import write_dataset
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.provenance import orphans


@pytest.fixture
def loop(tmp_path, copper, copper_frames, tiny_training):
    """A folder with DP-GEN's files: an iteration for copper, in data without a type map."""
    copper.get_ase().write(tmp_path / 'POSCAR', format='vasp')
    for folder in write_dataset(copper_frames.sets(), tmp_path / 'data'):
        (folder / 'type_map.raw').unlink()
    training = {name: tiny_training['input'][name] for name in ('model', 'learning_rate', 'loss', 'training')}
    job = {'sys_idx': [0], 'temps': [400], 'trj_freq': 10, 'nsteps': 40, 'ensemble': 'nvt'}
    param = {
        **{'type_map': ['Cu'], 'init_data_sys': ['data'], 'sys_configs': [['POSCAR']], 'numb_models': 2},
        **{'default_training_param': training, 'model_devi_dt': 0.002, 'model_devi_jobs': [job]},
        **{'model_devi_f_trust_lo': 0.0, 'model_devi_f_trust_hi': 8.0, 'fp_task_max': 3, 'fp_style': 'custom'},
    }
    (tmp_path / 'param.json').write_text(json.dumps(param))
    return tmp_path


def test_a_converted_loop_runs_to_its_end(loop, codes, localhost, monkeypatch):
    """The script stops until it is told what labels; then it trains, explores at constant volume, labels and ends."""
    script = loop / 'study.py'
    result = CliRunner().invoke(convert, [str(loop / 'param.json'), '-o', str(script), '--protocol', 'demo'])
    assert result.exit_code == 0, result.output
    text = script.read_text()
    submitted = []
    monkeypatch.setattr(
        engine, 'submit', lambda builder: submitted.append(engine.run_get_node(builder)[1]) or submitted[-1]
    )
    with pytest.raises(SystemExit, match='calculator'):
        exec(compile(text, str(script), 'exec'), {})
    assert submitted == []
    # What a user does: the names of his codes, what labels, and the list of what was to be done.
    text = text.replace("@localhost'", f"@{localhost.label}'")
    text = text.replace('INPUTS = {}', "INPUTS = {'calculator': {'name': 'emt'}}")
    start = text.index('TO_DO = ')
    exec(compile(text[:start] + 'TO_DO = []\n' + text[text.index('if TO_DO') :], str(script), 'exec'), {})
    [node] = submitted
    # All frames are candidates, so that nothing converges: as with DP-GEN, the loop ends after its last job.
    assert node.exit_status == ActiveLearningWorkChain.exit_codes.ERROR_NOT_CONVERGED.status, node.exit_message
    assert unaccounted(node) == []
    assert orphans(node) == []
    account = node.outputs.account
    assert (account['requested'], account['admitted']) == (3, 3)
    assert node.outputs.frames.frames == 43
    assert len(node.outputs.potentials) == 2
    [run] = [call for call in node.called_descendants if call.process_type.endswith('dpasse.md')]
    md = run.inputs.parameters
    assert (md['ensemble'], md['temperature'], md['steps'], md['timestep']) == ('nvt', 400, 40, 2.0)
    labelled = [item for item in node.outputs.frames.sets() if len(item) == 3]
    assert all(np.isfinite(item.forces).all() for item in labelled)
