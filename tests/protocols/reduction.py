"""One generic reduction of a protocol: sizes become small, and nothing else changes.

Numbers of steps, frames, atoms, temperatures, repetitions and neurons are sizes. Phases, criteria, ensembles, limits
and sections stay as the protocol has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def most(limit: float) -> Callable[[Any], Any]:
    """Return the reduction to at most ``limit``; null and text stay."""

    def reduce(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        return type(value)(min(value, limit))

    return reduce


def least(limit: float) -> Callable[[Any], Any]:
    """Return the reduction to at least ``limit``, of what is dense where it is small."""
    return lambda value: max(value, limit) if isinstance(value, int | float) else value


def shrunk(value: Any) -> Any:
    """A cutoff becomes two thirds of itself: one has to stay above another."""
    return round(value * 2 / 3, 3) if isinstance(value, int | float) else value


def thinned(value: Any) -> Any:
    """A number of neighbours becomes a third of itself: one has to stay above another."""
    return max(value // 3, 6) if isinstance(value, int) else value


def first(count: int) -> Callable[[Any], Any]:
    """Return the reduction of a list to its first ``count`` entries."""
    return lambda value: value[:count] if isinstance(value, list) else value


def count_of_frames(value: Any) -> Any:
    """A number of frames becomes four, a fraction of them stays."""
    return 4 if isinstance(value, int | float) and value >= 1 else value


def replaced_by(*values: Any) -> Callable[[Any], Any]:
    """Return the reduction of a list to at most as many of these values as it has entries."""
    return lambda given: list(values[: len(given)]) if isinstance(given, list) else given


#: What is a size, by its name wherever it stands. A number in `steps` of a list of lengths has rules of its own below.
SIZES: dict[str, Callable[[Any], Any]] = {
    # dynamics
    'steps': most(60),
    'warm_up_steps': most(5),
    'maximum_steps': most(240),
    'interval': most(5),
    'thermo_interval': most(10),
    'sample_interval': most(5),
    'trajectory_interval': most(2),
    'restart_interval': most(20),
    'temperatures': first(3),
    'pressures': first(1),
    'replicas': most(2),
    'starts': most(2),
    # atoms
    'supercell': most(5.0),
    'supercells': replaced_by(5.0, 10.0),
    'atoms': replaced_by(16, 64),
    'distances': replaced_by(3.0, 4.0),
    'centres': most(1),
    # frames
    'number': most(2),
    'scales': first(2),
    'frames': most(5),
    'max_candidates': most(4),
    'max_frames': most(20),
    'parity_points': most(50),
    'test': count_of_frames,
    'sizes': replaced_by(4, 8),
    # grids of plane waves and k-points
    'cutoff': most(150),
    'rel_cutoff': most(30),
    'spacing': least(2.0),
    # trainings
    'numb_steps': most(100),
    'save_freq': most(50),
    'disp_freq': most(20),
    'decay_steps': most(5),
    'epochs': most(2),
    'repeats': most(1),
    'members': most(2),
    'minimum_members': most(2),
    'students': most(2),
    'max_rounds': most(1),
    'max_active_iterations': most(2),
    'max_simplify_iterations': most(2),
    # models
    'neuron': lambda value: [8] * len(value) if len(set(value)) == 1 else [4, 8, 16][: len(value)],
    'axis_neuron': most(2),
    'nlayers': most(1),
    'nsel': thinned,
    'three_body_sel': thinned,
    'e_sel': thinned,
    'a_sel': thinned,
    'rcut': shrunk,
    'rcut_smth': shrunk,
    'three_body_rcut': shrunk,
    'three_body_rcut_smth': shrunk,
    'e_rcut': shrunk,
    'e_rcut_smth': shrunk,
    'a_rcut': shrunk,
    'a_rcut_smth': shrunk,
    'g1_dim': most(8),
    'g2_dim': most(4),
    'n_dim': most(8),
    'e_dim': most(8),
    'a_dim': most(4),
    'attn1_hidden': most(4),
    'attn2_hidden': most(4),
}


def reduce_sizes(tree: Any, name: str = '') -> Any:
    """Return ``tree``, the parameters of a protocol, with small sizes."""
    if isinstance(tree, Mapping):
        return {key: reduce_sizes(value, key) for key, value in tree.items()}
    if name == 'steps' and isinstance(tree, list):
        # Lengths of runs, of which the shortest still needs sixteen frames.
        return [40, 60][: len(tree)]
    return SIZES[name](tree) if name in SIZES and tree is not None else tree


def walk(tree: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and value of every entry of ``tree`` that is no mapping, or an empty one."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from walk(value, (*prefix, key))
    else:
        yield prefix, tree
