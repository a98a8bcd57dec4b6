"""Known walks in many files, and AIMD of argyrodites, where the folder `shared` stands beside this repository.

The walks and their right values are described in `shared/cases/transport`; the AIMD is that of Morgan, Chem. Mater. 33,
2004 (2021), at 500 K.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_dpasse.cli.transport import transport

SHARED = Path(__file__).parents[3] / 'shared'
CASES, AIMD = SHARED / 'cases' / 'transport', SHARED / 'data' / 'argyrodite-AIMD-Morgan2021'
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason='the shared cases are not beside this repository')

LAMMPS = ('--timestep', 1, '--elements', 'Li S', '--hop-length', 2)
#: The same walk in many files: 24 ions, 0.1 ps between frames.
WALK = 0.981e-4
FILES = {
    'ref.extxyz': ('--timestep', 100),
    'e_gz.lammpstrj.gz': ('--timestep', 1, '--hop-length', 2),
    'e_gz_x.lammpstrj.gz': ('--timestep', 1, '--hop-length', 2),
    'd_imglost.lammpstrj': LAMMPS,
    'd_cutmid.lammpstrj': LAMMPS,
    'd_bz2.lammpstrj.bz2': LAMMPS,
    'd_dup.lammpstrj': LAMMPS,
    'd_reset.lammpstrj': LAMMPS,
    'd_min.lammpstrj': LAMMPS,
    'abc_xu.lammpstrj': LAMMPS,
    'wrapped_c.extxyz': ('--timestep', 100),
    'li_wrapped_only.extxyz': ('--timestep', 100),
    'x_neg/XDATCAR': ('--timestep', 100),
    'x_cat/XDATCAR': ('--timestep', 100),
    'run1.xdatcar': ('--timestep', 100),
    'cp2k-pos-1.xyz': ('--timestep', 100, '--cell', '12 12 12'),
    'm.dcd': ('--timestep', 100, '--topology', CASES / 'ref.extxyz'),
    'm.xtc': ('--timestep', 100, '--topology', CASES / 'ref.extxyz'),
    'm.nc': ('--timestep', 100, '--topology', CASES / 'ref.extxyz'),
}
#: Walks with memory: time between frames in fs, and D of the walk.
WALKS = {
    'cages_16ions.extxyz.gz': (200, 1.481e-5),
    'backjumps_20ions.extxyz.gz': (100, 1.172e-5),
    'few_hops_400ions.extxyz.gz': (400, 1.046e-6),
    'one_dimensional.extxyz.gz': (100, 1.56e-5),
}


def run(tmp_path, files, *options, temperature=600):
    """Return the exit status and the numbers of the command."""
    path = tmp_path / 'out.json'
    arguments = [*files, '--ion', 'Li', '--temperature', temperature, '--force', '--json', path, *options]
    result = CliRunner().invoke(transport, [str(argument) for argument in arguments])
    return result.exit_code, json.loads(path.read_text()) if path.exists() else {}


@pytest.mark.parametrize('name', FILES)
def test_one_walk_in_many_files(tmp_path, name):
    if name in ('m.dcd', 'm.xtc', 'm.nc'):
        pytest.importorskip('MDAnalysis')
    status, numbers = run(tmp_path, [CASES / name], *FILES[name])
    assert status == 0
    assert numbers['interval_ps'] == pytest.approx(0.2 if name.startswith('d_cut') else 0.1)
    assert numbers['volume_A3'] == pytest.approx(1473.6 if name.startswith('abc') else 1728, rel=1e-3)
    error = numbers['tracer_diffusivity_cm2_s_error']
    assert abs(numbers['tracer_diffusivity_cm2_s'] - WALK) < 2.5 * max(error, 0.034e-4)


@pytest.mark.parametrize('name', WALKS)
def test_walks_with_memory(tmp_path, name):
    interval, right = WALKS[name]
    status, numbers = run(tmp_path, [CASES / name], '--timestep', interval)
    low, high = numbers['tracer_diffusivity_cm2_s_interval_95']
    assert (status, numbers['diffusive']) == (0, True)
    assert low < right < high
    assert numbers['tracer_diffusivity_cm2_s'] == pytest.approx(right, rel=0.15)


def test_what_is_no_diffusion(tmp_path):
    """A framework that melts in the last tenth, and atoms in another order, which are refused."""
    status, numbers = run(tmp_path, [CASES / 'melts_in_last_tenth.extxyz.gz'], '--timestep', 200)
    assert (status, numbers['diffusive'], numbers['tracer_diffusivity_upper_bound_cm2_s']) == (0, False, None)
    assert run(tmp_path / 'none', [CASES / 'shuffled_same.extxyz'], '--timestep', 100)[0] == 2


def test_the_interval_is_that_of_the_steps(tmp_path):
    status, numbers = run(tmp_path, [CASES / 'lammps_real_units_time.lammpstrj'], '--timestep', 2, '--elements', 'Li S')
    assert (status, numbers.get('interval_ps')) == (0, pytest.approx(0.02))


@pytest.mark.parametrize(
    ('system', 'diffusive', 'changed'),
    [('Li6PS5Cl_0p', False, 0), ('Li6PS5I_0p', False, 0), ('Li6PS5Cl_50p', True, 125), ('Li6PS5I_50p', True, 125)],
)
def test_argyrodites(tmp_path, system, diffusive, changed):
    """In the ordered crystals no ion leaves its cage; with half of the anions exchanged many of 192 do."""
    files = sorted(AIMD.glob(f'{system}_run*'), key=lambda path: int(path.name.split('_run')[1].split('_')[0]))
    status, numbers = run(tmp_path, files, '--timestep', 100, temperature=500)
    (found,) = numbers['exchanges']
    assert (status, numbers['ions'], numbers['diffusive']) == (0, 192, diffusive)
    assert found['ions_exchanged'] == pytest.approx(changed, abs=30)
    assert found['confined'] is not diffusive
    if diffusive:
        # Independent exchanges, of which at least these are seen, would give this D.
        most = found['exchanges'] * found['square_distance'] / (6 * 192 * found['duration']) * 1e-4
        assert 0.2 * most < numbers['tracer_diffusivity_cm2_s'] < 1.5 * most
    else:
        assert found['exchanges'] == 0
        assert numbers['tracer_diffusivity_upper_bound_cm2_s'] < 1e-7
