"""The one place where random seeds are derived, so that every random choice is replayable."""

from __future__ import annotations

import hashlib

# LAMMPS refuses velocity seeds above 900 million, and zero.
LARGEST_SEED = 899_999_999


def derive_seed(seed: int, *labels: str | int) -> int:
    """Return a child's seed in 1..899_999_999 from the parent's ``seed`` and the child's ``labels``.

    The same arguments give the same seed on every machine; different labels give independent seeds.
    """
    text = '/'.join([str(int(seed)), *(str(label) for label in labels)])
    return 1 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big') % LARGEST_SEED
