"""Trajectories of the mobile ions from a run of any length, in bounded memory.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.displacement import framework_weights

Array = NDArray[np.float64]

#: Smallest number of frames for displacement statistics.
FEWEST_FRAMES = 8
#: Largest number of coordinates stored (128 MB); the transforms need about three times as much memory.
LARGEST = 16_000_000
#: A wrapped ion that moves further than this fraction of the cell between two frames may have moved the other way; a
#: trajectory with a larger fraction of such moves cannot be unwrapped.
LONGEST_MOVE, LARGEST_PART = 0.4, 1e-3


class Tracks:
    """Trajectories of the mobile ions relative to the framework, thinned by two whenever they exceed ``limit`` frames.

    They are stored in fractional coordinates, so that a fluctuating cell (NPT) moves no ion. Frames that are not stored
    still count for unwrapping.

    :param symbols: (natoms,), of all atoms.
    :param masses: (natoms,) in any unit.
    :param ions: symbols of the mobile ions.
    :param limit: largest number of frames stored; reduced if the coordinates would exceed `LARGEST`.
    :param sites: fractional coordinates of the crystal (natoms, 3), the reference of the framework's displacement, so
        that a framework which decomposed during equilibration is detected as well; by default the first frame.
    :param wrapped: whether positions are wrapped into the cell; no atom may then move by half a cell in one frame.
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
        # If all atoms are mobile, drift cannot be separated from conduction, and none is removed.
        self.weights = framework_weights(masses, ~self.mobile) * (not self.mobile.all())
        affordable = LARGEST // (3 * max(int(self.mobile.sum()), 1))
        self.limit = max(min(limit, affordable), 2 * FEWEST_FRAMES)
        self.stride, self.seen = 1, 0
        self.wrapped = wrapped
        #: Number of moves between frames so long that the image is ambiguous, and of all moves.
        self.doubtful, self.moves = 0, 0
        self.steps: list[int] = []
        self.ions: list[Array] = []
        self.centres: list[Array] = []
        self.cells: list[Array] = []
        #: Root mean square displacement of the framework's atoms from their crystal sites in each frame, A.
        self.framework: list[float] = []
        self.sites = None if sites is None else np.asarray(sites, dtype=float)
        self._last: Array | None = None

    def add(self, step: int, cell: Array, positions: Array) -> None:
        """Add one frame.

        :param step: MD step.
        :param cell: lattice vectors as rows, (3, 3) A.
        :param positions: (natoms, 3) A.
        """
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
            # The images in the trajectory may differ from those of the sites.
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
        """Return the number of steps between stored frames.

        :raises ValueError: if there are fewer than `FEWEST_FRAMES` frames, they are not evenly spaced, or too many
            moves between frames are too long to be unwrapped.
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
        """Return the ions' positions (frames, ions, 3) in A, unwrapped, relative to the framework, in the mean cell."""
        return np.array(self.ions) @ np.array(self.cells).mean(axis=0)

    def summary(self) -> dict[str, float]:
        """Return the mean volume, and displacement and drift of the framework.

        :returns: ``volume_A3``; ``framework_displacement_A``, the largest mean over a twentieth of the run, so that a
            framework that melts at the end is detected; and ``framework_drift_A``, the largest one.
        """
        cells, framework = np.array(self.cells), np.array(self.framework)
        parts = np.array_split(framework, max(1, min(20, len(framework) // 4)))
        centres = np.array(self.centres) @ cells.mean(axis=0)
        return {
            'volume_A3': float(np.abs(np.linalg.det(cells)).mean()),
            'framework_displacement_A': float(max(part.mean() for part in parts)),
            'framework_drift_A': float(np.linalg.norm(centres - centres[0], axis=1).max()),
        }
