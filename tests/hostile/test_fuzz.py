"""Mutated input of every reader is read or refused in one sentence; `fuzz.py` does the same with hundreds of each."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hostile.mutations import ENTRANCES, mutate, outcome, sample, write_mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize('name', ENTRANCES)
@settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_mutated_files_are_read_or_refused_in_one_sentence(name, seed):
    entrance = ENTRANCES[name]
    with tempfile.TemporaryDirectory() as folder:
        write_mutated(entrance, Path(folder), seed)
        assert outcome(entrance, Path(folder)) in ('read', 'refused')


@pytest.mark.parametrize('name', ENTRANCES)
def test_the_input_that_is_mutated_is_sound(name):
    assert outcome(ENTRANCES[name], sample(ENTRANCES[name])) == 'read'


def test_a_seed_gives_the_same_mutation():
    content = b'ITEM: TIMESTEP\n10\n' * 20
    assert mutate(random.Random(3), content) == mutate(random.Random(3), content) != content


def test_small_files_that_declare_much_end_soon_in_bounded_memory():
    """Each in 5 s and 500 MB, in a process of its own that enforces both."""
    script = Path(__file__).with_name('fuzz.py')
    done = subprocess.run(
        [sys.executable, str(script), '--lies'],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('\n') >= 25
