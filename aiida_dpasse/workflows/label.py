"""`LabelWorkChain`: label frames in batches; every frame is accounted for, across batches and retries."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field

from aiida_dpasse.calculations.label import LabelCalculation, LabelJobParameters
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.drivers.records import FAILED
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.merge_accounts import merge_accounts
from aiida_dpasse.functions.plan_label import BATCH_SIZE, plan_label
from aiida_dpasse.functions.select_failed import select_failed
from aiida_dpasse.functions.union_frames import union_frames
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.label_batch import BatchLabelWorkChain
from aiida_dpasse.workflows.label_cp2k import Cp2kParameters
from aiida_dpasse.workflows.label_shell import ShellParameters
from aiida_dpasse.workflows.label_sources import (
    LABEL_CODES,
    define_labeller,
    labeller_of,
    process_of,
    validate_labeller,
)
from aiida_dpasse.workflows.label_vasp import VaspParameters


class LabelParameters(LabelJobParameters):
    """How frames are divided into jobs, what is admitted, how many may fail, and how each program is run."""

    batch_size: int = Field(default=BATCH_SIZE, gt=0, description='Largest number of frames in one job.')
    minimum_success: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description='Smallest fraction of the frames that has to end without failing.',
    )
    vasp: VaspParameters | None = Field(default=None, description="VASP's settings.")
    cp2k: Cp2kParameters | None = Field(default=None, description="CP2K's settings.")
    shell: ShellParameters | None = Field(default=None, description='How a program of your own is called.')


def share_of(limit: int, chains: int) -> int:
    """Return how many jobs each of ``chains`` may have at once, where as many of them run as ``limit`` allows.

    >>> share_of(20, 1), share_of(20, 3), share_of(2, 5)
    (20, 6, 1)
    """
    return max(1, limit // min(limit, chains))


class LabelWorkChain(DpasseWorkChain):
    """Label frames in batches, with whatever is handed in to label; failed frames are tried once more."""

    OPTIONAL_CODES = LABEL_CODES
    PARAMETERS = LabelParameters
    PROTOCOL = 'label'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Frames to label, or to start dynamics from.')
        define_labeller(spec)
        spec.inputs.validator = validate_labeller
        spec.outline(
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.queue_retries,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.results,
        )
        spec.output('frames', valid_type=FramesData, required=False, help='Admitted frames with their labels.')
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`requested`, `admitted`, `rejected` and `failed` (lists of `id` and `reason`), `retried`, and the '
            'number of `calculations`.',
        )
        exit_code(
            spec,
            'ERROR_NO_FRAME_ADMITTED',
            message='None of the {requested} frames was admitted, the first because {reason}: see `account`.',
        )
        exit_code(
            spec,
            'ERROR_TOO_MANY_FAILED',
            message='{failed} of {requested} frames failed, the first because {reason}: the good labels are '
            'attached, lower `minimum_success` to go on with them.',
        )

    def setup(self) -> None:
        """Divide the frames into batches and queue one job for each."""
        self.ctx.plan = plan_label(self.inputs.frames, self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.ctx.batches = {key: node for key, node in self.ctx.plan.items() if key.startswith('batch_')}
        self.enqueue('make_job', sorted(self.ctx.batches))

    def make_job(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the job of batch ``key``, or the chain that sees to it."""
        source, process = process_of(self.inputs)
        names = [f'calculation_{source}_retry'] if key.endswith('_retry') else []
        names = [name for name in (*names, f'calculation_{source}', 'calculation') if name in self.ctx.plan]
        inputs = {'frames': self.ctx.batches[key], 'parameters': self.ctx.plan[names[0]]}
        if issubclass(process, BatchLabelWorkChain):
            retries = key.endswith('_retry')
            beside = sum(other.endswith('_retry') is retries for other in self.ctx.batches)
            share = share_of(self.inputs.max_concurrent, beside)
            return process, {**inputs, **self.shared(process, key), 'max_concurrent': share}
        inputs['code'] = self.inputs.codes.python
        inputs['metadata'] = {'options': self.options_for('label')}
        return process, {**inputs, **labeller_of(self.inputs)}

    def queue_retries(self) -> None:
        """Queue one more job for each batch with failed frames; a labeller that cannot start is not tried
        again."""
        retries = {}
        for key, node in self.ctx.done.items():
            if node.exit_status == LabelCalculation.exit_codes.ERROR_LABELLER.status:
                continue
            if 'account' not in node.outputs:
                retries[f'{key}_retry'] = self.ctx.batches[key]
            elif any(':' not in entry['id'] for entry in node.outputs.account[FAILED]):
                retries[f'{key}_retry'] = select_failed(
                    self.ctx.batches[key],
                    node.outputs.account,
                    metadata={'call_link_label': f'{key}_failed'},
                )
        for key, frames in retries.items():
            self.report(f'{key}: {frames.frames} frames failed and are tried once more.')
        self.ctx.batches |= retries
        self.enqueue('make_job', sorted(retries))

    def results(self) -> ExitCode | None:
        """Attach the labelled frames and the account of all, whatever the jobs' exit codes."""
        outputs = {key: node.outputs for key, node in sorted(self.ctx.done.items())}
        account = merge_accounts(
            self.ctx.plan['plan'],
            **{key: output.account for key, output in outputs.items() if 'account' in output},
            metadata={'call_link_label': 'merge'},
        )
        self.out('account', account)
        labelled = {key: output.frames for key, output in outputs.items() if 'frames' in output}
        reasons = [entry['reason'] for state in ('failed', 'rejected') for entry in account[state]]
        told = {'requested': account['requested'], 'failed': len(account[FAILED])}
        if not labelled:
            return self.exit_codes.ERROR_NO_FRAME_ADMITTED.format(reason=reasons[0], **told)
        if len(labelled) == 1:
            self.out('frames', next(iter(labelled.values())))
        else:
            self.out('frames', union_frames(**labelled, metadata={'call_link_label': 'union'}))
        minimum = LabelParameters.model_validate(self.inputs.parameters.get_dict()).minimum_success
        if told['failed'] > (1 - minimum) * told['requested'] + 1e-9:
            return self.exit_codes.ERROR_TOO_MANY_FAILED.format(reason=reasons[0], **told)
        return None
