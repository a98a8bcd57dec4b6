"""Trajectories of the mobile ions from a run of any length, in bounded memory.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.displacement import framework_weights
from aiida_dpasse.unreadable import UnreadableError

Array = NDArray[np.float64]

#: Smallest number of frames for displacement statistics.
FEWEST_FRAMES = 8
#: Largest number of coordinates stored (128 MB); the transforms need about three times as much memory.
LARGEST = 16_000_000
#: A wrapped ion that moves further than this fraction of the cell between two frames may have moved the other way; a
#: trajectory with a larger fraction of such moves cannot be unwrapped.
LONGEST_MOVE, LARGEST_PART = 0.4, 1e-3
#: Moves from 0.4 to 0.5 of the cell for each jump by a lattice vector, above which the jumps are part of a broad
#: distribution of real moves.
BROAD = 0.2
#: A run is broken where most atoms move further than this, in A, and than 4 times what they do in 95 % of the frames.
BREAK, TIMES, USUAL = 1.5, 4.0, 0.95
#: Atoms whose median move is longer than this fraction of the cell cannot be followed; it is 0.48 for random positions.
RANDOM = 0.35
#: Smallest number of atoms whose common move breaks a run.
FEWEST_ATOMS = 4
#: Where frames are missing every second to every fifth is taken, if that leaves no gap in this part of the run and this
#: number of frames.
COARSEST, WHOLE, FEWEST_COARSE = 5, 0.9, 50


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
        None: determined from the moves; those by a lattice vector are removed, also when they occur in one frame only.
    :param spacing: number of steps between frames, where some may be missing; by default all frames have to be there.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        masses: Sequence[float],
        ions: Collection[str],
        limit: int,
        sites: Any = None,
        wrapped: bool | None = False,
        spacing: int | None = None,
    ):
        self.mobile = np.isin(np.array(symbols), list(ions))
        self._mobile, self._fixed = np.flatnonzero(self.mobile), np.flatnonzero(~self.mobile)
        # If all atoms are mobile, drift cannot be separated from conduction, and none is removed.
        self.weights = framework_weights(masses, ~self.mobile) * (not self.mobile.all())
        affordable = LARGEST // (3 * max(int(self.mobile.sum()), 1))
        self.limit = max(min(limit, affordable), 2 * FEWEST_FRAMES)
        self.stride, self.seen = 1, 0
        self.wrapped, self.spacing = wrapped, spacing
        #: Number of moves between frames so long that the image is ambiguous, of all moves, and of jumps by a lattice
        #: vector, for each component of an ion's position.
        self.doubtful, self.moves, self.jumps = 0, 0, 0
        #: Whether the ions stay in one cell, as they do in a wrapped trajectory.
        self.confined = False
        #: Number of stored frames that are not used since others are missing.
        self.unused = 0
        self.steps: list[int] = []
        self.ions: list[Array] = []
        self.centres: list[Array] = []
        self.cells: list[Array] = []
        #: Root mean square displacement of the framework's atoms from their crystal sites in each frame, A.
        self.framework: list[float] = []
        self.sites = None if sites is None else np.asarray(sites, dtype=float)
        #: The last cell, and its inverse.
        self._cell: Array | None = None
        self._inverse: Array = np.zeros((3, 3))
        self._last: Array | None = None
        self._images: Array = np.zeros((len(self.mobile), 3))
        #: Lattice vectors between the ions' positions as stored and as given, for each stored frame.
        self._given: list[Array] = []
        self._low, self._high = np.full(3, np.inf), np.full(3, -np.inf)
        #: Step of each frame, and how far most of the framework and most of the ions moved since the frame before, A.
        self._travel = array('d')
        self._seen_step = 0

    def add(self, step: int, cell: Array, positions: Array) -> None:
        """Add one frame.

        :param step: MD step.
        :param cell: lattice vectors as rows, (3, 3) A.
        :param positions: (natoms, 3) A.
        """
        keep = self._due(step)
        if not keep and self.wrapped is False:
            self.pass_over()
            return
        self.seen += 1
        if self._cell is None or not np.array_equal(cell, self._cell):
            self._cell, self._inverse = cell, np.asarray(np.linalg.inv(cell))
        scaled = positions @ self._inverse
        if self.wrapped is not False:
            scaled = self._follow(step, scaled, cell)
        if not keep:
            return
        centre = self.weights @ scaled
        if not self.steps:
            # The images in the trajectory may differ from those of the sites.
            sites = scaled if self.sites is None else self.sites + np.round(scaled - self.sites)
            self.sites = sites - self.weights @ sites
        self.steps.append(step)
        self.centres.append(centre)
        self.ions.append(scaled[self._mobile] - centre)
        self.cells.append(cell)
        self._given.append(self._images[self._mobile].astype(np.int16))
        assert self.sites is not None
        moved = _squares(((scaled - centre - self.sites) @ cell)[self._fixed])
        self.framework.append(float(np.sqrt(moved.mean())) if len(moved) else 0.0)
        if len(self.steps) > self.limit:
            self.stride *= 2
            even = range(0, len(self.steps), 2)
            if self.spacing is not None:
                gap = self.spacing * self.stride
                even = [index for index, at in enumerate(self.steps) if (at - self.steps[0]) % gap == 0]  # type: ignore[assignment]
            self._keep(even)

    def needs(self, step: int) -> bool:
        """Return whether the positions of the next frame are needed, if it is that of a step.

        :param step: MD step.
        """
        return self.wrapped is not False or self._due(step)

    def pass_over(self) -> None:
        """Count a frame whose positions are not needed."""
        self.seen += 1

    def _due(self, step: int) -> bool:
        """Return whether the frame is one of those to store."""
        if self.spacing is None:
            return self.seen % self.stride == 0
        return not self.steps or (step - self.steps[0]) % (self.spacing * self.stride) == 0

    def _keep(self, indices: Sequence[int]) -> None:
        """Drop all stored frames but these."""
        for name in ('steps', 'ions', 'centres', 'cells', 'framework', '_given'):
            stored = getattr(self, name)
            setattr(self, name, [stored[index] for index in indices])

    def _follow(self, step: int, scaled: Array, cell: Array) -> Array:
        """Return the fractional positions in the images that are closest to those of the frame before."""
        ions = scaled[self._mobile]
        for axis, column in enumerate(np.ascontiguousarray(ions.T)):
            self._low[axis] = min(self._low[axis], column.min())
            self._high[axis] = max(self._high[axis], column.max())
        if self._last is not None:
            images = np.round(scaled - self._last)
            scaled = scaled - images
            moves = scaled - self._last
            self.doubtful += int(np.count_nonzero(np.abs(moves[self._mobile]) > LONGEST_MOVE))
            self.moves += 3 * len(self._mobile)
            self.jumps += int(np.count_nonzero((images != self._images)[self._mobile]))
            squares = _squares(moves @ cell)
            frames = max(1, (step - self._seen_step) // self.spacing) if self.spacing else 1
            # Half of the framework, and three quarters of the ions, since many of few ions may hop in one frame.
            most = [
                float(np.sqrt(np.partition(squares[part], len(part) // share)[len(part) // share]))
                if len(part) >= FEWEST_ATOMS
                else 0.0
                for part, share in ((self._fixed, 2), (self._mobile, 4))
            ]
            self._travel.extend((step, most[0] / frames, most[1] / frames))
            self._images = images
        self._last, self._seen_step = scaled, step
        return scaled

    def rewind(self, step: int) -> None:
        """Drop the frames from a step on, which a restart repeats.

        :param step: the first step to drop.
        """
        self._keep([index for index, at in enumerate(self.steps) if at < step])
        if self.ions and self._last is not None:
            self._last[self.mobile] = self.ions[-1] + self.centres[-1]
            self._images[self.mobile] = self._given[-1]
            self._seen_step = self.steps[-1]

    def gap(self) -> int:
        """Return the number of steps between stored frames.

        :raises ValueError: if there are fewer than `FEWEST_FRAMES` frames, they are not evenly spaced, or too many
            moves between frames are too long to be unwrapped.
        """
        self._require()
        self._check_order()
        self._choose_images()
        if self.spacing is not None:
            self._take_even_frames()
        gaps = np.unique(np.diff(self.steps))
        if len(gaps) > 1 or gaps[0] <= 0:
            spread = f'{gaps.min()} to {gaps.max()} steps apart'
            raise UnreadableError(f'The frames are {spread} and should be evenly spaced: give all segments of the run.')
        return int(gaps[0])

    def _require(self) -> None:
        if (frames := len(self.steps)) < FEWEST_FRAMES:
            raise UnreadableError(f'The trajectory holds {frames} whole frames, at least {FEWEST_FRAMES} are needed.')

    def _check_order(self) -> None:
        """Refuse two runs that are joined, and atoms whose order changes."""
        cure = 'sort the atoms by their ids, or analyse the runs one by one'
        table = np.array(self._travel).reshape(-1, 3)
        if len(table) < FEWEST_FRAMES:
            return
        travel = table[:, 1:]
        for moved, name in zip(travel.T, ('framework', 'ions'), strict=True):
            limit = max(BREAK, TIMES * float(np.quantile(moved, USUAL)))
            if np.any(moved > limit):
                at = int(np.argmax(moved > limit))
                raise UnreadableError(
                    f'Most atoms of the {name} jump by {moved[at]:.1f} A in one frame, at step {table[at, 0]:.0f} '
                    f'(frame {at + 2}), where the order of the atoms changes or another run begins: {cure}.'
                )
        edge = float(np.cbrt(np.abs(np.linalg.det(self.cells[0]))))
        if np.median(travel[:, 0]) > RANDOM * edge:
            length = f'{np.median(travel[:, 0]):.1f} A in each frame'
            raise UnreadableError(f'The atoms of the framework move by {length}, so that their order changes: {cure}.')
        if self.wrapped is None and self._exchanged():
            raise UnreadableError(f'The ions exchange their places in each frame, so that their order changes: {cure}.')

    def _exchanged(self) -> bool:
        """Return whether the ions are in another order in each frame.

        They then move far in one frame, no further in four, and to places where other ions were.
        """
        given = (np.array(self.ions[:50]) + np.array(self._given[:50])) @ self.cells[0]
        frames, ions, _ = given.shape
        if ions < FEWEST_ATOMS or frames < FEWEST_FRAMES:
            return False
        one, four = (float(np.mean(np.sum((given[lag:] - given[:-lag]) ** 2, axis=2))) for lag in (1, 4))
        if one < 4 * BREAK**2 or four > 1.5 * one:
            return False
        steps = np.array([np.linalg.norm(a[:, None] - b[None], axis=2) for a, b in pairwise(given)])
        own = np.diagonal(steps, axis1=1, axis2=2)
        return bool(np.mean((own > BREAK) & (steps.min(axis=1) < 0.3 * own)) > 0.5)

    def _choose_images(self) -> None:
        """Decide whether jumps by lattice vectors are real moves, and refuse those too long to be unwrapped."""
        if self.wrapped is None:
            self.confined = bool(np.all(self._high - self._low < 1 + 1e-4))
            if self.jumps and not self.confined and self.doubtful > BROAD * self.jumps:
                self.ions = [ions + given for ions, given in zip(self.ions, self._given, strict=True)]
                self.jumps = 0
            self.wrapped = bool(self.jumps)
            self._given = [np.zeros_like(given) for given in self._given]
        if self.wrapped and self.doubtful > LARGEST_PART * self.moves:
            part = f'{self.doubtful} of {self.moves} moves between frames are longer than {LONGEST_MOVE} of the cell'
            raise UnreadableError(f'{part}: give unwrapped positions, or frames that are closer in time.')

    def _take_even_frames(self) -> None:
        """Keep the longest evenly spaced part of the stored frames, where some are missing."""
        assert self.spacing is not None
        numbers = (np.array(self.steps) - self.steps[0]) // (self.spacing * self.stride)
        if len(numbers) == numbers[-1] + 1:
            return
        best: list[int] = []
        for every in range(1, COARSEST + 1):
            runs = []
            for phase in range(every):
                found = np.flatnonzero(numbers % every == phase)
                if len(found):
                    runs += np.split(found, np.flatnonzero(np.diff(numbers[found]) != every) + 1)
            longest = max(runs, key=len)
            whole = (len(longest) - 1) * every >= WHOLE * numbers[-1] and len(longest) >= FEWEST_COARSE
            if every == 1 or whole:
                best = longest.tolist()
            if whole:
                break
        self.unused = len(self.steps) - len(best)
        self._keep(best)
        self._require()

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


def _squares(vectors: Array) -> Array:
    """Return the squared lengths of vectors (n, 3), faster than by a sum along the short axis."""
    x, y, z = vectors.T
    return np.asarray(x * x + y * y + z * z)
