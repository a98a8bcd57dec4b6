"""Draw a number of frames at random or by diversity."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import take_frames
from aiida_dpasse.learning.selection import choose
from aiida_dpasse.structures.diversity import describe_sets, farthest_points


@calcfunction
def draw_frames(frames: FramesData, parameters: orm.Dict) -> FramesData:
    """Draw a number of frames, with their labels and origin.

    :param frames: frames to draw from.
    :param parameters: ``number`` of frames, ``choice`` ('random' or 'diverse') and ``seed``.
    :returns: the drawn frames.
    :raises ValueError: if there are fewer frames than ``number``.
    """
    number, seed = parameters['number'], parameters['seed']
    sets = frames.sets()
    groups = [item.formula for item in sets for _ in range(len(item))]
    if number > len(groups):
        raise ValueError(f'`number` ({number}) exceeds the number of frames ({len(groups)}).')
    if parameters['choice'] == 'diverse':
        picked = farthest_points(describe_sets(sets, range(len(groups))), groups, seed, number)
    else:
        picked = choose(groups, seed, number)
    return FramesData.from_sets(take_frames(sets, picked))
