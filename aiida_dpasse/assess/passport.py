"""`PassportWorkChain`: measure what the labels of a source are worth, against reference frames of the user."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.assess.make_passport import make_passport
from aiida_dpasse.assess.passport_parameters import PassportParameters
from aiida_dpasse.assess.plan_passport import plan_passport
from aiida_dpasse.base.chain import DpasseWorkChain
from aiida_dpasse.base.validators import define_labelled
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.draw_frames import draw_frames
from aiida_dpasse.label.label import LabelWorkChain, labelling
from aiida_dpasse.label.sources import (
    BY_CODE,
    LABEL_CODES,
    define_labeller,
    labeller_of,
    process_of,
    validate_labeller,
)


class PassportWorkChain(DpasseWorkChain):
    """Compare the labels of a source with reference labels of the same frames, usually by density-functional theory.

    Universal potentials underestimate forces. The slope of the forces against the reference shows by how much; twenty
    frames are sufficient. Chains that label for training take the passport as an input.
    """

    OPTIONAL_CODES = LABEL_CODES
    PARAMETERS = PassportParameters
    PROTOCOL = 'passport'
    CHILDREN = {'label': LabelWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_labelled(spec, 'frames', 'Frames with reference labels, similar to those that the source will label.')
        define_labeller(spec)
        spec.inputs.validator = validate_labeller
        spec.outline(
            cls.label,
            cls.compare,
        )
        spec.output(
            'passport',
            valid_type=orm.Dict,
            help='`source`; `errors` of energies, forces and virials; slope of the `forces` against the reference, '
            'also `per_element`; slope and sign of the `virial`; `verdict` and `reason`; account of the frames.',
        )
        spec.output('labels', valid_type=FramesData, help='The same frames with the labels of the source.')
        exit_code(spec, 'ERROR_LABEL_FAILED', message='The source labelled no frame: {reason}')

    def label(self) -> None:
        """Label the frames, or some of them drawn at random."""
        frames = self.inputs.frames
        self.ctx.plan = plan_passport(self.inputs.parameters, frames, metadata={'call_link_label': 'plan'})
        if 'draw' in self.ctx.plan:
            frames = draw_frames(frames, self.ctx.plan['draw'], metadata={'call_link_label': 'draw'})
        self.ctx.frames = frames
        self.run_child('labelling', *labelling(self, 'label', frames, self.ctx.plan['label']))

    def compare(self) -> ExitCode | None:
        """Attach the passport."""
        node = self.ctx.labelling
        if 'frames' not in node.outputs:
            return self.failure(node, self.exit_codes.ERROR_LABEL_FAILED.format(reason=node.exit_message))
        name, _ = process_of(self.inputs)
        source = {name: self.inputs.codes[name]} if name in BY_CODE else labeller_of(self.inputs)
        plan, labels = self.ctx.plan, node.outputs.frames
        passport = make_passport(
            self.ctx.frames,
            plan['compare'],
            plan['label'],
            node.outputs.account,
            labels,
            source=source,
            metadata={'call_link_label': 'compare'},
        )
        self.out('passport', passport)
        self.out('labels', labels)
        self.report(f'{passport["verdict"]}: {passport["reason"]}')
        return None
