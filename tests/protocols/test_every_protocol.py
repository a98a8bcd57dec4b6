"""Every protocol of every chain runs with the real programs to its end, with small sizes and nothing else changed.

The cases are derived from the entry points and the YAML: a new chain or protocol is in it by itself.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.engine.processes.ports import PortNamespace
from aiida.manage.caching import enable_caching
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from reduction import SIZES, reduce_sizes, walk
from vasp_family import FAMILY, upload_family, vasp_code

from aiida_dpasse.base.protocols import PROTOCOLS, protocol
from aiida_dpasse.cli.programs import find_cp2k, prepend_text
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.merging import merge
from aiida_dpasse.renamed import ENTRY_POINTS
from aiida_dpasse.reports.graph import entry_point
from aiida_dpasse.train.train import TrainBaseWorkChain

pytestmark = pytest.mark.protocols

#: Energy in eV and distance in A of the pair potential that labels: its crystals are close-packed and melt at 800 K.
PAIRS = {'epsilon': 0.1, 'sigma': 2.3, 'rc': 5.0, 'smooth': True}
#: Lattice constant in A at which that potential has no stress.
LATTICE = 3.5735
CHAINS = {
    entry.name: entry.load()
    for entry in entry_points(group='aiida.workflows')
    if entry.name.startswith('dpasse.') and entry.name not in ENTRY_POINTS and hasattr(entry.load(), 'PROTOCOL')
}
STUDY = 'dpasse.electrolyte'
#: The study first: the chains that it calls run by the same protocol, and do not have to run once more by themselves.
ORDER = sorted(CHAINS, key=lambda name: (name != STUDY, name))
#: Chains that a study called, by protocol.
RAN: dict[str, set[str]] = {}
#: What only the user knows.
USERS = {'dpasse.label.vasp': {'vasp': {'potential_family': FAMILY}}, 'dpasse.locality': {'supercell': [2, 3, 3]}}


def crystal(symbols: tuple[str, str] = ('Li', 'Cl')) -> Atoms:
    """Eight atoms of a close-packed crystal of two elements in layers."""
    atoms = bulk(symbols[0], 'fcc', a=LATTICE, cubic=True) * (2, 1, 1)
    atoms.symbols[np.isclose(atoms.positions[:, 0] % LATTICE, 0)] = symbols[1]
    return atoms


def labelled(symbols: tuple[str, str], number: int, seed: int) -> list[Atoms]:
    """Rattled and strained crystals with labels, close contacts among them: dynamics comes to some."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < number:
        atoms = crystal(symbols)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=rng.uniform(0.05, 0.3), size=atoms.positions.shape)
        atoms.calc = LennardJones(**PAIRS)
        atoms.get_stress()
        if np.abs(atoms.get_forces()).max() < 15.0:
            found.append(atoms)
    return found


@pytest.fixture(scope='session')
def given(codes, localhost, tmp_path_factory) -> dict[str, Any]:
    """Inputs by the names of their ports, and all codes."""
    frames = FramesData.from_ase([*labelled(('Li', 'Cl'), 40, 1), *labelled(('Li', 'Br'), 40, 2)]).store()
    other = FramesData.from_ase(labelled(('Li', 'Cl'), 12, 3)).store()
    salts = [bulk('LiCl', 'rocksalt', a=5.2, cubic=True) for _ in range(2)]
    for seed, salt in enumerate(salts):
        salt.rattle(0.05, seed=seed)
    few = FramesData.from_ase(salts).store()
    structure = orm.StructureData(ase=crystal()).store()
    bromide = orm.StructureData(ase=crystal(('Li', 'Br'))).store()
    potentials = {}
    for seed, name in enumerate(('member_00', 'member_01')):
        # Dynamics with it has to keep its temperature, which the reduced models do not.
        more = {'numb_steps': 2500, 'save_freq': 2500, 'disp_freq': 500, 'training_data': {'batch_size': 4}}
        learning = {'training': more, 'learning_rate': {'decay_steps': 25}}
        parameters = TrainBaseWorkChain.protocol_parameters('demo', {'preset': 'member-demo', 'input': learning})
        builder = TrainBaseWorkChain.get_builder_from_protocol(codes['dp'], frames)
        builder.train.parameters = orm.Dict({**parameters, 'seed': seed})
        _, node = run_get_node(builder)
        assert node.is_finished_ok, node.exit_message
        potentials[name] = node.outputs.frozen
    builder = TrainBaseWorkChain.get_builder_from_protocol(codes['dp'], frames)
    builder.train.parameters = orm.Dict(reduce_sizes(TrainBaseWorkChain.protocol_parameters('demo')))
    _, large = run_get_node(builder)
    assert large.is_finished_ok, large.exit_message
    folder = tmp_path_factory.mktemp('labels')
    upload_family(folder, ['Li_sv', 'Cl', 'Br'])
    module = {'calculator': 'ase.calculators.lj:LennardJones', 'arguments': PAIRS}
    program = folder / 'program.py'
    program.write_text(SHELL_PROGRAM)
    more = {'vasp': vasp_code(localhost, folder, **module)[0], 'python': codes['python']}
    more['shell'] = orm.InstalledCode(
        computer=localhost,
        filepath_executable=codes['python'].get_executable().as_posix(),
        label='shell',
        prepend_text=codes['python'].prepend_text,
    ).store()
    if (cp2k := find_cp2k()) is not None:
        text = prepend_text(cp2k, 1)
        more['cp2k'] = orm.InstalledCode(
            computer=localhost, filepath_executable=cp2k.path, label='cp2k', prepend_text=text
        ).store()
    return {
        'codes': {**codes, **more},
        'program': str(program),
        'frames': frames,
        'other': other,
        'few': few,
        'structure': structure,
        'bromide': bromide,
        'potentials': potentials,
        'large': large.outputs,
        'calculator': orm.Dict({'name': 'lj', **PAIRS}).store(),
    }


#: Reads extended XYZ and writes it with the labels of the pair potential.
SHELL_PROGRAM = f"""
import sys
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

labelled = []
for atoms in read(sys.argv[1], ':', format='extxyz'):
    atoms.calc = LennardJones(**{PAIRS})
    found = dict(energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=atoms.get_stress())
    atoms.calc = SinglePointCalculator(atoms, **found)
    labelled.append(atoms)
write(sys.argv[2], labelled, format='extxyz')
"""


def inputs_for(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of the chain ``name``: all of its ports that are data."""
    ports = CHAINS[name].spec().inputs
    first, second = given['potentials'].values()
    single = {
        'structure': given['structure'],
        'reference': given['structure'],
        'frames': given['frames'],
        'training_data': given['frames'],
        'test_data': given['other'],
        'potential': first,
        'student': first,
        'teacher': second,
        'driver': first,
        'pretrained': given['large'].checkpoint,
    }
    spaces = {
        'structures': {'licl': given['structure']},
        'electrolyte': {'licl': given['structure']},
        'finetune_structures': {'libr': given['bromide']},
        'training_data': {'all': given['frames']},
        'test_sets': {'other': given['other']},
        'potentials': given['potentials'],
        'calculators': {'pairs': given['calculator']},
    }
    if name.startswith('dpasse.label'):
        single['frames'] = given['few']
    found: dict[str, Any] = {}
    for port in ports:
        source = spaces if isinstance(ports[port], PortNamespace) else single
        if port in source:
            found[port] = source[port]
    if name == STUDY:
        # Every phase runs: no result is given instead of it.
        found['structures'] = {'licl': given['structure'], 'libr': given['bromide']}
        for port in ('student', 'frames', 'pretrained', 'test_data'):
            found.pop(port, None)
    if 'calculator' in ports and 'teacher' in ports and not ports['teacher'].required:
        found.pop('teacher', None)
    if 'calculator' in ports:
        # Where they stand for each other, LAMMPS runs the potential, and the driver labels with the calculator.
        exchangeable = 'potential' in ports and not ports['potential'].required
        if not (exchangeable and 'lmp' in CHAINS[name].CODES):
            found['calculator'] = given['calculator']
            if exchangeable:
                found.pop('potential', None)
    return found


def builder_of(name: str, known: str, given: dict[str, Any]) -> Any:
    """Return the builder of a chain by a protocol with small sizes."""
    chain, codes = CHAINS[name], given['codes']
    if name == 'dpasse.train.base':
        builder = chain.get_builder_from_protocol(codes['dp'], given['frames'], protocol=known)
        builder.train.parameters = orm.Dict(reduce_sizes(chain.protocol_parameters(known)))
        return builder
    if name == 'dpasse.md.base':
        builder = chain.get_builder_from_protocol(codes['lmp'], given['structure'], given['potentials'], protocol=known)
        builder.md.parameters = orm.Dict(reduce_sizes(chain.protocol_parameters(known)))
        return builder
    # Codes that label would stand beside the calculator.
    wanted = {*chain.CODES, *{'dp', 'lmp', 'python'}.intersection(chain.OPTIONAL_CODES)}
    own = {key: code for key, code in codes.items() if key in wanted}
    overrides = dict(USERS.get(name, {}))
    if name == 'dpasse.label.shell':
        overrides = {'shell': {'arguments': [given['program'], '{frames}', 'labels.xyz']}}
    small = reduce_sizes(merge(chain.protocol_parameters(known), overrides))
    builder = chain.get_builder_from_protocol(
        own, protocol=known, overrides=overrides, max_concurrent=2, **inputs_for(name, given)
    )
    builder.parameters = orm.Dict(small)
    return builder


def is_answer(node: orm.ProcessNode) -> bool:
    """Whether a process ended with 0 or a verdict."""
    return bool(node.is_finished and (node.exit_status == 0 or node.exit_status >= 600))


def test_every_protocol_is_a_case():
    """The YAML of every chain holds all the protocols."""
    for chain in CHAINS.values():
        for known in PROTOCOLS:
            assert protocol(chain.PROTOCOL, known)


class EveryChain:
    """Every chain by one protocol, on one worker: `--dist loadscope`."""

    known: str

    @pytest.mark.parametrize('name', ORDER)
    def test_nothing_but_sizes_becomes_small(self, name):
        """The reduction leaves every entry where it is, and changes those that are sizes by their name."""
        whole = CHAINS[name].protocol_parameters(self.known)
        small = reduce_sizes(whole)
        entries = {path: value for path, value in walk(whole)}
        for path, value in walk(small):
            assert value == entries.pop(path) or path[-1] in SIZES
        assert not entries

    @pytest.mark.parametrize('name', ORDER)
    def test_it_ends_with_its_answer_or_a_verdict(self, name, given):
        """No process is excepted, and the chain ends with 0 or with a verdict (6xx)."""
        if name == 'dpasse.label.cp2k' and 'cp2k' not in given['codes']:
            pytest.skip('CP2K is not installed: apt-get install cp2k')
        if name in RAN.get(self.known, ()):
            return
        with enable_caching():
            _, node = run_get_node(builder_of(name, self.known, given))
        if name == STUDY:
            RAN[self.known] = {entry_point(child) for child in node.called_descendants if is_answer(child)}
        ended = {child.pk: child.process_state.value for child in node.called_descendants}
        assert set(ended.values()) <= {'finished'}, ended
        assert node.is_finished, node.exception
        assert is_answer(node), node.exit_message


for _known in PROTOCOLS:
    _class = f'Test{_known.title().replace("-", "")}'
    globals()[_class] = type(_class, (EveryChain,), {'known': _known})
