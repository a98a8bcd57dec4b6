"""`TaughtFramesWorkChain`: frames for a student, sampled and labelled by its teacher."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.functions.collect_samples import collect_samples
from aiida_dpasse.functions.perturb_frames import perturb_frames
from aiida_dpasse.functions.perturb_structures import perturb_structures
from aiida_dpasse.functions.plan_distill import plan_distill
from aiida_dpasse.functions.select_compounds import frames_of, select_compounds
from aiida_dpasse.functions.structures_from_frames import structures_from_frames
from aiida_dpasse.functions.union_frames import union_frames
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.label import LabelWorkChain
from aiida_dpasse.workflows.md import MDBaseWorkChain


class TaughtFramesWorkChain(DpasseWorkChain):
    """Base of the distillation: perturb, run the teacher, perturb again, label; its first half.

    The context holds ``plan``, the ``starts`` of the runs, and ``reference``, the first run that ended well.
    """

    def perturb(self) -> None:
        """Perturb the structures, draw the starts and queue the teacher's runs."""
        structures = self.inputs.structures
        self.ctx.plan = plan_distill(self.inputs.parameters, **structures, metadata={'call_link_label': 'plan'})
        self.ctx.perturbed = perturb_structures(
            self.ctx.plan['perturb'], structures=dict(structures), metadata={'call_link_label': 'perturb'}
        )
        self.ctx.starts = structures_from_frames(
            self.ctx.perturbed, self.ctx.plan['starts'], metadata={'call_link_label': 'starts'}
        )
        self.enqueue('make_run', sorted(key for key in self.ctx.plan if key.startswith('md_')))

    def make_run(self, key: str) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return the teacher's run ``key``."""
        return self.dynamics(key, self.inputs.teacher, 'teacher')

    def dynamics(
        self, key: str, potential: DeepPotentialData, name: str, label: str | None = None
    ) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return run ``key``: its start and its settings, with ``potential``."""
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.starts[key.replace('md_', 'frame_0')],
            'potentials': {name: potential},
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('md')},
        }
        return MDBaseWorkChain, {'md': md, **self.restart(label or key)}

    def label(self) -> ExitCode | None:
        """Perturb what the runs sampled, and have the teacher label it all."""
        for key, node in self.unfinished('md_').items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        runs = self.finished('md_')
        dynamics = self.inputs.parameters['dynamics']
        minimum = dynamics.get('minimum_success', 0.6) * dynamics['starts']
        if not runs or len(runs) < minimum:
            return self.exit_codes.ERROR_DYNAMICS_FAILED.format(count=len(runs), starts=dynamics['starts'])
        self.ctx.reference = sorted(runs)[0]
        samples = collect_samples(
            **{key: node.outputs.frames for key, node in runs.items()}, metadata={'call_link_label': 'samples'}
        )
        again = perturb_frames(
            samples, self.ctx.plan['perturb_samples'], metadata={'call_link_label': 'perturb_samples'}
        )
        chosen = self.of_compounds('frames')
        further = {} if chosen is None else {'further': chosen}
        frames = union_frames(
            perturbed=self.ctx.perturbed,
            samples=samples,
            samples_perturbed=again,
            **further,
            metadata={'call_link_label': 'union'},
        )
        inputs = {'frames': frames, 'potential': self.inputs.teacher, 'parameters': self.ctx.plan['label']}
        self.run_child('labels', LabelWorkChain, {**inputs, **self.shared(LabelWorkChain, 'label')})
        return None

    def of_compounds(self, port: str) -> FramesData | None:
        """Return the frames at ``port`` that are of the structures' compounds; None, and a report, if none is."""
        if port not in self.inputs:
            return None
        frames, wanted = self.inputs[port], self.ctx.plan['compounds']
        known = frames_of(frames.formulas, wanted['compounds'])
        if known == frames.frames:
            return frames
        if not known:
            self.report(f"none of `{port}` is of the structures' compounds: they are left out")
            return None
        return select_compounds(frames, wanted, metadata={'call_link_label': f'select_{port}'})
