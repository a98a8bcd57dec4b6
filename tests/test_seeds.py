"""Seeds of children."""

from aiida_dpasse.seeds import LARGEST_SEED, derive_seed


def test_derived_seeds_are_replayable_and_distinct():
    """The same labels give the same seed, others another, all within LAMMPS' range."""
    seeds = {derive_seed(1, 'md', index) for index in range(1000)}
    assert len(seeds) == 1000
    assert all(1 <= seed <= LARGEST_SEED for seed in seeds)
    assert derive_seed(1, 'md', 3) == derive_seed(1, 'md', '3') == 57415344
    assert derive_seed(2, 'md', 3) != derive_seed(1, 'md', 3)
