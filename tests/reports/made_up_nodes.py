"""Nodes with made-up numbers, stored with their links as the engine does: reports are read from nodes alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from made_up_models import checkpoint
from plumpy.process_states import ProcessState

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.dynamics.transport_line import extrapolate
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV, conductivity

#: Temperature in K of the runs, hottest first, and the activation energy in eV that the numbers are made with.
TEMPERATURES, ENERGY = (900.0, 750.0, 600.0), 0.25


class Graph:
    """Stores processes with their links, as the engine does, sealed and with the durations asked for."""

    def __init__(self, computer: orm.Computer):
        self.computer = computer
        self.workflows: list[orm.WorkChainNode] = []

    def process(
        self,
        cls: type[orm.ProcessNode],
        process_type: str,
        label: str = '',
        parent: orm.WorkChainNode | None = None,
        inputs: dict[str, orm.Data] | None = None,
        seconds: float = 1.0,
        exit_status: int = 0,
        state: ProcessState = ProcessState.FINISHED,
    ) -> Any:
        """Store a process that took ``seconds``, with its inputs."""
        group = 'calculations' if issubclass(cls, orm.CalculationNode) else 'workflows'
        function = issubclass(cls, orm.CalcFunctionNode)
        job = issubclass(cls, orm.CalcJobNode)
        node = cls(
            ctime=datetime.now(UTC) - timedelta(seconds=seconds),
            **({'computer': self.computer} if job else {}),
        )
        node.process_type = f'tests.{process_type}' if function else f'aiida.{group}:{process_type}'
        node.set_process_label(process_type if function else f'{process_type.title().replace(".", "")}Process')
        node.set_process_state(state)
        if state is ProcessState.FINISHED:
            node.set_exit_status(exit_status)
            if exit_status:
                node.set_exit_message('It did not work: try again.')
        link = LinkType.INPUT_WORK if group == 'workflows' else LinkType.INPUT_CALC
        for name, data in (inputs or {}).items():
            node.base.links.add_incoming(data if data.is_stored else data.store(), link, name)
        if parent is not None:
            call = LinkType.CALL_WORK if group == 'workflows' else LinkType.CALL_CALC
            node.base.links.add_incoming(parent, call, label)
        return node.store()

    def work(self, *args: Any, **kwargs: Any) -> orm.WorkChainNode:
        """Store a work chain; it is sealed by `seal`."""
        self.workflows.append(self.process(orm.WorkChainNode, *args, **kwargs))
        return self.workflows[-1]

    def calc(self, *args: Any, outputs: dict[str, orm.Data], job: bool = True, **kwargs: Any) -> dict[str, orm.Data]:
        """Store a calculation with its outputs, and return these."""
        node = self.process(orm.CalcJobNode if job else orm.CalcFunctionNode, *args, **kwargs)
        for name, data in outputs.items():
            data.base.links.add_incoming(node, LinkType.CREATE, name)
            data.store()
        node.seal()
        return outputs

    def give(self, work: orm.WorkChainNode, outputs: dict[str, orm.Data]) -> None:
        """Attach outputs to a work chain."""
        for name, data in outputs.items():
            data.base.links.add_incoming(work, LinkType.RETURN, name)

    def seal(self) -> None:
        """Seal all work chains."""
        for work in self.workflows:
            if work.is_terminated:
                work.seal()


def frames_of(formula: dict[str, int], count: int, seed: int, labels: bool = True, **origin: Any) -> FrameSet:
    """Return random frames of ``formula`` in a cell of 10 A."""
    rng = np.random.default_rng(seed)
    symbols = sorted(s for s, n in formula.items() for _ in range(n))
    n = len(symbols)
    values: dict[str, Any] = {}
    if labels:
        values = {
            'energies': n * (-4 + 0.02 * rng.gamma(2, 1, size=count)),
            'forces': rng.normal(size=(count, n, 3)),
        }
    cells = np.tile(10 * np.eye(3), (count, 1, 1))
    return FrameSet.sort_atoms(symbols, cells, rng.uniform(0, 10, size=(count, n, 3)), **values, **origin)


LPSCL, LPSBR, LIBR = (
    {'Li': 6, 'P': 1, 'S': 5, 'Cl': 1},
    {'Li': 6, 'P': 1, 'S': 5, 'Br': 1},
    {'Li': 4, 'Br': 4},
)


def structure(formula: dict[str, int], seed: int = 0) -> orm.StructureData:
    """Return a random crystal of ``formula``."""
    return FramesData.from_sets([frames_of(formula, 1, seed, labels=False)]).get_structure(0)


def potential(directory: Path, name: str, descriptor: str) -> DeepPotentialData:
    """Return a checkpoint that contains its descriptor and one tensor."""
    model = {
        'type_map': ['Li', 'P', 'S', 'Cl', 'Br'],
        'descriptor': {'type': descriptor, 'rcut': 6.0, 'name': name},
    }
    path = checkpoint(directory / f'{name}.pt', model, step=None)
    return DeepPotentialData.from_file(path, deepmd_version='3.2.0')


def curve(steps: int, start: float, end: float, seed: int, validation: bool = True) -> orm.ArrayData:
    """Return a learning curve with the columns of ``lcurve.out``, forces in eV/A."""
    rng = np.random.default_rng(seed)
    step = np.linspace(0, steps, 60)
    rmse = (end + (start - end) * np.exp(-6 * step / steps)) * np.exp(0.25 * rng.normal(size=len(step)))
    data = orm.ArrayData()
    arrays = {'step': step, 'rmse_f_trn': rmse, 'rmse_e_trn': rmse / 20, 'lr': np.full(len(step), 1e-3)}
    arrays |= {'rmse_f_val': 1.2 * rmse} if validation else {}
    for name, values in arrays.items():
        data.set_array(name, values)
    return data


def account(admitted: int, *rejected: str) -> orm.Dict:
    """Return the account of a batch."""
    refused = [{'id': identity, 'reason': 'a force of 31.2 eV/A is above 20'} for identity in rejected]
    counts = {'requested': admitted + len(refused), 'admitted': admitted}
    return orm.Dict({**counts, 'rejected': refused, 'failed': []})


def errors(energy: float, force: float, frames: int = 20) -> dict[str, float]:
    """Return errors as `dpasse.evaluate` gives them."""
    return {
        'frames': frames,
        'energy_mae_meV_atom': energy,
        'energy_rmse_meV_atom': 1.3 * energy,
        'force_mae_meV_A': force,
        'force_rmse_meV_A': 1.4 * force,
    }


def transport_nodes(count: int, scale: float) -> dict[str, orm.Data]:
    """Return what a conductivity chain gives at ``count`` temperatures; D is ``scale`` times that of the conductor."""
    rows: list[dict[str, Any]] = []
    curves = {}
    for index, temperature in enumerate(TEMPERATURES[:count]):
        diffusivity = scale * 2.5e-4 * float(np.exp(-ENERGY / (BOLTZMANN_EV * temperature)))
        sigma = conductivity(diffusivity, 24, 1000.0, temperature)
        diffusive = scale > 0.1
        rows.append(
            {
                'temperature_K': temperature,
                'runs': 2,
                'duration_ps': 30.0,
                'diffusivity_cm2_s': diffusivity,
                'error_cm2_s': 0.12 * diffusivity,
                'variance': {'thermal': 0.12, 'configurational': None, 'model': None},
                'nernst_einstein_conductivity_mS_cm': sigma if diffusive else None,
                'nernst_einstein_conductivity_error_mS_cm': 0.12 * sigma if diffusive else None,
                'conductivity_mS_cm': None,
                'conductivity_error_mS_cm': None,
                'haven_ratio': None,
                'diffusive': diffusive,
                'verdict': 'diffusive' if diffusive else 'not diffusive',
                'reason': 'diffusive' if diffusive else 'no ion left its cage',
                'window_ps': [1.0, 6.0] if diffusive else None,
            }
        )
        lag = np.linspace(0.02, 7.5, 150)
        msd = 6 * diffusivity * 1e4 * lag + 0.8 * (1 - np.exp(-lag / 0.1))
        curves |= {f'lag_ps_{index:02d}': lag, f'msd_A2_{index:02d}': msd}
        curves[f'msd_error_A2_{index:02d}'] = 0.1 * msd * np.sqrt(lag)
        times, r = np.geomspace(0.02, 4.0, 12), 0.1 + 0.2 * np.arange(40)
        spread = (0.1 + 2 * diffusivity * 1e4 * times)[:, None]
        own = 4 * np.pi * r**2 * np.exp(-(r**2) / (2 * spread)) / (2 * np.pi * spread) ** 1.5
        curves |= {f'map_lag_ps_{index:02d}': times, f'self_r_A_{index:02d}': r, f'self_per_A_{index:02d}': own}
        curves |= {f'distinct_r_A_{index:02d}': r[:25], f'distinct_{index:02d}': np.ones((12, 25))}
    size = {'temperature_K': 900.0, 'agrees': True, 'reason': 'no effect of the size is seen'}
    transport = {'ion': 'Li', 'temperatures': rows, 'finite_size': size}
    nodes = {'transport': orm.Dict(transport), 'curves': orm.ArrayData(curves)}
    if count > 1:
        nodes['arrhenius'] = orm.Dict(extrapolate(rows, 300.0))
    return nodes
