"""The phases of the made-up study, one function each, in the order of the chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from made_up_nodes import (
    LIBR,
    LPSBR,
    LPSCL,
    Graph,
    account,
    curve,
    errors,
    frames_of,
    potential,
    structure,
    transport_nodes,
)

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain
from aiida_dpasse.study.summarize_electrolyte import summarize_electrolyte


def labelled(item: FrameSet, seed: int = 0) -> FrameSet:
    """Return the same frames with labels."""
    rng = np.random.default_rng(seed)
    energies = item.natoms * (-4 + 0.02 * rng.gamma(2, 1, size=len(item)))
    return item.with_labels(energies, rng.normal(size=item.positions.shape), None)


class Study:
    """Builds the graph; every attribute is a stored node."""

    def __init__(self, graph: Graph, directory: Path):
        self.graph, self.directory = graph, directory
        self.given: dict[str, orm.Data] = {
            'parameters': orm.Dict(ElectrolyteWorkChain.protocol_parameters('demo', {'seed': 7})),
            'calculator': orm.Dict({'name': 'chgnet'}),
            'structures__lpscl': structure(LPSCL),
            'structures__libr': structure(LIBR),
            'finetune_structures__lpsbr': structure(LPSBR),
            'electrolyte__exchanged': structure(LPSCL, 1),
            'reference': structure(LPSCL, 2),
        }
        self.top = graph.work('dpasse.electrolyte', inputs=self.given, seconds=900)
        plan = {'plan': orm.Dict({'seed': 11})}
        inputs = {'parameters': self.given['parameters']}
        self.plan = self.calc('plan_electrolyte', 'plan', self.top, inputs, plan, job=False)['plan']
        self.summary: dict[str, dict[str, orm.Dict]] = {}

    def calc(self, kind: str, label: str, parent: Any, inputs: dict, outputs: dict, job: bool = True) -> dict[str, Any]:
        """Store one calculation of five seconds."""
        return self.graph.calc(kind, label, parent, inputs, 5.0, outputs=outputs, job=job)

    def phase(self, kind: str, label: str, inputs: dict, seconds: float, parent: Any = None) -> orm.WorkChainNode:
        """Store a work chain with the plan as its parameters."""
        return self.graph.work(kind, label, parent or self.top, {**inputs, 'parameters': self.plan}, seconds)

    def finish(self, work: orm.WorkChainNode, label: str, outputs: dict[str, orm.Data]) -> None:
        """Attach the outputs to a phase and, in its namespace, to the whole."""
        self.graph.give(work, outputs)
        self.graph.give(self.top, {f'{label}__{name}': data for name, data in outputs.items()})
        self.summary[label] = {name: data for name, data in outputs.items() if isinstance(data, orm.Dict)}

    def label(self, parent: orm.WorkChainNode, frames: FramesData, label: str = 'label') -> dict[str, Any]:
        """Label ``frames`` but the first of each set, which is rejected."""
        work = self.graph.work('dpasse.label', label, parent, {'frames': frames, 'parameters': self.plan}, 20)
        kept = [labelled(item.take(np.arange(1, len(item))), seed=i) for i, item in enumerate(frames.sets())]
        rejected = [str(item.ids[0]) for item in frames.sets()]
        inputs = {'frames': frames, 'parameters': self.plan}
        result = FramesData.from_sets(kept)
        told = account(result.frames, *rejected)
        done = self.calc('dpasse.label', 'batch_000', work, inputs, {'frames': result, 'account': told})
        self.graph.give(work, done)
        return done

    def train(
        self, parent: orm.WorkChainNode, frames: FramesData, name: str, kind: str, steps: int, **more: Any
    ) -> Any:
        """Train a potential called ``name``."""
        base = self.graph.work('dpasse.train.base', more.pop('label', 'train'), parent, {'parameters': self.plan}, 60)
        start = 2.0 if kind == 'se_e2_a' else 1.2
        outputs = {
            'checkpoint': potential(self.directory, name, kind),
            'learning_curve': curve(steps, start, 0.06, seed=steps, validation='member' not in name),
        }
        return self.calc('dpasse.train', 'iteration_01', base, {'training_data': frames, **more}, outputs)

    def initial_data(self, label: str, names: list[str]) -> FramesData:
        """Perturb crystals and label them."""
        crystals = {name.partition('__')[2]: self.given[name] for name in names}
        work = self.phase('dpasse.initial_data', label, {f'structures__{k}': v for k, v in crystals.items()}, 45)
        formulas = {'lpscl': LPSCL, 'libr': LIBR, 'lpsbr': LPSBR}
        sets = [frames_of(formulas[k], 21, i, labels=False, sources=k) for i, k in enumerate(sorted(crystals))]
        made = self.calc(
            'perturb_structures', 'perturb', work, crystals, {'result': FramesData.from_sets(sets)}, job=False
        )
        done = self.label(work, made['result'])
        self.finish(work, label, done)
        return done['frames']

    def active_learning(self, frames: FramesData) -> FramesData:
        """Explore once with a committee of two, label, and tabulate."""
        crystals = {name: node for name, node in self.given.items() if name.startswith('structures__')}
        work = self.phase('dpasse.active_learning', 'active_learning', {'frames': frames, **crystals}, 210)
        committee = self.phase('dpasse.committee', 'committee_000', {'training_data': frames}, 60, work)
        members = {
            f'potentials__member_{i}': self.train(committee, frames, f'member_{i}', 'se_e2_a', 600 + i)['checkpoint']
            for i in range(2)
        }
        self.graph.give(committee, members)
        explore = self.phase('dpasse.explore', 'explore_000', {**members, **crystals}, 60, work)
        runs = {}
        for i in range(2):
            steps = np.arange(1, 9) * 50
            sampled = frames_of(LPSCL, 8, 50 + i, labels=False, steps=steps, deviations=np.linspace(0.05, 0.4, 8))
            inputs = {'structure': self.given['structures__lpscl'], **members, 'parameters': self.plan}
            outputs = {'frames': FramesData.from_sets([sampled])}
            label = f'md_{i:04d}'
            runs[f'samples__{label}'] = self.calc('dpasse.md', label, explore, inputs, outputs)['frames']
        chosen = [
            item.take([2, 4, 6]).with_origin(sources=key, reasons='deviation between 0.1 and 0.3 eV/A')
            for key, node in runs.items()
            for item in node.sets()
        ]
        candidates = {'candidates': FramesData.from_sets(chosen)}
        picked = self.calc(
            'select_candidates', 'select', explore, {**runs, 'parameters': self.plan}, candidates, job=False
        )
        self.graph.give(explore, picked)
        done = self.label(work, picked['candidates'], 'label_000')
        names = ('iteration', 'frames', 'sampled', 'accurate', 'candidate', 'failed', 'trust_low', 'trust_high')
        names += ('labelled', 'rejected', 'energy_mae_meV_atom', 'force_mae_meV_A')
        values = [
            (0, 40, 16, 5, 9, 2, 0.1, 0.3, 4, 2, 8.1, 131.0),
            (1, 44, 16, 12, 4, 0, 0.09, 0.27, None, None, 5.2, 96.0),
        ]
        rows = [dict(zip(names, row, strict=True)) for row in values]
        table = {'iterations': rows, 'converged': True, 'verdict': '75 % of the frames are accurate.'}
        inputs = {'convergence': self.plan, 'accounts__iteration_0000_i000': done['account']}
        inputs |= {'frames__iteration_0000_i000': frames}
        outputs = {'iterations': orm.Dict(table), 'account': orm.Dict(done['account'].get_dict())}
        tables = self.calc('tabulate_iterations', 'table_000', work, inputs, outputs, job=False)
        union = FramesData.union([frames, done['frames']])
        inputs = {'frames__initial': frames, 'frames__labelled_0000_i000': done['frames']}
        joined = self.calc('union_frames', 'collect', work, inputs, {'result': union}, job=False)['result']
        self.finish(work, 'active_learning', {'frames': joined, **members, **tables})
        return joined

    def split(self, work: orm.WorkChainNode, frames: FramesData) -> tuple[FramesData, FramesData]:
        """Take every tenth frame out for the test."""
        sets = frames.sets()
        parts = {
            'training': [item.take(np.arange(len(item)) % 10 != 0) for item in sets],
            'test': [item.take(np.arange(len(item)) % 10 == 0) for item in sets],
        }
        outputs = {name: FramesData.from_sets(part) for name, part in parts.items()}
        done = self.calc('split_frames', 'split', work, {'frames': frames, 'parameters': self.plan}, outputs, job=False)
        return done['training'], done['test']

    def pretrain(self, frames: FramesData) -> tuple[Any, FramesData]:
        """Train DPA-2 on all frames."""
        work = self.phase('dpasse.pretrain', 'pretrain', {'frames': frames}, 110)
        training, test = self.split(work, frames)
        done = self.train(work, training, 'teacher', 'dpa2', 1500)
        told = self.evaluate(work, test, {'pretrained': errors(4.1, 71.0)})
        self.finish(work, 'pretrain', {**done, 'errors': told, 'training_data': training, 'test_data': test})
        return done['checkpoint'], test

    def evaluate(self, work: orm.WorkChainNode, frames: FramesData, found: dict[str, Any]) -> orm.Dict:
        """Store the errors ``found``."""
        return self.calc('dpasse.evaluate', 'evaluate', work, {'frames': frames}, {'results': orm.Dict(found)})[
            'results'
        ]

    def finetune(self, frames: FramesData, teacher: Any) -> None:
        """Tune to the new compound."""
        work = self.phase('dpasse.finetune', 'finetune', {'frames': frames, 'pretrained': teacher}, 50)
        training, test = self.split(work, frames)
        done = self.train(work, training, 'tuned', 'dpa2', 500, pretrained=teacher)
        found = {'zero_shot': errors(48.0, 223.0, 2), 'fine_tuned': errors(3.4, 66.0, 2)}
        told = self.evaluate(work, test, found)
        self.finish(work, 'finetune', {**done, 'errors': told, 'test_data': test})

    def distill(self, teacher: Any, test: FramesData) -> Any:
        """Run the teacher, perturb its frames, label them with it, train the student."""
        names = {'a': 'electrolyte__exchanged', 'b': 'reference'}
        crystals = {f'structures__{key}': self.given[name] for key, name in names.items()}
        work = self.phase('dpasse.distill', 'distill', {'teacher': teacher, 'test_data': test, **crystals}, 210)
        runs = {}
        for i in range(2):
            sampled = frames_of(LPSCL, 6, 80 + i, labels=False, steps=np.arange(1, 7) * 20)
            inputs = {
                'structure': crystals['structures__a'],
                'potentials__teacher': teacher,
                'parameters': self.plan,
            }
            outputs = {'frames': FramesData.from_sets([sampled])}
            runs[f'md_{i:03d}'] = self.calc('dpasse.md', f'md_{i:03d}', work, inputs, outputs)['frames']
        union = {'result': FramesData.union(runs.values())}
        samples = self.calc('union_frames', 'union_samples', work, runs, union, job=False)['result']
        moved = [
            FrameSet(item.symbols, item.cells, item.positions + 0.01 * (1 + i)).with_origin(
                steps=item.steps, reasons=[f'perturbed from {identity}' for identity in item.ids]
            )
            for i, item in enumerate(samples.sets())
        ]
        inputs = {'frames': samples, 'parameters': self.plan}
        outputs = {'result': FramesData.from_sets(moved)}
        again = self.calc('perturb_frames', 'perturb_samples', work, inputs, outputs, job=False)['result']
        done = self.label(work, again)
        trained = self.train(work, done['frames'], 'student', 'se_e2_a', 4000)
        found = {
            'against_teacher': {'student': errors(5.0, 88.0)},
            'against_reference': {'student': errors(6.3, 104.0), 'teacher': errors(4.4, 75.0)},
        }
        told = self.evaluate(work, test, found)
        speed = self.calc(
            'compare_speed', 'speed', work, {'x': told}, {'result': orm.Dict({'ratio': 118.0})}, job=False
        )
        outputs = {
            'student': trained['checkpoint'],
            'learning_curve': trained['learning_curve'],
            'errors': told,
        }
        outputs |= {'frames': done['frames'], 'account': done['account'], 'speed': speed['result']}
        self.finish(work, 'distill', outputs)
        return trained['checkpoint']

    def conductivity(
        self, student: Any, label: str, crystal: orm.StructureData, temperatures: int
    ) -> orm.WorkChainNode:
        """Run the student and analyse it."""
        inputs = {'structures__x': crystal, 'potential': student}
        work = self.phase('dpasse.conductivity', label, inputs, 170)
        runs = {}
        for i in range(temperatures):
            inputs = {'structure': crystal, 'potentials__x': student, 'parameters': self.plan}
            results = {'results': orm.Dict({'step': 7500, 'steps': 7500, 'katom_steps_per_s': 14.2})}
            runs[f'md_{i}'] = self.calc('dpasse.md', f'md_{i:03d}', work, inputs, results)['results']
        outputs = transport_nodes(temperatures, 1.0 if label == 'conductivity' else 0.02)
        done = self.calc('collect_transport', 'collect', work, runs, outputs, job=False)
        self.finish(work, label, done)
        return work

    def build(self) -> orm.WorkChainNode:
        """Build everything and return the top process."""
        first = self.initial_data('initial_data', ['structures__lpscl', 'structures__libr'])
        frames = self.active_learning(first)
        teacher, test = self.pretrain(frames)
        self.finetune(self.initial_data('finetune_labels', ['finetune_structures__lpsbr']), teacher)
        student = self.distill(teacher, test)
        self.conductivity(student, 'conductivity', self.given['electrolyte__exchanged'], 3)
        self.conductivity(student, 'reference', self.given['reference'], 1)
        content = summarize_electrolyte.__wrapped__(self.given['parameters'], **self.summary)
        parts = {f'{phase}__{name}': data for phase, found in self.summary.items() for name, data in found.items()}
        inputs = {'parameters': self.given['parameters'], **parts}
        self.graph.give(
            self.top, self.calc('summarize', 'summarize', self.top, inputs, {'summary': content}, job=False)
        )
        self.graph.seal()
        return self.top
