"""One iteration of active learning by DP-GEN and by this package: how long beside the time that the programs take.

In a profile that `aiida-dpasse setup` has seen, with DP-GEN installed in an environment of its own:
    verdi -p quickstart run tests/benchmarks/dpgen_iteration.py DPGEN FOLDER

DPGEN is the path of the command `dpgen`, FOLDER an empty directory. Both read the same param.json and machine.json: a
committee of four, molecular dynamics at four temperatures, at most 20 labels, the committee anew. Both run the same
`dp`, `lmp` and CHGNet, two at a time, through wrappers that write down when each program began and ended. It reports
the wall time, the time in which at least one program ran, and the ratio of both: what a queue-free cluster would
see. DP-GEN starts CHGNet for each frame, we for a batch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from aiida import load_profile, orm
from aiida.engine import submit
from aiida.engine.daemon.client import get_daemon_client
from ase.io import read, write

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.from_dpgen import builder_from_dpgen, read_frames
from aiida_dpasse.structures.prototypes import argyrodite

ELEMENTS = ['Li', 'P', 'S', 'Cl']
#: Codes that `aiida-dpasse setup` registered, by the name of their wrapper.
PROGRAMS = {'dp': 'dp', 'lmp': 'lmp', 'label': 'python', 'python': 'python'}
#: Labels the frames of one file into another, for both.
LABELLER = """import sys
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from chgnet.model import CHGNetCalculator

frames = read(sys.argv[1], ':')
calculator = CHGNetCalculator(use_device='cpu')
for atoms in frames:
    atoms.calc = calculator
    values = {name: atoms.calc.get_property(name, atoms) for name in ('energy', 'forces', 'stress')}
    # The calculator keeps the results of the last frame only.
    atoms.calc = SinglePointCalculator(atoms, **values)
    atoms.info['virial'] = -atoms.get_volume() * atoms.get_stress(voigt=False)
write(sys.argv[2], frames, format='extxyz')
"""
WRAPPER = """#!/bin/bash
begin=$(date +%s.%N)
{environment}
{command} "$@"
status=$?
echo "$begin $(date +%s.%N) {name}" >> {log}
exit $status
"""


def param(train_steps: int, md_steps: int) -> dict[str, object]:
    """What both read."""
    descriptor = {'type': 'se_e2_a', 'rcut': 5.0, 'rcut_smth': 0.5, 'sel': [36, 8, 36, 8], 'neuron': [10, 20, 40]}
    training = {
        'model': {
            'descriptor': {**descriptor, 'axis_neuron': 8, 'type_one_side': True},
            'fitting_net': {'neuron': [64, 64, 64]},
        },
        'learning_rate': {'type': 'exp', 'start_lr': 5e-3, 'stop_lr': 1e-4, 'decay_steps': 20},
        'loss': {'start_pref_e': 0.02, 'limit_pref_e': 1, 'start_pref_f': 1000, 'limit_pref_f': 100},
        'training': {'numb_steps': train_steps, 'disp_freq': 100, 'save_freq': 1000},
    }
    job = {'sys_idx': [0], 'temps': [50, 100, 150, 200], 'press': [1.0], 'ensemble': 'nvt'}
    return {
        'type_map': ELEMENTS,
        'mass_map': 'auto',
        'init_data_prefix': '.',
        'init_data_sys': ['data'],
        'sys_configs_prefix': '.',
        'sys_configs': [['POSCAR']],
        'sys_format': 'vasp/poscar',
        'init_batch_size': [1],
        'sys_batch_size': [1],
        'numb_models': 4,
        'train_backend': 'tensorflow',
        'default_training_param': training,
        'model_devi_dt': 0.001,
        'model_devi_skip': 0,
        'model_devi_f_trust_lo': 0.02,
        'model_devi_f_trust_hi': 10.0,
        'model_devi_jobs': [{**job, 'trj_freq': 20, 'nsteps': md_steps}],
        'fp_style': 'custom',
        'shuffle_poscar': False,
        'fp_task_max': 20,
        'fp_task_min': 1,
        'ratio_failed': 0.5,
        'fp_params': {'input_fn': 'POSCAR', 'input_fmt': 'vasp/poscar', 'output_fn': 'out.xyz', 'output_fmt': 'extxyz'},
    }


def machine(folder: Path) -> dict[str, object]:
    """Programs of this machine, two at a time: DP-GEN runs the tasks of a group one after the other."""
    commands = {'train': 'dp', 'model_devi': 'lmp', 'fp': 'label'}
    groups = {'train': 2, 'model_devi': 2, 'fp': 10}
    return {
        'api_version': '1.0',
        **{
            step: {
                'command': f'{folder}/{name}' + (' POSCAR out.xyz' if step == 'fp' else ''),
                'machine': {
                    'batch_type': 'Shell',
                    'context_type': 'LazyLocalContext',
                    'local_root': './',
                    'remote_root': './',
                },
                'resources': {
                    'number_node': 1,
                    'cpu_per_node': 1,
                    'gpu_per_node': 0,
                    'group_size': groups[step],
                },
            }
            for step, name in commands.items()
        },
    }


def write_programs(folder: Path) -> None:
    """Write the wrappers around this machine's programs."""
    folder.mkdir(parents=True)
    (folder / 'label.py').write_text(LABELLER)
    for name, program in PROGRAMS.items():
        code = orm.load_code(f'{program}@localhost')
        command = f'{code.filepath_executable} {folder}/label.py' if name == 'label' else code.filepath_executable
        text = WRAPPER.format(name=name, log=folder / 'times', command=command, environment=code.prepend_text)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def write_inputs(folder: Path, train_steps: int, md_steps: int) -> None:
    """Write the crystal, and 60 displaced copies with CHGNet's labels as DeePMD-kit's dataset."""
    crystal = argyrodite('Cl').to_ase_atoms()
    crystal = crystal[np.argsort([ELEMENTS.index(symbol) for symbol in crystal.symbols], kind='stable')]
    write(folder / 'POSCAR', crystal, format='vasp')
    random = np.random.default_rng(1)
    copies = []
    for size in np.repeat([0.02, 0.05, 0.1], 20):
        copies.append(crystal.copy())
        copies[-1].positions += random.normal(0, size, (len(crystal), 3))
    write(folder / 'first.xyz', copies, format='extxyz')
    subprocess.run([folder / 'bin' / 'label', 'first.xyz', 'labels.xyz'], cwd=folder, check=True)
    FramesData.from_ase(read(folder / 'labels.xyz', ':')).write(folder / 'data', type_map=ELEMENTS)
    (folder / 'param.json').write_text(json.dumps(param(train_steps, md_steps), indent=1))
    (folder / 'machine.json').write_text(json.dumps(machine(folder / 'bin'), indent=1))


def program_seconds(log: Path) -> dict[str, float]:
    """Seconds in which at least one program ran, and the sum by program, of the intervals in ``log``."""
    rows = [line.split() for line in log.read_text().splitlines()]
    intervals = sorted((float(begin), float(end)) for begin, end, _ in rows)
    total, until = 0.0, 0.0
    for begin, end in intervals:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    sums = {name: sum(float(end) - float(begin) for begin, end, other in rows if other == name) for *_, name in rows}
    return {'any': total, **sums}


def run_dpgen(folder: Path, dpgen: str) -> int:
    """Run DP-GEN and return how many labels it made."""
    with (folder / 'dpgen.out').open('w') as out:
        subprocess.run([dpgen, 'run', 'param.json', 'machine.json'], cwd=folder, stdout=out, stderr=out, check=True)
    return len(list(folder.glob('iter.000000/02.fp/task.*/out.xyz')))


def run_ours(folder: Path) -> int:
    """Run the same through AiiDA and return how many labels it made."""
    computer = orm.load_computer('localhost')
    codes = {
        name: orm.InstalledCode(computer=computer, filepath_executable=str(folder / 'bin' / name)).store()
        for name in PROGRAMS
    }
    codes['shell'] = codes.pop('label')
    builder, _ = builder_from_dpgen(
        folder / 'param.json',
        codes,
        folder / 'machine.json',
        protocol='balanced',
        # DP-GEN holds nothing out.
        overrides={'validation': 1, 'label': {'batch_size': 20}},
        frames=read_frames([folder / 'data']),
    )
    node = submit(builder, wait=True, wait_interval=1)
    print(f'{node.process_label}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
    return int(node.outputs.account['admitted'])


def main(dpgen: str, folder: Path, train_steps: int = 2000, md_steps: int = 3000) -> None:
    """Prepare, and run both."""
    folder = folder.resolve()
    client = get_daemon_client()
    client.start_daemon(number_workers=2)
    write_programs(folder / 'bin')
    write_inputs(folder, train_steps, md_steps)
    try:
        compare(folder, dpgen)
    finally:
        client.stop_daemon(wait=True)


def compare(folder: Path, dpgen: str) -> None:
    """Run both and print the table."""
    log = folder / 'bin' / 'times'
    print('              wall (s)  programs (s)  ratio  labels  of dp, lmp, label, python (s)')
    for name, run in (('DP-GEN', lambda: run_dpgen(folder, dpgen)), ('aiida-dpasse', lambda: run_ours(folder))):
        log.unlink(missing_ok=True)
        begin = time.time()
        labels = run()
        wall = time.time() - begin
        seconds = program_seconds(log)
        log.rename(folder / f'times.{name}')
        sums = ', '.join(f'{seconds.get(program, 0):.0f}' for program in PROGRAMS)
        print(f'{name:12s}  {wall:8.0f}  {seconds["any"]:12.0f}  {wall / seconds["any"]:5.3f}  {labels:6d}  {sums}')


if __name__ == '__main__':
    load_profile()
    main(sys.argv[1], Path(sys.argv[2]), *(int(argument) for argument in sys.argv[3:]))
