"""Convert the parameters of test sets into those of their runs, samples and labels."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.plan_validate import ADMIT
from aiida_dpasse.assess.test_sets_parameters import TestSetsParameters, line_of, runs_of
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_test_sets(parameters: orm.Dict, **inputs: dict[str, orm.StructureData]) -> dict[str, Any]:
    """Plan the runs, samples and labels of the test sets.

    :param parameters: content of :class:`TestSetsParameters`.
    :param inputs: the ``structures`` by label.
    :return: ``runs``, whose ``data`` is the test set that the run contributes to; ``md``, the parameters of each run by
        its id; ``supercell``; ``label``; and ``sample``, which holds the temperatures by test set (``lines``) and the
        steps at which frames are taken by run (``steps``).
    """
    settings = TestSetsParameters.model_validate(parameters.get_dict())
    given = settings.model_dump()
    dynamics = runs_of(given)
    pairs = [(part, label) for part in dynamics for label in sorted(inputs['structures'])]
    runs = Runs(Run('md', number, data=part, structure=label) for number, (part, label) in enumerate(pairs))
    plan, steps = {}, {}
    for key, run in runs.items():
        md = dynamics[str(run.data)]
        # The seed depends on part and structure, so that switching one part off does not change the other.
        plan[key] = orm.Dict({**md, 'seed': derive_seed(settings.seed, str(run.data), str(run.structure))})
        steps[key] = list(range(md['sample_interval'], md['steps'] + 1, md['sample_interval']))
    # The tolerated number of failed labels is set by the user: a set that lost half of its frames tests something
    # else.
    admit = {name: value for name, value in ADMIT.items() if name != 'minimum_success'}
    return {
        'runs': orm.Dict(runs.to_dict()),
        'md': plan,
        'supercell': orm.Dict({'supercell': given['supercell']}),
        'label': orm.Dict({**given['label'], **admit}),
        'sample': orm.Dict({'lines': {part: line_of(given[part]) for part in dynamics}, 'steps': steps}),
    }
