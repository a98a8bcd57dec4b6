"""Dumps of one run in a triclinic cell, in every form that LAMMPS writes, have one diffusivity."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest

from aiida_dpasse.cli.trajectory import Source
from aiida_dpasse.cli.transport import analyse_file

IONS, ATOMS = 20, 32
TEMPERATURE, DAMPING, MASS = 600.0, 0.05, 6.94
#: kT / (m / damping) of a free Brownian particle, in cm^2/s.
TRUTH = 8.314463 * TEMPERATURE / (MASS * 1e-3) * DAMPING * 1e-12 * 1e4
CELL = np.array([[9.0, 0, 0], [2.0, 10, 0], [-3.0, 1.5, 8]])
ORIGIN = np.array([1.0, -2.0, 3.0])
GENERAL = 'triclinic/general yes'
#: Name, columns and `dump_modify` of each dump.
DUMPS = (
    ('unwrapped', 'xu yu zu', ''),
    ('wrapped', 'x y z', ''),
    ('images', 'x y z ix iy iz', ''),
    ('scaled', 'xs ys zs', ''),
    ('general', 'x y z', GENERAL),
    ('general_images', 'x y z ix iy iz', GENERAL),
    ('general_unwrapped', 'xu yu zu', GENERAL),
    ('general_scaled', 'xs ys zs', GENERAL),
)


def test_every_form_of_a_triclinic_dump_gives_one_diffusivity(programs, tmp_path):
    """Brownian ions beside bound hosts in a general triclinic cell (LAMMPS manual, "Triclinic simulation boxes")."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    cell = CELL @ turn
    points = np.random.default_rng(1).random((ATOMS, 3)) @ cell + ORIGIN
    data = ['tilted', '', f'{ATOMS} atoms', '2 atom types', '']
    data += [f'{x:.12f} {y:.12f} {z:.12f} {name}vec' for name, (x, y, z) in zip('abc', cell, strict=True)]
    data += ['{} {} {} abc origin'.format(*ORIGIN), '', 'Masses', '', f'1 {MASS}', '2 32.06', '', 'Atoms # atomic', '']
    data += [f'{i} {1 + (i > IONS)} {x:.10f} {y:.10f} {z:.10f}' for i, (x, y, z) in enumerate(points, 1)]
    (tmp_path / 'structure.data').write_text('\n'.join(data) + '\n')
    script = ['units metal', 'atom_style atomic', 'read_data structure.data', 'pair_style zero 3.0', 'pair_coeff * *']
    script += ['group ions type 1', 'group hosts type 2', f'velocity all create {TEMPERATURE} 1 mom yes']
    script += ['fix motion all nve', f'fix bath all langevin {TEMPERATURE} {TEMPERATURE} {DAMPING} 2']
    script += ['fix sites hosts spring/self 5', 'timestep 0.002']
    for name, columns, style in DUMPS:
        script.append(f'dump {name} all custom 50 {name}.lammpstrj id element {columns}')
        script.append(f'dump_modify {name} element Li S format float %.10g {style}')
    (tmp_path / 'input.in').write_text('\n'.join([*script, 'run 20000']) + '\n')
    program = programs['lmp']
    command = [program.path, '-in', 'input.in', '-log', 'none']
    environment = os.environ | program.environment
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    found = {}
    for name, *_ in DUMPS:
        found[name], _ = analyse_file(Source((tmp_path / f'{name}.lammpstrj',), 2.0), {'Li': 1.0}, TEMPERATURE)
    first = found['unwrapped']
    assert first['diffusive'] is True
    assert abs(first['tracer_diffusivity_cm2_s'] - TRUTH) < 3 * first['tracer_diffusivity_cm2_s_error']
    for numbers in found.values():
        for key in ('tracer_diffusivity_cm2_s', 'tracer_diffusivity_cm2_s_error', 'collective_diffusivity_cm2_s'):
            assert numbers[key] == pytest.approx(first[key], rel=1e-7)
        assert numbers['volume_A3'] == pytest.approx(np.linalg.det(CELL), rel=1e-9)
