"""Convert the parameters of a passport into those of its steps."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.passport_parameters import PassportParameters
from aiida_dpasse.assess.plan_validate import ADMIT
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_passport(parameters: orm.Dict, frames: FramesData) -> dict[str, orm.Dict]:
    """Return the parameters of each step of a passport.

    :param parameters: content of :class:`PassportParameters`.
    :param frames: reference frames.
    :return: ``label`` and ``compare``; if there are more frames than ``max_frames``, ``draw``.
    """
    settings = PassportParameters.model_validate(parameters.get_dict())
    compared = settings.model_dump(include={'slope_limit', 'minimum_frames', 'bootstrap_samples'})
    # Unset fields are omitted, because the labelling programs have their own defaults.
    label = {**settings.label.model_dump(exclude_unset=True, mode='json'), **ADMIT}
    plan = {
        'label': orm.Dict(label),
        'compare': orm.Dict({**compared, 'seed': derive_seed(settings.seed, 'bootstrap')}),
    }
    if settings.max_frames is not None and frames.frames > settings.max_frames:
        draw = {'number': settings.max_frames, 'choice': 'random', 'seed': derive_seed(settings.seed, 'draw')}
        plan['draw'] = orm.Dict(draw)
    return plan
