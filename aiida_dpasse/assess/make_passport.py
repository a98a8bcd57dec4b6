"""The passport: errors and slopes of a label source on reference frames, with the source as data."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.tabulate_validation import count
from aiida_dpasse.assessment.passport import passport
from aiida_dpasse.assessment.report_card import match
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.sources import DRIVEN, source_of


@calcfunction
def make_passport(
    frames: FramesData, compare: orm.Dict, label: orm.Dict, account: orm.Dict, labels: FramesData, **labeller: orm.Data
) -> orm.Dict:
    """Compare the labels of a source with the reference labels of the same frames.

    :param frames: reference frames with energies and forces.
    :param compare: arguments of :func:`aiida_dpasse.assessment.passport.passport`.
    :param label: parameters of the labelling.
    :param account: outcome of the labelling.
    :param labels: labelled frames.
    :param labeller: namespace ``source`` with the calculator, the potential, or the code by its name.
    :return: the passport, with the ``source`` (see :func:`source_of`), and the account of the frames, ``requested`` =
        ``admitted`` + ``rejected`` + ``failed``.
    """
    given: dict[str, Any] = dict(labeller['source'])
    driven = {name: given.pop(name) for name in DRIVEN if name in given}
    sets, options = frames.sets(), compare.get_dict()
    pairs, mask = match(sets, labels.sets())
    found = passport(
        pairs,
        slope_limit=options['slope_limit'],
        minimum_frames=options['minimum_frames'],
        samples=options['bootstrap_samples'],
        seed=options['seed'],
    )
    source = source_of({**driven, 'codes': given}, label.get_dict())
    return orm.Dict({'source': source, **found, **count(sets, mask, account)})
