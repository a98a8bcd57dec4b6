"""`LabelWorkChain`: label frames in batches and record the outcome of each."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child, DpasseWorkChain
from aiida_dpasse.base.jobs import LabelJobWorkChain
from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.label.merge_accounts import merge_accounts
from aiida_dpasse.label.plan_label import plan_label
from aiida_dpasse.label.select_failed import failed_ids, select_failed
from aiida_dpasse.label.sources import (
    BY_CODE,
    LABEL_CODES,
    define_labeller,
    labeller_of,
    process_of,
    validate_labeller,
)
from aiida_dpasse.labels.records import FAILED
from aiida_dpasse.runs import Run, Runs

#: Jobs of a batch in a row without any result, after which its frames are given up: independent faults, such as a full
#: memory and a time limit, may hit the same batch twice.
FRUITLESS_JOBS = 3


def account_of(node: orm.ProcessNode) -> orm.Dict | None:
    """Return the account of a job, None if it has none."""
    return node.outputs.account if 'account' in node.outputs else None


def progressed(account: orm.Dict | None) -> bool:
    """Return whether a job accepted or rejected at least one frame."""
    return account is not None and bool(account['admitted'] or account['rejected'])


class LabelWorkChain(DpasseWorkChain):
    """Label frames with energies, forces and virials, in batches.

    The labeller is an ASE calculator, a potential, or the code of a label source: VASP, CP2K, or a user's program.
    Frames on which the labeller failed are repeated once. Frames that a job did not reach are resubmitted until
    `FRUITLESS_JOBS` jobs in a row make no progress.
    """

    OPTIONAL_CODES = LABEL_CODES
    PARAMETERS = LabelParameters
    PROTOCOL = 'label'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Frames to label, or initial frames of dynamics.')
        define_labeller(spec)
        spec.inputs.validator = validate_labeller
        spec.outline(
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
                cls.queue_retries,
            ),
            cls.results,
        )
        spec.output('frames', valid_type=FramesData, required=False, help='Accepted frames with their labels.')
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`requested`, `admitted`, `rejected` and `failed` (lists of `id` and `reason`), `retried`, and the '
            'number of `calculations`.',
        )
        exit_code(
            spec,
            'ERROR_NO_FRAME_ADMITTED',
            message='None of the {requested} frames was accepted; the first reason is: {reason}. See `account`.',
        )
        exit_code(
            spec,
            'ERROR_TOO_MANY_FAILED',
            message='{failed} of {requested} frames failed; the first reason is: {reason}. The labels of the others '
            'are attached; lower `minimum_success` to continue with them.',
        )

    @classmethod
    def own_protocol(cls, name: str | None = None) -> dict[str, Any]:
        """Return the protocol ``name`` with the settings of every label source."""
        programs = {code: source.program_protocol(name) for code, source in BY_CODE.items()}
        return super().own_protocol(name) | {code: settings for code, settings in programs.items() if settings}

    def setup(self) -> None:
        """Divide the frames into batches and queue a job for each."""
        self.ctx.plan = plan_label(self.inputs.frames, self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.ctx.batches = dict(self.ctx.plan['batches'])
        self.ctx.round = 0
        self.enqueue('make_job', Runs.from_dict(self.ctx.plan['plan']['runs']).values())

    def make_job(self, run: Run) -> Child:
        """Return the job of a batch, or the chain that labels it."""
        source, process = process_of(self.inputs)
        frames = self.ctx.batches[run.id]
        if issubclass(process, BatchLabelWorkChain):
            parameters = self.ctx.plan['retries' if run.segment else 'programs'].get(
                source, self.ctx.plan['calculation']
            )
            return process, {'frames': frames, 'parameters': parameters, **self.shared(process, run.label)}
        return self.job(
            LabelJobWorkChain,
            'label',
            run.label,
            code=self.inputs.codes.python,
            frames=frames,
            parameters=self.ctx.plan['calculation'],
            **labeller_of(self.inputs),
        )

    def queue_retries(self) -> None:
        """Queue a job for the failed frames of each batch, unless its last `FRUITLESS_JOBS` jobs made no progress."""
        number = self.ctx.round + 1
        retries = []
        for run, node in self.ended('batch', segment=self.ctx.round or None).items():
            jobs = [run.follow('batch', segment=segment or None).id for segment in range(number)]
            accounts = {key: account_of(self.ctx.done[key]) for key in jobs}
            account = accounts[run.id]
            fruitless = not any(progressed(accounts[key]) for key in jobs[-FRUITLESS_JOBS:])
            if node.exit_status == LabelCalculation.exit_codes.ERROR_LABELLER.status or (
                fruitless and len(jobs) >= FRUITLESS_JOBS
            ):
                continue
            again = run.follow('batch', segment=number)
            earlier = {key: found for key, found in accounts.items() if key != run.id and found is not None}
            frames = self.ctx.batches[run.id]
            if account is not None:
                if not failed_ids(account, earlier.values()):
                    continue
                frames = select_failed(
                    frames, account, earlier=earlier, metadata={'call_link_label': f'failed_{run.id}'}
                )
            self.report(f'{run.label}: {frames.frames} frames failed and are labelled again.')
            self.ctx.batches |= {again.id: frames}
            retries.append(again)
        self.ctx.round = number
        self.enqueue('make_job', retries)

    def results(self) -> ExitCode | None:
        """Attach the labelled frames and the merged account, regardless of the exit codes of the jobs."""
        self.report_failures('batch')
        outputs = {run.id: node.outputs for run, node in self.ended('batch').items()}
        account = merge_accounts(
            self.ctx.plan['plan'],
            accounts={key: output.account for key, output in outputs.items() if 'account' in output},
            metadata={'call_link_label': 'merge'},
        )
        self.out('account', account)
        labelled = {key: output.frames for key, output in outputs.items() if 'frames' in output}
        reasons = [entry['reason'] for state in ('failed', 'rejected') for entry in account[state]]
        counts = {'requested': account['requested'], 'failed': len(account[FAILED])}
        if not labelled:
            return self.exit_codes.ERROR_NO_FRAME_ADMITTED.format(reason=reasons[0], **counts)
        if len(labelled) == 1:
            self.out('frames', next(iter(labelled.values())))
        else:
            self.out('frames', union_frames(**labelled, metadata={'call_link_label': 'union'}))
        if counts['failed'] > (1 - self.settings.minimum_success) * counts['requested'] + 1e-9:
            return self.exit_codes.ERROR_TOO_MANY_FAILED.format(reason=reasons[0], **counts)
        return None


def labelling(
    chain: DpasseWorkChain, label: str, frames: FramesData, parameters: orm.Dict, **labeller: orm.Data
) -> Child:
    """Return the labelling of frames as a child of ``chain``, with the codes of the chain.

    :param chain: calling chain.
    :param label: call link label.
    :param frames: frames to label.
    :param parameters: parameters of `dpasse.label`.
    :param labeller: input of the labeller, by default that of the chain.
    """
    given = {'frames': frames, 'parameters': parameters, **(labeller or labeller_of(chain.inputs))}
    return LabelWorkChain, {**given, **chain.shared(LabelWorkChain, label)}
