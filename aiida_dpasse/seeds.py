"""Derivation of random seeds, kept in one place so that every random choice is reproducible."""

from __future__ import annotations

import hashlib

# LAMMPS rejects zero and velocity seeds above 900 million.
LARGEST_SEED = 899_999_999


def derive_seed(seed: int, *labels: str | int) -> int:
    """Derive the seed of a child process or step.

    The result is the same on every machine; different labels give independent seeds.

    :param seed: seed of the parent.
    :param labels: labels of the child.
    :return: a seed in 1..899_999_999.
    """
    text = '/'.join([str(int(seed)), *(str(label) for label in labels)])
    return 1 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big') % LARGEST_SEED
