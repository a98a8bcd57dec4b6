"""`ExploreWorkChain`: molecular dynamics with a committee, and the choice of what it does not know yet."""

from __future__ import annotations

from typing import Any, Literal

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field, model_validator

from aiida_dpasse.calculations.md_parameters import MDParameters, refuse_what_is_set
from aiida_dpasse.calculations.parameters import Parameters, check_parameters
from aiida_dpasse.data.conversion import check_ordered
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.functions.make_supercell import make_supercell
from aiida_dpasse.functions.plan_explore import plan_explore
from aiida_dpasse.functions.select_candidates import select_candidates
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.md import MDBaseWorkChain


class TrustParameters(Parameters):
    """Which deviations of the committee's forces are accurate, candidates or failed; without unit where the dynamics
    writes relative ones."""

    mode: Literal['fixed', 'adaptive', 'calibrated'] = Field(
        description='`fixed`: the levels as they are; `adaptive`: both are multiplied by the factor, 1 at '
        'least, that makes the fraction `quantile` of the frames accurate; `calibrated`: they are errors, and both are '
        'divided by the median of error over deviation of the frames that were labelled before, ten at least.'
    )
    low: float = Field(gt=0, description='Deviation (calibrated: error) in eV/A below which a frame is accurate.')
    high: float = Field(
        gt=0,
        description='Deviation (calibrated: error) in eV/A from which a frame is failed: too far out to be labelled.',
    )
    quantile: float = Field(gt=0, lt=1, description='Fraction of the frames that adaptive levels make accurate.')
    explosion: float = Field(
        gt=0, description='Deviation in eV/A from which a frame has exploded: failed whatever the levels are.'
    )

    @model_validator(mode='after')
    def _order(self) -> TrustParameters:
        if not self.low < self.high <= self.explosion:
            raise ValueError(
                f'`low` ({self.low}) should be below `high` ({self.high}), and that not above `explosion` '
                f'({self.explosion})'
            )
        return self


class ExploreParameters(Parameters):
    """Which runs are made and which of their frames are chosen."""

    supercell: float | list[int] | list[list[int]] = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperatures: list[float] = Field(min_length=1, description='Temperatures in K.')
    pressures: list[float] = Field(min_length=1, description='Pressures in GPa.')
    replicas: int = Field(gt=0, description='How often each structure starts at each temperature and pressure.')
    runs: int | None = Field(
        gt=0, description='So many of these runs are drawn, in turn from each structure; null makes all.'
    )
    md: dict[str, Any] = Field(
        description='Parameters of `dpasse.md` for each run, without `temperature`, `pressure` and `seed`.'
    )
    trust: TrustParameters = Field(description='Trust levels.')
    max_candidates: int = Field(gt=0, description='At most so many frames are chosen.')
    choice: Literal['random', 'diverse'] = Field(
        default='random',
        description='How they are chosen among the candidates: at random, or those that differ most from each other by '
        'their radial distributions.',
    )
    max_per_structure: int | None = Field(gt=0, description='At most so many of one structure; null sets no limit.')
    seed: int = Field(
        ge=0,
        description='Seed of runs and choice; a calling chain replaces it by one derived from its own.',
    )

    @model_validator(mode='after')
    def _runs(self) -> ExploreParameters:
        refuse_what_is_set(self.md, ('temperature', 'pressure', 'seed'))
        if self.md.get('sample_interval') is None:
            raise ValueError('`md.sample_interval` is missing: give the number of steps between two sampled frames')
        if self.trust.mode == 'calibrated' and self.md.get('relative_deviation'):
            raise ValueError('`md.relative_deviation` should be null with `trust.mode` calibrated: errors are in eV/A')
        for temperature in self.temperatures:
            for pressure in self.pressures:
                run = {**self.md, 'temperature': temperature, 'pressure': pressure, 'seed': 1}
                if message := check_parameters(MDParameters, run):
                    raise ValueError(f'one of the runs is not possible: {message}')
        return self


def validate_structures(structures: Any, _: Any = None) -> str | None:
    """Return one sentence if there is no structure or one of them is not fully ordered."""
    if not structures:
        return 'structures: there is none; give at least one.'
    for label, structure in structures.items():
        if message := check_ordered(structure):
            return f'structures.{label}: {message}'
    return None


def validate_committee(potentials: Any, _: Any = None) -> str | None:
    """Return one sentence if ``potentials`` are no committee."""
    count = len(potentials or {})
    if count < 2:
        return f'potentials: a deviation needs a committee of at least two, got {count}.'
    return None


def validate_elements(inputs: Any, _: Any = None) -> str | None:
    """Return one sentence if a potential does not know an element of a structure."""
    for label, structure in inputs.get('structures', {}).items():
        for member, potential in inputs.get('potentials', {}).items():
            if missing := potential.missing_elements(sorted(structure.get_symbols_set())):
                return (
                    f'structures.{label}: the type map of the potential {member} lacks {", ".join(missing)}; '
                    'train the committee on frames with these elements.'
                )
    return None


class ExploreWorkChain(DpasseWorkChain):
    """Run the committee over structures, temperatures and pressures, and choose the candidates for labels."""

    CODES = ('lmp',)
    PARAMETERS = ExploreParameters
    PROTOCOL = 'explore'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            validator=validate_structures,
            help='Where the runs start.',
        )
        spec.input_namespace(
            'potentials',
            valid_type=DeepPotentialData,
            validator=validate_committee,
            help='The committee; the first by name drives the dynamics.',
        )
        spec.input_namespace(
            'known', valid_type=FramesData, required=False, help='Frames that are not to be chosen again.'
        )
        spec.input_namespace(
            'calibration',
            valid_type=orm.Dict,
            required=False,
            help='Deviations and errors of frames labelled before, for trust levels that are calibrated.',
        )
        spec.inputs.validator = validate_elements
        spec.outline(
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.select,
        )
        spec.output(
            'candidates',
            valid_type=FramesData,
            required=False,
            help='Chosen frames, without labels; absent if none.',
        )
        spec.output(
            'statistics',
            valid_type=orm.Dict,
            help='Frames sampled, accurate, candidate, failed and chosen, also by run, and the trust levels.',
        )
        spec.exit_code(210, 'ERROR_STRUCTURES', message='The structures cannot be repeated. {reason}')
        spec.exit_code(
            410,
            'ERROR_ALL_RUNS_FAILED',
            message='No run gave a frame: see why the first failed; shorten the timestep or train longer.',
        )
        spec.exit_code(
            411,
            'ERROR_ONLY_FAILURES',
            message='No frame but the starts is trusted, {failed} deviate by more than {high:.3g} eV/A: train longer '
            'or on more frames, start at lower temperatures, or raise `trust.high`.',
        )

    def setup(self) -> ExitCode | None:
        """Draw the runs and queue them; make the supercells of the structures that they start from."""
        plan = plan_explore(self.inputs.parameters, **self.inputs.structures, metadata={'call_link_label': 'plan'})
        self.ctx.plan = plan
        self.ctx.runs = plan['selection']['runs']
        self.ctx.cells = {}
        for label in sorted({run['structure'] for run in self.ctx.runs.values()}):
            structure, metadata = self.inputs.structures[label], {'call_link_label': f'supercell_{label}'}
            try:
                self.ctx.cells[label] = make_supercell(structure, plan['supercell'], metadata=metadata)
            except ValueError as exception:
                return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
        self.enqueue('make_run', sorted(self.ctx.runs))
        return None

    def make_run(self, key: str) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return run ``key``."""
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.cells[self.ctx.runs[key]['structure']],
            'potentials': dict(self.inputs.potentials),
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('md')},
        }
        return MDBaseWorkChain, {'md': md, **self.restart(key)}

    def select(self) -> ExitCode | None:
        """Choose the candidates among the frames of all runs, those before an explosion included."""
        for key, node in self.unfinished('md_').items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        samples = {key: node.outputs.frames for key, node in self.ctx.done.items() if 'frames' in node.outputs}
        known = {f'known_{label}': frames for label, frames in self.inputs.get('known', {}).items()}
        outputs = select_candidates(
            self.ctx.plan['selection'],
            **samples,
            **known,
            **{f'calibration_{label}': pairs for label, pairs in self.inputs.get('calibration', {}).items()},
            metadata={'call_link_label': 'select'},
        )
        statistics = outputs['statistics']
        self.out('statistics', statistics)
        if not samples:
            return self.exit_codes.ERROR_ALL_RUNS_FAILED
        if statistics['only_failures']:
            return self.exit_codes.ERROR_ONLY_FAILURES.format(
                failed=statistics['failed'], high=statistics['trust_high']
            )
        if 'candidates' in outputs:
            self.out('candidates', outputs['candidates'])
        counts = ', '.join(f'{statistics[name]} {name}' for name in ('accurate', 'candidate', 'failed', 'chosen'))
        self.report(f'{statistics["sampled"]} frames sampled: {counts}')
        return None
