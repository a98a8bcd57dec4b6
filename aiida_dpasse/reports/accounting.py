"""The accounting rule: requested = admitted + rejected + failed, for every batch of labels, and as the nodes say."""

from __future__ import annotations

from dataclasses import dataclass

from aiida import orm

from aiida_dpasse.base.jobs import LabelJobWorkChain
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports.graph import Call, call_tree, inputs, output, output_dict

#: The label job, the chain of the same name, and those of the programs, `dpasse.label.<program>`.
LABEL = 'dpasse.label'
#: Process label of the chain that starts such a job again.
RESTARTING = LabelJobWorkChain.__name__


@dataclass(frozen=True)
class Batch:
    """The account of one label job or of one label work chain, and what its nodes hold.

    ``given`` and ``returned`` are the numbers of frames of the nodes that went in and came out; ``lost`` are the
    identities that went in and are neither returned nor named as rejected or failed.
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

    @property
    def balanced(self) -> bool:
        """Whether the account adds up and agrees with the nodes."""
        adds_up = self.requested == self.admitted + self.rejected + self.failed
        return adds_up and self.admitted == self.returned and not self.lost


def _labels(call: Call) -> bool:
    return call.name != RESTARTING and (call.entry_point == LABEL or call.entry_point.startswith(f'{LABEL}.'))


def labellings(process: orm.ProcessNode) -> list[tuple[Call, str]]:
    """Return every label work chain and label job of ``process`` with its label; of a job that was started again the
    last one, under the label of the chain that did so."""
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
    """Return the account of a label job or label work chain, None if it left none."""
    account = output_dict(process, 'account')
    if not account:
        return None
    given = [data for name, data in inputs(process, FramesData) if name == 'frames']
    returned = output(process, 'frames')
    asked = {identity for data in given for identity in data.ids()}
    labelled = set(returned.ids()) if isinstance(returned, FramesData) else set()
    # A labeller that runs its own dynamics returns frames that nobody gave it: there is nothing to look for then.
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
    """Return the account of every label job and label work chain of ``process``."""
    found = (account_of(orm.load_node(call.pk), label) for call, label in labellings(process))
    return [batch for batch in found if batch is not None]


def unaccounted(process: orm.ProcessNode) -> list[str]:
    """Return one sentence for every label process of ``process`` whose account is missing or does not add up."""
    faults = []
    for call, label in labellings(process):
        batch = account_of(orm.load_node(call.pk), label)
        if batch is None:
            faults.append(f'The label process {call.pk} left no account (exit status {call.exit_status}).')
        elif not batch.balanced:
            faults.append(
                f'The label process {call.pk} was asked for {batch.requested} frames and names {batch.admitted} '
                f'admitted, {batch.rejected} rejected and {batch.failed} failed; its node holds {batch.returned}, '
                f'{len(batch.lost)} are lost.'
            )
    return faults
