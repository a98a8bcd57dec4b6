"""The page "Add a label source": its files are installed as a package beside ours, and the source labels."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / 'docs' / 'add_label_source.md').read_text()
BLOCKS = re.findall(r'(?:^`([\w./]+)`\n\n)?^```(\w+)\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)
FILES = {name: text for name, _, text in BLOCKS if name}
[PROGRAM] = [text for _, _, text in BLOCKS if text.startswith('#!')]
[USE] = [text for name, language, text in BLOCKS if language == 'python' and not name and text != PROGRAM]

#: What the reader has before the last block (profile, computer, code, frames), and what is looked at after it.
STUDY = """
import json
import sys
import warnings
from functools import partial

import numpy as np
from aiida import engine, load_profile, orm
from aiida.manage import get_manager
from aiida.storage.sqlite_temp import SqliteTempBackend
from ase.build import bulk
from ase.calculators.emt import EMT

folder, use = sys.argv[1:]
load_profile(SqliteTempBackend.create_profile('emt'), allow_switch=True)
# Without a broker AiiDA looks once a minute whether a child has ended.
manager = get_manager()
manager.create_runner = partial(manager.create_runner, poll_interval=0.5)

from aiida.plugins import WorkflowFactory

from aiida_dpasse.label_sources import load_sources
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.reports.registry import outcome
from aiida_dpasse.reports.provenance import orphans

computer = orm.Computer(
    label='localhost', hostname='localhost', workdir=folder, transport_type='core.local', scheduler_type='core.direct'
).store()
computer.configure(safe_interval=0, use_login_shell=False)
computer.set_minimum_job_poll_interval(0)
orm.InstalledCode(computer=computer, filepath_executable=f'{folder}/emt.py', label='emt').store()

atoms = bulk('Cu', cubic=True)
positions = atoms.positions + np.random.default_rng(1).normal(scale=0.05, size=(3, 4, 3))
alloy = FrameSet.sort_atoms(('Cu', 'Au', 'Cu', 'Cu'), np.tile(atoms.cell.array, (3, 1, 1)), positions)
touching = FrameSet(('Cu', 'Cu'), [np.eye(3) * 8], [[[0, 0, 0], [0.1, 0, 0]]])
scope = {'FRAMES': FramesData.from_sets([alloy, touching])}
exec(open(use).read(), scope)
node, results = scope['node'], scope['results']

found = []
for item in results['frames'].sets():
    for index, image in enumerate(FramesData.from_sets([item.with_labels()]).to_ase()):
        image.calc = EMT(asap_cutoff=True)
        virial = -image.get_volume() * image.get_stress(voigt=False)
        found.append([
            abs(item.energies[index] - image.get_potential_energy()),
            np.abs(item.forces[index] - image.get_forces()).max(),
            np.abs(item.virials[index] - virial).max(),
        ])

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    sources = sorted(load_sources())
chain = WorkflowFactory('dpasse.label')
refused = {}
for name, sets, overrides in (
    ('key', [alloy], {'emt': {'asap': True}}),
    ('element', [FrameSet(('U',), [np.eye(3) * 4], [[[0, 0, 0]]])], {}),
    ('relaxation', [alloy], {'relaxation': {}}),
):
    try:
        builder = chain.get_builder_from_protocol(
            {'emt': 'emt@localhost'}, overrides=overrides, frames=FramesData.from_sets(sets)
        )
        engine.run_get_node(builder)
    except ValueError as error:
        refused[name] = str(error)
jobs = [call for call in node.called_descendants if isinstance(call, orm.CalcJobNode)]
print(json.dumps({
    'status': node.exit_status,
    'account': results['account'].get_dict(),
    'differences': np.array(found).tolist(),
    'jobs': [job.get_option('max_wallclock_seconds') for job in jobs],
    'orphans': len(orphans(node)),
    'report': outcome(next(call for call in node.called if isinstance(call, orm.WorkChainNode))),
    'protocols': [chain.protocol_parameters(name)['emt'] for name in ('dpa-sse', 'balanced', 'fast', 'demo')],
    'sources': sources,
    'warnings': [str(item.message) for item in caught],
    'active_learning': sorted(WorkflowFactory('dpasse.active_learning').spec().inputs['codes']),
    'refused': refused,
}))
"""


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """What a study with the source gave, in a process in which the package of the page is installed."""
    folder = tmp_path_factory.mktemp('source')
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    project = tomllib.loads(FILES['pyproject.toml'])['project']
    metadata = folder / f'dpasse_emt-{project["version"]}.dist-info'
    metadata.mkdir()
    (metadata / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {project["name"]}\nVersion: 1.0\n')
    lines = [
        line
        for group, entries in project['entry-points'].items()
        for line in (f'[{group}]', *(f'{name} = {target}' for name, target in entries.items()))
    ]
    lines += ['dpasse.label.broken = dpasse_emt.no_such_module:BrokenLabelWorkChain']
    (metadata / 'entry_points.txt').write_text('\n'.join(lines) + '\n')
    program = folder / 'emt.py'
    program.write_text(PROGRAM.replace('/usr/bin/env python', sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / 'use.py').write_text(USE)
    (folder / 'study.py').write_text(STUDY)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get('PYTHONPATH')])])
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', str(folder / 'study.py'), str(folder), str(folder / 'use.py')],
        env={**os.environ, 'PYTHONPATH': path, 'AIIDA_PATH': str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_the_account_adds_up(found):
    account = found['account']
    assert found['status'] == 0
    assert (account['requested'], account['admitted']) == (4, 3)
    assert (len(account['rejected']), len(account['failed'])) == (1, 0)
    assert found['jobs'] == [600] * 3
    assert found['orphans'] == 0


def test_labels_are_those_of_the_program(found):
    assert len(found['differences']) == 3
    assert max(max(row) for row in found['differences']) < 1e-8


def test_every_chain_that_labels_knows_the_source(found):
    assert found['protocols'] == [{'asap_cutoff': False}] * 4
    assert {'emt', 'vasp'} <= set(found['active_learning'])
    assert found['report'] != []


def test_a_source_that_cannot_be_imported_is_left_out(found):
    assert 'emt' in found['sources']
    assert 'broken' not in found['sources']
    assert len(found['warnings']) == 1
    assert '`broken`' in found['warnings'][0]


@pytest.mark.parametrize(('case', 'named'), [('key', 'emt.asap'), ('element', 'U'), ('relaxation', 'relaxation')])
def test_bad_input_is_refused(found, case, named):
    assert f'`{named}`' in found['refused'][case] or f' {named};' in found['refused'][case]
