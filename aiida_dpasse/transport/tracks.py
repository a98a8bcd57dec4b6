"""The ways of the mobile ions through a trajectory of any length, in memory that does not grow with it.

Needs numpy only, since it travels with a driver to the machine where the trajectory lies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.displacement import framework_weights

Array = NDArray[np.float64]

#: Fewer frames than this make no statistics.
FEWEST_FRAMES = 8
#: Most coordinates that are kept, 128 MB of them; the transforms take some three times as much.
LARGEST = 16_000_000
#: Wrapped ions that move further than this part of the cell between two frames may have moved by the rest, the other
#: way; so many of them make a trajectory that cannot be unwrapped.
LONGEST_MOVE, LARGEST_PART = 0.4, 1e-3


class Tracks:
    """Ways of the mobile ions relative to the framework, thinned out by two whenever they exceed ``limit`` frames.

    They are kept in fractional coordinates: a cell that breathes (NPT) moves no ion. The framework is compared with the
    crystal at fractional ``sites`` (natoms, 3), so that one which fell apart while it was equilibrated is told as well;
    without them, with the first frame. Frames that are left out still count for unwrapping.

    :param symbols: of all atoms (natoms,), and their ``masses`` in any unit.
    :param ions: symbols of the mobile ions.
    :param limit: most frames that are kept; fewer if there are so many ions that `LARGEST` would be exceeded.
    :param wrapped: whether positions are folded back into the cell; no atom may then move half a cell in one frame.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        masses: Sequence[float],
        ions: Collection[str],
        limit: int,
        sites: Any = None,
        wrapped: bool = False,
    ):
        self.mobile = np.isin(np.array(symbols), list(ions))
        # Where all atoms are mobile nothing tells drift from conduction: then none is taken off.
        self.weights = framework_weights(masses, ~self.mobile) * (not self.mobile.all())
        affordable = LARGEST // (3 * max(int(self.mobile.sum()), 1))
        self.limit = max(min(limit, affordable), 2 * FEWEST_FRAMES)
        self.stride, self.seen = 1, 0
        self.wrapped = wrapped
        #: Moves between frames so long that the image may be the wrong one, and all moves.
        self.doubtful, self.moves = 0, 0
        self.steps: list[int] = []
        self.ions: list[Array] = []
        self.centres: list[Array] = []
        self.cells: list[Array] = []
        #: Root mean square displacement of the framework's atoms from the crystal's, A.
        self.framework: list[float] = []
        self.sites = None if sites is None else np.asarray(sites, dtype=float)
        self._last: Array | None = None

    def add(self, step: int, cell: Array, positions: Array) -> None:
        """Take in one frame: ``cell`` (3, 3) A with lattice vectors as rows, ``positions`` (natoms, 3) A."""
        keep = self.seen % self.stride == 0
        self.seen += 1
        if not (keep or self.wrapped):
            return
        scaled = positions @ np.linalg.inv(cell)
        if self.wrapped:
            if self._last is not None:
                scaled = scaled - np.round(scaled - self._last)
                moves = np.abs(scaled - self._last)[self.mobile]
                self.doubtful += int(np.sum(moves > LONGEST_MOVE))
                self.moves += moves.size
            self._last = scaled
        if not keep:
            return
        centre = self.weights @ scaled
        if not self.steps:
            # Whoever wrote the trajectory chose the images.
            sites = scaled if self.sites is None else self.sites + np.round(scaled - self.sites)
            self.sites = sites - self.weights @ sites
        self.steps.append(step)
        self.centres.append(centre)
        self.ions.append(scaled[self.mobile] - centre)
        self.cells.append(cell)
        assert self.sites is not None
        moved = np.sum((((scaled - centre - self.sites) @ cell)[~self.mobile]) ** 2, axis=1)
        self.framework.append(float(np.sqrt(moved.mean())) if len(moved) else 0.0)
        if len(self.steps) > self.limit:
            self.stride *= 2
            for name in ('steps', 'ions', 'centres', 'cells', 'framework'):
                setattr(self, name, getattr(self, name)[::2])

    def gap(self) -> int:
        """Return the number of steps between the frames kept.

        :raises ValueError: if there are fewer than `FEWEST_FRAMES`, they are not evenly spaced, or too far to unwrap.
        """
        frames = len(self.steps)
        if frames < FEWEST_FRAMES:
            raise ValueError(f'The trajectory holds {frames} whole frames, at least {FEWEST_FRAMES} are needed.')
        gaps = np.unique(np.diff(self.steps))
        if len(gaps) > 1 or gaps[0] <= 0:
            spread = f'{gaps.min()} to {gaps.max()} steps apart'
            raise ValueError(f'The frames are {spread} and should be evenly spaced: give all segments of the run.')
        if self.doubtful > LARGEST_PART * self.moves:
            part = f'{self.doubtful} of {self.moves} moves between frames are longer than {LONGEST_MOVE} of the cell'
            raise ValueError(f'{part}: give unwrapped positions, or frames that are closer in time.')
        return int(gaps[0])

    def positions(self) -> Array:
        """Return the ions' ways (frames, ions, 3) in A, in the mean cell."""
        return np.array(self.ions) @ np.array(self.cells).mean(axis=0)

    def summary(self) -> dict[str, float]:
        """Return the mean volume, and what the framework did: displacement in the second half, and drift, in A."""
        cells = np.array(self.cells)
        centres = np.array(self.centres) @ cells.mean(axis=0)
        return {
            'volume_A3': float(np.abs(np.linalg.det(cells)).mean()),
            'framework_displacement_A': float(np.mean(self.framework[len(self.steps) // 2 :])),
            'framework_drift_A': float(np.linalg.norm(centres - centres[0], axis=1).max()),
        }
