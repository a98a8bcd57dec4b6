"""The accounting rule, requested = accepted + rejected + failed, checked against the nodes of every batch of labels."""

from __future__ import annotations

from dataclasses import dataclass

from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports.cause import cause
from aiida_dpasse.reports.graph import Call, call_tree, inputs, output, output_dict

#: Entry point of the label job and the label work chain; those of the programs are `dpasse.label.<program>`.
LABEL = 'dpasse.label'
#: Process label of the work chain that restarts such a job.
RESTARTING = 'LabelJobWorkChain'


@dataclass(frozen=True)
class Batch:
    """The account of one label job or label work chain, and the contents of its nodes.

    ``given`` and ``returned`` are the numbers of frames in the input and output nodes; ``lost`` are the ids of input
    frames that are neither returned nor listed as rejected or failed.
    """

    pk: int
    uuid: str
    label: str
    requested: int
    admitted: int
    rejected: int
    failed: int
    given: int
    returned: int
    lost: tuple[str, ...]
    #: Why the account cannot be read, empty if it can.
    fault: str = ''

    @property
    def balanced(self) -> bool:
        """Whether the account adds up and agrees with the nodes."""
        if self.fault:
            return False
        adds_up = self.requested == self.admitted + self.rejected + self.failed
        return adds_up and self.admitted == self.returned and not self.lost


def _labels(call: Call) -> bool:
    return call.name != RESTARTING and (call.entry_point == LABEL or call.entry_point.startswith(f'{LABEL}.'))


def labellings(process: orm.ProcessNode) -> list[tuple[Call, str]]:
    """Return every label work chain and label job of a process with its label.

    Of a restarted job, only the last one is returned, under the label of the restarting work chain.

    :param process: any process.
    """
    tree = call_tree(process.pk)
    callers = {call.pk: call for call in tree}
    found = {}
    for call in filter(_labels, tree):
        caller = callers.get(call.parent) if call.parent is not None else None
        shown = caller if caller is not None and caller.name == RESTARTING else call
        found[shown.pk] = (call, shown.label)
    return list(found.values())


def _ids(entries: list) -> set[str]:
    return {str(entry['id']) for entry in entries}


def account_of(process: orm.ProcessNode, label: str = '') -> Batch | None:
    """Return the account of a label job or label work chain, or None if it has none.

    :param process: the label process.
    :param label: label of the batch.
    """
    account = output_dict(process, 'account')
    if not account:
        return None
    given = [data for name, data in inputs(process, FramesData) if name == 'frames']
    returned = output(process, 'frames')
    asked = {identity for data in given for identity in data.ids()}
    labelled = set(returned.ids()) if isinstance(returned, FramesData) else set()
    # A labeller that runs its own dynamics returns new frames, so that lost ones cannot be identified.
    known = labelled <= asked
    named = _ids(account.get('rejected', [])) | _ids(account.get('failed', []))
    return Batch(
        pk=process.pk,
        uuid=process.uuid,
        label=label,
        requested=int(account['requested']),
        admitted=int(account['admitted']),
        rejected=len(account.get('rejected', [])),
        failed=len(account.get('failed', [])),
        given=sum(data.frames for data in given),
        returned=returned.frames if isinstance(returned, FramesData) else 0,
        lost=tuple(sorted(asked - labelled - named)) if known else (),
    )


def batches(process: orm.ProcessNode) -> list[Batch]:
    """Return the account of every label job and label work chain of a process.

    :param process: any process.
    """
    found = (_account_or_fault(call, label) for call, label in labellings(process))
    return [batch for batch in found if batch is not None]


def _account_or_fault(call: Call, label: str) -> Batch | None:
    try:
        return account_of(orm.load_node(call.pk), label)
    except Exception as error:
        return Batch(call.pk, call.uuid, label, 0, 0, 0, 0, 0, 0, (), cause(error))


def unaccounted(process: orm.ProcessNode) -> list[str]:
    """Return a message for every label process whose account is missing or does not add up.

    :param process: any process.
    """
    faults = []
    for call, label in labellings(process):
        batch = _account_or_fault(call, label)
        if batch is not None and batch.fault:
            faults.append(f'The account of the label process {call.pk} is damaged: {batch.fault}')
        elif batch is None:
            faults.append(f'The label process {call.pk} left no account (exit status {call.exit_status}).')
        elif not batch.balanced:
            faults.append(
                f'The label process {call.pk} has {batch.requested} requested, {batch.admitted} accepted, '
                f'{batch.rejected} rejected and {batch.failed} failed frames; its node contains {batch.returned}, and '
                f'{len(batch.lost)} are lost.'
            )
    return faults
