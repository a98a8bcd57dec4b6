"""Archives of others: their text does nothing, their circles end, and a damaged node costs its line of a report."""

from __future__ import annotations

import random
import signal
import sys
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm.entities import EntityTypes
from click.testing import CliRunner
from sqlalchemy import event

sys.path.insert(0, str(Path(__file__).parents[1] / 'reports'))

from made_up_nodes import Graph, frames_of, structure
from made_up_study import Study

from aiida_dpasse import quoting
from aiida_dpasse.cli.main import cli
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports.accounting import batches, unaccounted
from aiida_dpasse.reports.chain import chain_svg
from aiida_dpasse.reports.graph import DEEPEST, call_tree
from aiida_dpasse.reports.lineage import trace_frames, trainings
from aiida_dpasse.reports.progress import progress
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.reports.status import running_text, status_text

#: Clears the screen, forges a table, breaks a formula and an XML file, turns the text round.
NASTY = 'a\x1b[2J\x1b]0;t\x07\n\nPhases\nphase  state\n-----  -----\nmd     $\\frac{$ & <b>\u202e\x00\x85'
#: The same without what JSON of a database does not hold.
STORED = NASTY.replace('\x00', '\x01')
#: Bound of the time of one test in s, at which a walk without an end is ended.
LIMIT = 600


class LateError(BaseException):
    """A walk did not end; no `except Exception` of a report takes it for a damaged node."""


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """End a test that would not end."""

    def late(*_: object) -> None:
        raise LateError(f'It did not end within {LIMIT} s.')

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope='module')
def graph(aiida_localhost_of_the_module) -> Graph:
    """Stores made-up processes."""
    return Graph(aiida_localhost_of_the_module)


@pytest.fixture(scope='module')
def aiida_localhost_of_the_module(aiida_profile) -> orm.Computer:
    """A computer on which nothing runs."""
    return orm.Computer(
        label=f'hostile-{uuid.uuid4()}',
        hostname='localhost',
        workdir='/tmp',
        transport_type='core.local',
        scheduler_type='core.direct',
    ).store()


@pytest.fixture(scope='module')
def study(aiida_localhost_of_the_module, tmp_path_factory) -> orm.WorkChainNode:
    """A whole study, of a graph of its own: it is sealed, which other tests' nodes do not survive."""
    return Study(Graph(aiida_localhost_of_the_module), tmp_path_factory.mktemp('potentials')).build()


def overwrite(node: orm.Node, **attributes: Any) -> None:
    """Give a stored node other attributes, as an archive may have them."""
    for name, value in attributes.items():
        node.backend_entity.set_attribute(name, value)


def harmless(text: str) -> None:
    """Check that nothing of a text acts."""
    for character in text:
        assert character == '\n' or (character.isprintable() and character != '\u202e'), repr(text)
    assert text.count('\nPhases\n') <= 1


@contextmanager
def queries() -> Iterator[list[str]]:
    """Collect the queries of the database."""
    engine = get_manager().get_profile_storage().get_session().get_bind()
    found: list[str] = []

    def note(connection, cursor, statement, *_):
        if statement.startswith('SELECT'):
            found.append(statement)

    event.listen(engine, 'before_cursor_execute', note)
    yield found
    event.remove(engine, 'before_cursor_execute', note)


# Text


@pytest.mark.parametrize(
    'attribute', ['exit_message', 'process_label', 'process_status', 'exception', 'process_state', 'exit_status']
)
def test_text_of_a_process_does_nothing(attribute, graph, tmp_path):
    top = graph.work('dpasse.conductivity', exit_status=400)
    child = graph.work('dpasse.md.base', 'md', parent=top, exit_status=400)
    graph.calc('dpasse.md', 'md', child, outputs={})
    for node in (top, child):
        overwrite(node, **{attribute: STORED})
    for text in (status_text(top), report_text(top), progress(top).headline(), '\n'.join(progress(top).lines)):
        harmless(text)
    for path in write_report(top, tmp_path):
        if path.suffix in ('.txt', '.svg'):
            harmless(path.read_text())
        if path.suffix == '.svg':
            ElementTree.fromstring(path.read_text())
    for command in ('status', 'report'):
        result = CliRunner().invoke(cli, [command, str(top.pk)], catch_exceptions=False)
        assert result.exit_code == 0
        harmless(result.output)


@pytest.mark.parametrize('value', [STORED, 3, None, [1], {'a': STORED}, True, 1e300, 'x' * 10**6])
@pytest.mark.parametrize('attribute', ['exit_message', 'exit_status', 'process_label', 'process_status', 'exception'])
def test_attributes_of_any_type_are_shown(attribute, value, graph):
    top = graph.work('dpasse.conductivity', exit_status=400)
    child = graph.work('dpasse.md.base', 'md', parent=top)
    graph.calc('dpasse.md', 'md', child, outputs={})
    for node in (top, child):
        overwrite(node, **{attribute: value})
    for text in (status_text(top), report_text(top)):
        harmless(text)
        assert len(text) < 200_000


def test_a_message_of_several_lines_is_seen_to_be_one(graph):
    """A table that a message contains cannot be taken for one of the report."""
    top = graph.work('dpasse.conductivity', exit_status=400)
    overwrite(top, exit_message='It failed.\n\nTransport\nT (K)  sigma\n600    9.9')
    for text in (status_text(top), report_text(top)):
        lines = text.splitlines()
        start = lines.index('It failed.')
        assert all(line.startswith('  | ') for line in lines[start + 1 : start + 5])


def test_labels_of_calls_and_keys_of_nodes_do_nothing(graph, tmp_path):
    """A label of a call, and the keys and values of an output."""
    top = graph.work('dpasse.explore')
    child = graph.process(orm.WorkChainNode, 'dpasse.md.base', 'md', top)
    graph.calc('dpasse.md', 'md', child, outputs={})
    statistics = {STORED: STORED, 'runs': {STORED: {'structure': STORED}}}
    graph.give(top, {'statistics': orm.Dict(statistics).store()})
    call = next(link for link in top.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all())
    rename_link(top.pk, call.node.pk, STORED)
    text = report_text(top)
    harmless(text)
    assert quoting.line(STORED)[:40] in text
    harmless(status_text(top))
    ElementTree.fromstring(chain_svg(top))
    for path in write_report(top, tmp_path):
        if path.suffix == '.svg':
            ElementTree.fromstring(path.read_text())


def rename_link(source: int, target: int, label: str) -> None:
    """Rename the call of a process."""
    from sqlalchemy import text

    session = get_manager().get_profile_storage().get_session()
    session.execute(
        text('UPDATE db_dblink SET label = :label WHERE input_id = :source AND output_id = :target'),
        {'label': label, 'source': source, 'target': target},
    )
    session.commit()


def report_card(name: str) -> dict[str, Any]:
    """Return the output of a validation whose names are ``name``."""
    errors = {'energy_mae_meV_atom': 1.0, 'energy_rmse_meV_atom': 1.0, 'force_mae_meV_A': 1.0, 'force_rmse_meV_A': 1.0}
    row = {**errors, 'energy_mean_meV_atom': 1.0, 'force_mae_error_meV_A': 0.1, 'atoms': 4, 'frames': 2}
    test = {'potential': name, 'set': name, 'key': 'k', 'requested': 2, 'admitted': 2, 'rejected': [], 'failed': []}
    parts = {'per_formula': {'LiCl': row}, 'per_element': {name: row}}
    return {'tests': [{**test, **errors, **parts, 'per_temperature': [{**row, 'temperature_K': 300.0}]}]}


def test_names_of_nodes_are_no_formulas_in_a_picture(graph, tmp_path):
    """Names that matplotlib would read as broken formulas, and that a legend would leave out."""
    for name in (STORED, '_hidden', r'$\undefined$', '$' * 7, r'\$x$'):
        card = graph.work('dpasse.validate')
        parity = orm.ArrayData()
        for quantity in ('energy', 'force'):
            parity.set_array(f'k_{quantity}', np.arange(8.0).reshape(4, 2))
        graph.give(card, {'report_card': orm.Dict(report_card(name)).store(), 'parity': parity.store()})
        speed = graph.work('dpasse.benchmark')
        row = {'potential': name, 'atoms': 8, 'steps_s': 3.0, 'hours_million_steps': 9.0, 'katom_step_s': 1.0}
        row |= {'disturbed': False, 'host': name, 'processor': name}
        fit = {'potential': name, 'exponent': 1.0, 'exponent_error': None, 'reason': name}
        content = {'rows': [row], 'fits': [fit], 'failed': [{'potential': name, 'atoms': 9, 'reason': name}]}
        graph.give(speed, {'speed': orm.Dict(content).store()})
        for top in (card, speed):
            folder = tmp_path / str(top.pk)
            written = {path.name for path in write_report(top, folder)}
            assert written == {'provenance.svg', 'report.txt', 'report_card.png' if top is card else 'speed.png'}
            harmless((folder / 'report.txt').read_text())


# Files


@pytest.mark.parametrize('place', ['a.extxyz', 'a.db', 'folder', 'a.cif', 'POSCAR', 'page', 'data'])
def test_what_is_exported_overwrites_nothing_unasked(place, graph, tmp_path):
    frames = FramesData.from_sets([frames_of({'Li': 2, 'Cl': 2}, 2, 1)]).store()
    node = {'a.cif': frames.get_structure(0).store(), 'page': graph.work('dpasse.explore')}.get(place, frames)
    if place == 'POSCAR':
        node = frames.get_structure(0).store()
    words = {'page': ['report', node.pk, '-d'], 'data': ['dpgen', 'collect', node.pk]}
    kind = 'structure' if place in ('a.cif', 'POSCAR') else 'frames'
    command = words.get(place, ['export', kind, node.pk])

    def call(target: Path, *options: str) -> int:
        result = CliRunner().invoke(cli, [*map(str, command), str(target), *options])
        assert isinstance(result.exception, SystemExit | None), repr(result.exception)
        assert 'Traceback' not in result.output
        return result.exit_code

    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}

    assert call(tmp_path / place) == 0
    before = content()
    assert before
    assert not [path for path in tmp_path.rglob('.*')]
    assert call(tmp_path / place) == 2
    assert content() == before
    if place not in ('folder', 'data'):
        for path in before:
            Path(path).write_text('mine')
        assert call(tmp_path / place, '--force') == 0
        assert b'mine' not in content().values()
        assert set(content()) == set(before)
    assert call(Path('/proc') / place) == 2
    if place not in ('page', 'data'):
        assert call(tmp_path / 'nowhere' / place) == 2
    (tmp_path / 'file').write_text('mine')
    assert call(tmp_path / 'file' / place) == 2


# Circles and depth


def bulk(
    count: int, links: list[tuple[int, int]], kind: str = 'process.workflow.workchain.WorkChainNode.'
) -> list[int]:
    """Store processes and their calls directly, as an imported archive does; links are pairs of their indices."""
    storage = get_manager().get_profile_storage()
    user = orm.User.collection.get_default()
    now = datetime.now(UTC)
    attributes = {'process_state': 'finished', 'exit_status': 0, 'process_label': 'Chain', 'sealed': True}
    rows = [
        {
            'uuid': str(uuid.uuid4()),
            'node_type': 'process.workflow.workchain.WorkChainNode.',
            'process_type': 'aiida.workflows:dpasse.conductivity',
            'label': '',
            'description': '',
            'ctime': now,
            'mtime': now,
            'attributes': attributes,
            'extras': {},
            'repository_metadata': {},
            'user_id': user.pk,
            'dbcomputer_id': None,
        }
        for _ in range(count)
    ]
    with storage.transaction():
        pks = storage.bulk_insert(EntityTypes.NODE, rows)
        calls = [
            {'input_id': pks[a], 'output_id': pks[b], 'label': 'call', 'type': LinkType.CALL_WORK.value}
            for a, b in links
        ]
        storage.bulk_insert(EntityTypes.LINK, calls)
    return pks


SHAPES = {
    'of one': (1, [(0, 0)]),
    'of two': (2, [(0, 1), (1, 0)]),
    'of three with a tail': (5, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3)]),
    'all with all': (12, [(a, b) for a in range(12) for b in range(12)]),
    'diamonds': (
        61,
        [pair for i in range(0, 60, 3) for pair in ((i, i + 1), (i, i + 2), (i + 1, i + 3), (i + 2, i + 3))],
    ),
}


@pytest.mark.parametrize('shape', SHAPES)
def test_calls_in_a_circle_end(shape, aiida_profile, tmp_path):
    count, links = SHAPES[shape]
    links = [(a, b) for a, b in links if b < count]
    pks = bulk(count, links)
    tree = call_tree(pks[0])
    assert len({call.pk for call in tree}) == len(tree) <= count
    top = orm.load_node(pks[0])
    for show in (report_text, status_text, unaccounted, orphans, progress, batches, chain_svg):
        show(top)
    running_text()
    for command in (['status', pks[0]], ['report', pks[0], '-d', tmp_path / 'page']):
        assert CliRunner().invoke(cli, [str(word) for word in command], catch_exceptions=False).exit_code == 0


def test_a_chain_of_calls_without_end_takes_few_queries(aiida_profile):
    """Three thousand levels took a minute: the tree is cut, and says so."""
    pks = bulk(3000, [(i, i + 1) for i in range(2999)])
    top = orm.load_node(pks[0])
    with queries() as found:
        tree = call_tree(pks[0])
    assert len(tree) == DEEPEST + 1
    assert len(found) <= 2 * DEEPEST
    for show in (report_text, status_text):
        with queries() as found:
            text = show(top)
        assert len(found) < 40 * DEEPEST
        assert f'{DEEPEST} levels' in text


def test_many_calls_are_counted_once(aiida_profile):
    """Each process is looked at once for all phases, not once for each."""
    pks = bulk(3000, [(0, i) for i in range(1, 1500)] + [(i, i + 1499) for i in range(1, 1500)])
    tree = call_tree(pks[0])
    assert len(tree) == 1 + 2 * 1499
    top = orm.load_node(pks[0])
    with queries() as found:
        progress(top)
    assert len(found) < 20


def circle_of_data(graph: Graph) -> list[FramesData]:
    """Store two nodes of frames that are made from each other, with the same frames."""
    item = frames_of({'Li': 2, 'Cl': 2}, 2, 1)
    nodes = [FramesData.from_sets([item]).store() for _ in range(2)]
    for given, made in (nodes, nodes[::-1]):
        maker = graph.process(orm.CalcFunctionNode, 'union_frames')
        storage = get_manager().get_profile_storage()
        links = [(given.pk, maker.pk, 'frames', LinkType.INPUT_CALC), (maker.pk, made.pk, 'frames', LinkType.CREATE)]
        rows = [{'input_id': a, 'output_id': b, 'label': label, 'type': kind.value} for a, b, label, kind in links]
        with storage.transaction():
            storage.bulk_insert(EntityTypes.LINK, rows)
    return nodes


def test_data_made_from_each_other_end(graph):
    one, other = circle_of_data(graph)
    for node in (one, other):
        origins = trace_frames(orm.load_node(node.pk))
        assert len(origins) == 2
        assert all(len(origin.path) <= 2 for origin in origins)
        assert trainings(node) == []


# Damage

GARBAGE = [None, 'text', -1, 1e300, [], {}, [None], {'a': {}}, [[1, 2], 'x'], True, STORED]


def dicts_below(process: orm.ProcessNode) -> list[orm.Dict]:
    """Return every `Dict` that the processes of a study gave."""
    found = {}
    for call in call_tree(process.pk):
        node = orm.load_node(call.pk)
        for link in node.base.links.get_outgoing(node_class=orm.Dict).all():
            found[link.node.pk] = link.node
    return [found[pk] for pk in sorted(found)]


def damaged(content: Any, chance: random.Random) -> Any:
    """Return a content in which one entry is missing or of another type."""
    if isinstance(content, dict) and content:
        key = chance.choice(sorted(content))
        if chance.random() < 0.4:
            return {name: value for name, value in content.items() if name != key}
        return {**content, key: damaged(content[key], chance)}
    if isinstance(content, list) and content and chance.random() < 0.7:
        place = chance.randrange(len(content))
        return [*content[:place], damaged(content[place], chance), *content[place + 1 :]]
    return chance.choice(GARBAGE)


def heads(text: str) -> set[str]:
    """Return the titles of the tables of a report."""
    lines = text.splitlines()
    return {lines[i - 2] for i, line in enumerate(lines) if i > 1 and line and not line.strip('- ')}


@pytest.mark.parametrize('seed', range(12))
def test_a_damaged_node_costs_its_line(seed, study, tmp_path):
    """Entries that are missing or of another type, in any output of a study."""
    chance = random.Random(seed)
    node = chance.choice(dicts_below(study))
    whole = heads(report_text(study))
    before = node.get_dict()
    attributes = dict(node.base.attributes.all)
    try:
        for name in attributes:
            node.backend_entity.delete_attribute(name)
        for name, value in damaged(before, chance).items():
            node.backend_entity.set_attribute(name, value)
        text = report_text(study)
        harmless(text)
        assert len(whole - heads(text)) <= 6
        harmless(status_text(study))
        written = {path.name for path in write_report(study, tmp_path)}
        assert written >= {'summary.json', 'arrhenius.png', 'msd.png', 'learning.png', 'provenance.svg', 'report.txt'}
    finally:
        for name, value in attributes.items():
            node.backend_entity.set_attribute(name, value)


#: An output of each chain whose report reads it.
OUTPUTS = {
    'acceptance': ('verdict',),
    'active_learning': ('iterations', 'account'),
    'benchmark': ('speed',),
    'conductivity': ('transport', 'arrhenius'),
    'convergence': ('convergence',),
    'distill': ('speed', 'errors', 'verdict', 'account'),
    'electrolyte': ('summary', 'repair'),
    'evaluate.base': ('results',),
    'explore': ('statistics',),
    'finetune': ('errors',),
    'initial_data': ('account',),
    'learning_curve': ('sample_efficiency',),
    'locality': ('locality', 'account'),
    'md.base': ('results',),
    'model_study': ('model_study',),
    'passport': ('passport',),
    'scan.base': ('results',),
    'screen': ('ranking', 'conductivities'),
    'simplify': ('iterations',),
    'test_sets': ('account',),
    'train.base': ('results',),
    'transport.base': ('results',),
    'validate': ('report_card', 'structures'),
}
#: Entries by which a report goes into an output, with content that none can show.
KEYS = (
    *(
        'checks',
        'admitted',
        'requested',
        'rejected',
        'failed',
        'rows',
        'fits',
        'temperatures',
        'kind',
        'points',
        'runs',
    ),
    *(
        'recommended',
        'iterations',
        'converged',
        'ratio',
        'rounds',
        'step',
        'steps',
        'katom_steps_per_s',
        'frames',
        'ions',
    ),
    *('verdict', 'reason', 'tests', 'summary', 'enough', 'fewest_frames', 'forces', 'errors', 'per_element', 'virial'),
    *(
        'slope_limit',
        'source',
        'accepted',
        'sampled',
        'accurate',
        'candidate',
        'lora',
        'locality',
        'slope_K',
        'student',
    ),
    *('interval_mS_cm', 'conductivity_mS_cm', 'activation_energy_eV', 'finite_size', 'leave_one_out', 'teacher'),
    *('xi', 'highest_level_eV', 'percolation_3d_eV', 'free_volumes', 'scans'),
)


@pytest.mark.parametrize('name', OUTPUTS)
def test_outputs_of_any_content_are_reported(name, graph, tmp_path):
    """No report ends with an error, whatever its node contains; garbage in place of arrays and frames as well."""
    for value in (None, 'text', -1, [], {'a': 1}, [{'a': STORED}]):
        top = graph.work(f'dpasse.{name}')
        graph.calc('dpasse.md', 'md', top, outputs={})
        graph.give(top, {label: orm.Dict(dict.fromkeys(KEYS, value)).store() for label in OUTPUTS[name]})
        others = {'curves': np.zeros((0, 3)), 'parity': np.full(3, np.nan), 'learning_curve': np.zeros(2)}
        for label, array in others.items():
            data = orm.ArrayData()
            data.set_array('msd_A2_00', array)
            graph.give(top, {label: data.store()})
        graph.give(top, {'frames': orm.Int(3).store(), 'potential': orm.SinglefileData.from_string('garbage').store()})
        harmless(report_text(top))
        harmless(status_text(top))
    for path in write_report(top, tmp_path):
        assert path.stat().st_size > 0


def test_the_account_of_one_batch_is_damaged_alone(graph):
    top = graph.work('dpasse.initial_data')
    frames = FramesData.from_sets([frames_of({'Li': 2, 'Cl': 2}, 2, 1)])
    sound = {'requested': 2, 'admitted': 2, 'rejected': [], 'failed': []}
    for label, account in (('sound', sound), ('broken', {'requested': 'x'})):
        chain = graph.work('dpasse.label', label, top, {'frames': frames})
        graph.give(chain, {'account': orm.Dict(account).store(), 'frames': frames})
    good, bad = sorted(batches(top), key=lambda batch: batch.fault)
    assert good.balanced
    assert bad.fault
    assert not bad.balanced
    assert len(unaccounted(top)) == 1
    text = report_text(top)
    assert 'sound' in text
    assert bad.fault in text


def test_a_crystal_of_no_elements_is_drawn(graph):
    """The kinds of a structure are free text."""
    crystal = structure({'Li': 2, 'Cl': 2})
    crystal.store()
    overwrite(crystal, kinds=[{'name': STORED, 'symbols': ['Foo'], 'weights': [1.0], 'mass': 1.0}])
    top = graph.work('dpasse.conductivity', inputs={'structures__a': crystal})
    child = graph.work('dpasse.md.base', 'md', parent=top, inputs={'structure': crystal})
    graph.calc('dpasse.md', 'md', child, outputs={}, inputs={'structure': crystal})
    ElementTree.fromstring(chain_svg(top))
    harmless(report_text(top))
