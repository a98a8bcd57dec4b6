"""Every code block of README and docs: Python that makes a builder is executed up to submission, commands exist.

A name in capitals stands for what the reader has: a node, which the test makes. The blocks of a page are executed one
after the other, as they are read. A block of `overrides` or `options` alone is laid over every protocol of its page's
chain, with each program that may label.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.plugins import WorkflowFactory
from click.testing import CliRunner
from fixtures_models import lennard_jones_frames
from vasp_family import upload_family

from aiida_dpasse.base.protocols import PROTOCOLS
from aiida_dpasse.cli.main import cli
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.label.label import LabelWorkChain
from aiida_dpasse.label.sources import source_of
from aiida_dpasse.label_sources import source_names

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path for path in (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')))}
#: Pages whose Python is a package, which another test installs and runs.
INSTALLED = ('add_label_source.md',)
#: The chain of a page whose blocks give overrides or options alone.
CHAIN_OF = {
    'conductivity.md': 'dpasse.conductivity',
    'distillation.md': 'dpasse.distill',
    'exploration.md': 'dpasse.active_learning',
    'models.md': 'dpasse.model_study',
    'vasp.md': 'dpasse.label',
}
FAMILY = 'PBE.54'
PROGRAMS = ('dp', 'lmp', 'python', 'torchrun', *source_names())
#: Blocks that are no part of a page's Python: a program of one's own.
STANDS_ALONE = '#!'


def blocks(name: str, *languages: str) -> list[str]:
    """Return the code blocks of a page that are in one of ``languages``."""
    found = re.findall(r'^```(\w*)\n(.*?)^```', PAGES[name].read_text(), re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


@pytest.fixture(scope='module')
def cluster(aiida_profile, tmp_path_factory) -> dict[str, orm.InstalledCode]:
    """Computers of the names that the pages use, on this machine; nothing is sent to them."""
    upload_family(tmp_path_factory.mktemp('potcars'), ['Li_sv', 'P', 'S', 'Cl'], FAMILY)
    codes = {}
    for label in ('localhost', 'cluster'):
        # A test file before this one may have made AiiDA's own 'localhost'.
        _, computer = orm.Computer.collection.get_or_create(
            label=label, hostname='localhost', workdir='/tmp', transport_type='core.local', scheduler_type='core.direct'
        )
        computer.store()
        computer.configure(safe_interval=0, use_login_shell=False)
        for name in PROGRAMS:
            code = orm.InstalledCode(computer=computer, filepath_executable='/bin/true', label=name)
            codes[name] = code.store()
    return codes


def many_frames(seed: int, count: int) -> FramesData:
    """Labelled frames of a crystal, as many as the protocols ask for."""
    item = lennard_jones_frames(count, seed)
    return FramesData.from_sets([item.with_origin(steps=np.arange(count))]).store()


@pytest.fixture(scope='module')
def nodes(tiny_potentials, tiny_torch_model) -> dict[str, orm.Data]:
    """What a reader has, by the name that stands for it in a block."""
    first, second = tiny_potentials.values()
    frames, test = (many_frames(seed, count) for seed, count in ((1, 2400), (2, 80)))
    crystal = frames.get_structure(0).store()
    checkpoint = DeepPotentialData.from_file(tiny_torch_model.parent / 'model.ckpt.pt').store()
    kinds = {
        frames: ('FRAMES', 'DENSE', 'TRAINING'),
        test: ('TEST', 'HEATING', 'UNSEEN'),
        crystal: ('STRUCTURE', 'CRYSTAL', 'LGPS', 'LPSCL'),
        first: ('POTENTIAL', 'STUDENT'),
        second: ('TEACHER', 'SECOND_POTENTIAL'),
        checkpoint: ('CHECKPOINT', 'PUBLISHED', 'PRETRAINED'),
    }
    known = {name: node for node, names in kinds.items() for name in names}
    source = source_of({'calculator': orm.Dict({'name': 'sevennet-l3i5'})}, {})
    forces = {'slope': 0.95, 'interval': [0.94, 0.96]}
    passport = {'source': source, 'forces': forces, 'verdict': 'stiff enough', 'reason': ''}
    return {**known, 'PASSPORT': orm.Dict(passport).store()}


def submitted(*given: Any, **inputs: Any) -> SimpleNamespace:
    """Do all that a submission does but send the process off: every validator has spoken by then."""
    process = instantiate_process(get_manager().get_runner(), *given, **inputs)
    assert process.node.is_stored
    return process.node


@pytest.fixture
def scope(nodes, tiny_potentials, monkeypatch, cluster) -> dict[str, Any]:
    """The names that a page may use without an import."""
    monkeypatch.setattr(engine, 'submit', submitted)
    frames, test = nodes['FRAMES'], nodes['TEST']
    heating = orm.Dict({'heating': {'first': 150, 'last': 1150, 'steps': 80}})
    outputs = AttributeDict({'near_equilibrium': test, 'heating': test, 'temperatures': heating})
    members = {f'member_{index:02d}': node for index, node in enumerate(tiny_potentials.values())}
    return {
        **{name: node.pk for name, node in nodes.items()},
        'orm': orm,
        'submit': submitted,
        'WorkflowFactory': WorkflowFactory,
        'LabelWorkChain': LabelWorkChain,
        'frames': frames,
        'replicas': [np.random.default_rng(seed).normal(size=(500, 8, 3)).cumsum(axis=0) for seed in (1, 2)],
        'committee': SimpleNamespace(outputs=SimpleNamespace(potentials=members)),
        'sets_of_an_earlier_run': SimpleNamespace(outputs=outputs),
    }


PYTHON = [
    name
    for name in PAGES
    if name not in INSTALLED and any(not text.startswith(STANDS_ALONE) for text in blocks(name, 'python'))
]


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('page', PYTHON)
def test_python_runs_up_to_submission(page, protocol, scope, tiny_torch_model, tmp_path, monkeypatch):
    """A builder that a block makes is submitted, whether the block does it or not, by whichever protocol."""
    monkeypatch.chdir(tmp_path)
    # Files that a page reads: a checkpoint, DP-GEN's, and a disordered crystal.
    shutil.copy(tiny_torch_model.parent / 'model.ckpt.pt', tmp_path / 'old.pt')
    for room in ('dpgen', 'structures'):
        shutil.copytree(ROOT / 'tests' / room / 'fixtures', tmp_path, dirs_exist_ok=True)
    for text in blocks(page, 'python'):
        if text.startswith(STANDS_ALONE):
            continue
        before = scope.get('builder')
        exec(compile(re.sub(r"protocol='[\w-]+'", f"protocol='{protocol}'", text), page, 'exec'), scope)
        if 'sets' in scope:
            # What a finished run leaves.
            scope['sets'] = scope['sets_of_an_earlier_run']
        if (builder := scope.get('builder')) is not None and builder is not before and 'submit' not in text:
            submitted(builder)


def settings_alone() -> list[tuple[str, str, str]]:
    """Return page, name and text of every block that assigns `overrides` or `options` alone."""
    found = []
    for page in PAGES:
        for text in blocks(page, 'python'):
            if (match := re.match(r'(overrides|options) = ', text)) is not None:
                found.append((page, match[1], text))
    return found


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize(('page', 'name', 'text'), settings_alone())
def test_settings_fit_every_protocol(page, name, text, protocol, nodes, cluster):
    """The chain accepts them, whatever labels."""
    chain = WorkflowFactory(CHAIN_OF[page])
    scope: dict[str, Any] = {}
    exec(compile(text, page, 'exec'), scope)
    labels = 'calculator' in chain.spec().inputs and 'label' in chain.CHILDREN
    programs = ('calculator', *source_names()) if labels else ('vasp',) if page == 'vasp.md' else (None,)
    for program in programs:
        codes = {key: cluster[key] for key in ('dp', 'lmp', 'python')}
        given = inputs_of(chain, nodes)
        overrides = dict(scope['overrides']) if name == 'overrides' else {}
        if program == 'calculator':
            given['calculator'] = orm.Dict({'name': 'emt'})
        elif program is not None:
            codes[program] = cluster[program]
            if page == 'vasp.md':
                overrides['vasp'] = {'potential_family': FAMILY}
                codes = {'vasp': cluster['vasp']}
            elif program == 'vasp':
                overrides['label'] = {'vasp': {'potential_family': FAMILY}}
        options = scope['options'] if name == 'options' else None
        builder = chain.get_builder_from_protocol(
            codes, protocol=protocol, overrides=overrides, options=options, **given
        )
        submitted(builder)


def inputs_of(chain: Any, nodes: dict[str, orm.Data]) -> dict[str, Any]:
    """Return the inputs that the chain needs beside codes, parameters and what labels."""
    crystal, frames = nodes['CRYSTAL'], nodes['FRAMES']
    known = {
        'structures': {'crystal': crystal},
        'frames': frames,
        'training_data': {'all': frames},
        'test_data': nodes['TEST'],
        'potential': nodes['POTENTIAL'],
        'teacher': nodes['TEACHER'],
    }
    if 'calculator' in chain.spec().inputs and chain is not WorkflowFactory('dpasse.conductivity'):
        known.pop('potential')
    return {name: value for name, value in known.items() if name in chain.spec().inputs}


def commands() -> list[tuple[str, str]]:
    """Return page and text of every call of `aiida-dpasse` in a block for a shell."""
    found = []
    for page in PAGES:
        for text in blocks(page, 'console', 'bash', 'sh'):
            lines = text.replace('\\\n', ' ').splitlines()
            found += [(page, line.removeprefix('$ ')) for line in lines if re.match(r'(\$ )?aiida-dpasse ', line)]
    return found


@pytest.mark.parametrize(('page', 'line'), commands())
def test_commands_exist_with_their_options(page, line):
    """Each word is a command, an option that it has, or an argument."""
    _, *words = shlex.split(line, comments=True)
    context, command = click.Context(cli), cli
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(context, name)
        assert command is not None, f'{page}: {line}'
    # Files and nodes of a page are not there: their types have nothing to say, the parser has.
    command.make_parser(click.Context(command)).parse_args(list(words))


@pytest.mark.parametrize(('page', 'line'), [each for each in commands() if each[0] in ('disordered.md', 'doping.md')])
def test_crystals_are_imported_and_doped_as_the_page_says(page, line, aiida_profile, tmp_path, monkeypatch):
    """The page's file is there, and what it shows of the output is what is printed."""
    shutil.copytree(ROOT / 'tests' / 'structures' / 'fixtures', tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    if '--dry-run' in line:
        [shown] = [text for text in blocks(page, 'console') if line in text]
        # The arrangement that annealing finds depends on the last digits of the machine's arithmetic.
        certain = shown.split('\n', 1)[1].split('    cell 0')[0]
        assert certain in result.output
