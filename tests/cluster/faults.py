"""Run a chain undisturbed, then under seeded faults, and compare: it has to end, with the same frames and verdicts.

    python tests/cluster/faults.py --chain active_learning --seed 1 --kills 20 [--only worker,sshd]

`BOX` names the scratch folder of the box that `box.sh start` has started. The chain is run again until all faults have
been tried. Exit status 0: every run ended, by itself or after the command that `aiida-dpasse status` names, and gave
what the undisturbed run gave. See docs/robustness.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from cluster import (
    BOX,
    HOOKS,
    REPOSITORY,
    box,
    clear_hooks,
    cluster,
    hook,
    load_anew,
    persist,
    served,
    shell,
    start_daemon,
)

#: Seconds that a run may take, and after which one in which nothing moves is asked for its status.
LIMIT, STILL = 3000.0, 75.0
#: Seconds between two faults, at least and at most.
PAUSE = (2.0, 10.0)
#: More memory than a job of `cluster.OPTIONS` has, really written to, until SLURM sees it.
HOG = f'{sys.executable} -c \'import time; x = b"1" * 3400000000; time.sleep(90)\''
FLIP = """python3 - <<'END'
from pathlib import Path
path = sorted(Path('output').rglob('force.npy'))[0]
content = bytearray(path.read_bytes())
content[-8] ^= 0x10
path.write_bytes(content)
END"""


# -- what runs in the box ---------------------------------------------------------------------------------------------


def programs(*words: str, without: str | None = None, holding: str | None = None) -> list[psutil.Process]:
    """Return the programs of jobs whose command line has all ``words``.

    :param without: a file that is not yet in the job's folder.
    :param holding: a file that is, and is not empty.
    """
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if not all(any(part.endswith(word) for part in command) for word in words):
                continue
            folder = Path(process.cwd())
            if not folder.is_relative_to(BOX / 'work') or Path(command[0]).name in ('bash', 'sh'):
                continue
            if without is not None and (folder / without).exists():
                continue
            if holding is not None and not ((folder / holding).exists() and (folder / holding).stat().st_size):
                continue
            if process.status() != psutil.STATUS_STOPPED:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError):
            continue
    return found


def training_begins() -> list[psutil.Process]:
    """Trainings that still import."""
    return programs('dp', 'train', without='lcurve.out')


def training() -> list[psutil.Process]:
    """Trainings that train."""
    return programs('dp', 'train', holding='lcurve.out')


def freezing() -> list[psutil.Process]:
    """Trainings that are done and freeze."""
    return programs('dp', 'freeze')


def dynamics() -> list[psutil.Process]:
    """Molecular dynamics by LAMMPS."""
    return programs('lmp', '-in')


def driver(name: str) -> Callable[[], list[psutil.Process]]:
    """Return a finder of the jobs of one of our drivers."""
    return lambda: programs(f'dpasse_{name}.zip')


# -- faults -----------------------------------------------------------------------------------------------------------


@dataclass
class Fault:
    """One kind of fault: when there is an occasion for it, and what it does."""

    occasions: Callable[[], list[Any]]
    strike: Callable[[Any], str]
    #: Whether a job injects the fault into itself, later.
    ordered: bool = False


def kill(process: psutil.Process) -> str:
    """Kill a program or a worker."""
    said = ' '.join(process.cmdline())[-100:]
    process.kill()
    return f'killed process {process.pid}: {said}'


def run_out_of_time(process: psutil.Process) -> str:
    """Stop a program until SLURM ends its job, a minute after its start at the latest."""
    job = process.environ()['SLURM_JOB_ID']
    shell('scontrol', 'update', f'JobId={job}', 'TimeLimit=1')
    process.send_signal(signal.SIGSTOP)
    return f'job {job} was stopped and has a minute: {" ".join(process.cmdline())[-60:]}'


def away(service: str, seconds: float) -> Callable[[Any], str]:
    """Return what takes a service away for a while."""

    def strike(_: Any) -> str:
        box('kill', service)
        time.sleep(seconds)
        box('up', service)
        return f'{service} was away for {seconds:.0f} s'

    return strike


def kill_daemon(_: Any) -> str:
    """Kill supervisor and workers, and start the daemon again."""
    killed = []
    for process in served():  # the supervisor is the oldest and goes first: it would start the others anew
        process.kill()
        killed.append(process.pid)
    time.sleep(2.0)
    start_daemon()
    return f'killed {killed} and started the daemon'


def lose_tasks(_: Any) -> str:
    """Kill the daemon, so that the broker has all tasks back, and have the broker lose them."""
    for process in served():
        process.kill()
    time.sleep(2.0)
    said = box('purge')
    start_daemon()
    return f'killed the daemon and purged the queue: {said.strip()[-80:]}'


def order(name: str, when: str, condition: str, command: str) -> Fault:
    """Return a fault inside a job: the next one for which ``condition`` holds does it to itself."""
    return Fault(lambda: [name], lambda _: f'ordered: {hook(name, when, condition, command).name}', ordered=True)


def submissions() -> list[Any]:
    """Return the work chains that were submitted a moment ago: their next step submits a child."""
    from aiida import orm

    query = orm.QueryBuilder()
    query.append(orm.WorkChainNode, filters={'attributes.process_state': {'in': ['created', 'running', 'waiting']}})
    query.order_by({orm.WorkChainNode: {'id': 'desc'}}).limit(1)
    newest = persist(lambda: query.first(flat=True))
    return [newest] if newest and (datetime.now(UTC) - newest.ctime).total_seconds() < 2.0 else []


def always() -> list[Any]:
    """There is always an occasion."""
    return [None]


def script_has(word: str) -> str:
    """Return the condition that a job's script has a word."""
    return f'grep -q -e "{word}" _aiidasubmit.sh'


FAULTS = {
    'worker': Fault(lambda: list(served('worker')), kill),
    'daemon': Fault(always, kill_daemon),
    'tasks': Fault(always, lose_tasks),
    'import': Fault(training_begins, kill),
    'training': Fault(training, kill),
    'freeze': Fault(freezing, kill),
    'md': Fault(dynamics, kill),
    'labels': Fault(driver('label'), kill),
    'evaluation': Fault(driver('evaluate'), kill),
    'slurmd': Fault(always, away('slurmd', 45.0)),
    'sshd_submission': Fault(submissions, away('sshd', 20.0)),
    'sshd': Fault(always, away('sshd', 20.0)),
    'rabbitmq': Fault(always, away('rabbitmq', 2.0)),
    'rabbitmq_submission': Fault(submissions, away('rabbitmq', 2.0)),
    'postgres': Fault(always, away('postgres', 4.0)),
    'time_training': Fault(lambda: training_begins() + training(), run_out_of_time),
    'time_md': Fault(dynamics, run_out_of_time),
    'time_labels': Fault(driver('label'), run_out_of_time),
    'time_evaluation': Fault(driver('evaluate'), run_out_of_time),
    'time_transport': Fault(driver('transport'), run_out_of_time),
    'memory_training': order('memory_training', 'before', script_has("'train'"), HOG),
    'memory_md': order('memory_md', 'before', script_has("'-in'"), HOG),
    'memory_labels': order('memory_labels', 'before', script_has('dpasse_label.zip'), HOG),
    'truncated_samples': order(
        'truncated_samples',
        'after',
        '[ -s samples.lammpstrj ]',
        'truncate -s $(( $(stat -c %s samples.lammpstrj) * 6 / 10 )) samples.lammpstrj',
    ),
    'truncated_model': order('truncated_model', 'after', '[ -s frozen.pb ]', 'truncate -s 5000 frozen.pb'),
    'flipped_force': order(
        'flipped_force', 'after', f'{script_has("dpasse_label.zip")} && [ "$(find output -name force.npy)" ]', FLIP
    ),
}
#: Chains without dynamics for a conductivity.
MISSING = {'active_learning': {'time_transport'}}


# -- runs -------------------------------------------------------------------------------------------------------------


@dataclass
class Event:
    """A fault that was done, or a command that `status` named."""

    kind: str
    said: str
    at_s: float


@dataclass
class Result:
    """One run of the chain."""

    pk: int
    wall_s: float = 0.0
    ended: bool = False
    faults: list[Event] = field(default_factory=list)
    repairs: list[Event] = field(default_factory=list)
    differences: dict[str, Any] = field(default_factory=dict)
    failed_jobs: list[Any] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether it ended with what the undisturbed run gave."""
        return self.ended and not self.differences


class Run:
    """Submits a chain, strikes it, and runs the command that `status` names where it stands still."""

    def __init__(self, builder: Any, draw: random.Random, kinds: list[str]) -> None:
        from aiida.engine import submit

        self.began = time.monotonic()
        self.draw = draw
        self.kinds = kinds
        self.result = Result(submit(builder).pk)
        self._quiet_until = self.began + draw.uniform(*PAUSE)
        self._moved = (None, self.began)

    @property
    def node(self) -> Any:
        """The process, read anew: a session that lost its database knows its nodes no more."""
        from aiida import orm

        return persist(lambda: orm.load_node(self.result.pk))

    def to_end(self) -> Result:
        """Follow it to its end and return what happened."""
        while time.monotonic() - self.began < LIMIT and not self.result.ended:
            for _ in range(10):
                self.strike()
                time.sleep(0.2)
            self.help()
            self.result.ended = persist(lambda: self.node.is_terminated)
        self.result.wall_s = round(time.monotonic() - self.began, 1)
        return self.result

    def compare(self, expected: dict[str, Any]) -> None:
        """Note the jobs that failed, and (found, expected) of what differs, by name."""
        import studies

        for event in [event for event in self.result.faults if FAULTS[event.kind].ordered]:
            job = HOOKS / 'done' / f'{event.kind}.job'
            if job.exists():
                event.said = f'done by job {job.read_text().strip()}'
            else:  # no job came that it was for
                self.result.faults.remove(event)
                self.kinds.append(event.kind)
        clear_hooks()
        self.result.failed_jobs = persist(lambda: failed_jobs(self.node))
        found = persist(lambda: studies.digest(self.node))
        self.result.differences = {
            name: (found.get(name), expected.get(name))
            for name in sorted({*found, *expected})
            if found.get(name) != expected.get(name)
        }

    def strike(self) -> None:
        """Do the first of the faults for which there is an occasion."""
        if time.monotonic() < self._quiet_until:
            return
        for kind in self.kinds:
            if targets := FAULTS[kind].occasions():
                target = self.draw.choice(targets)
                try:
                    said = FAULTS[kind].strike(target)
                except psutil.NoSuchProcess:
                    continue  # it ended between the look and the blow
                self.kinds.remove(kind)
                self.result.faults.append(self._event(kind, said))
                self._quiet_until = time.monotonic() + self.draw.uniform(*PAUSE)
                return

    def help(self) -> None:
        """Run what `aiida-dpasse status` names if nothing has moved for a while."""
        now = time.monotonic()
        if now - self._moved[1] < STILL / 5:
            return
        stamp = persist(self._stamp)
        if stamp != self._moved[0]:
            self._moved = (stamp, now)
        elif now - self._moved[1] > STILL:
            said = shell('aiida-dpasse', 'status', str(self.result.pk), timeout=300)
            for command in named_commands(said):
                self.result.repairs.append(self._event(command, shell(*command.split(), timeout=300).strip()[:300]))
            self._moved = (stamp, now)

    def _stamp(self) -> tuple[Any, ...]:
        from aiida import orm

        query = orm.QueryBuilder().append(orm.ProcessNode, project=['id', 'mtime'])
        rows = query.all()
        return len(rows), max(row[1] for row in rows)

    def _event(self, kind: str, said: str) -> Event:
        event = Event(kind, said, round(time.monotonic() - self.began, 1))
        print(f'{event.at_s:8.1f} s  {kind}: {said}', flush=True)
        return event


def named_commands(status: str) -> list[str]:
    """Return the first command that each line of `status` names, once each."""
    named = re.compile('`((?:aiida-dpasse status --repair|verdi process play|verdi daemon)[^`]*)`')
    return list(dict.fromkeys(found[1] for line in status.splitlines() if (found := named.search(line))))


def failed_jobs(node: Any) -> list[Any]:
    """Return key, name, state and exit status of the jobs that did not end well."""
    from aiida import orm

    return [
        (job.pk, job.process_label, job.process_state.value, job.exit_status)
        for job in node.called_descendants
        if isinstance(job, orm.CalcJobNode) and not job.is_finished_ok
    ]


def undisturbed(chain: str, codes: dict[str, Any]) -> Any:
    """Return a run of the chain without faults, made once for each state of the package and of the study."""
    import studies
    from aiida import orm

    sources = [*sorted((REPOSITORY / 'aiida_dpasse').rglob('*.py')), Path(studies.__file__)]
    state = hashlib.sha256(b''.join(path.read_bytes() for path in sources)).hexdigest()
    label = f'undisturbed {chain} {state[:8]}'
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'label': label})
    for node in query.all(flat=True):
        if node.is_finished:
            return node
    run = Run(studies.CHAINS[chain](codes), random.Random(0), [])
    if not run.to_end().ended or not run.node.is_finished:
        raise RuntimeError(f'The undisturbed run {run.node.pk} did not end.')
    node = run.node
    node.label = label
    return node


def drawn(draw: random.Random, kinds: list[str], number: int) -> list[str]:
    """Return the faults in the order in which they are tried: every kind once before one comes again."""
    found: list[str] = []
    while len(found) < number:
        found += draw.sample(kinds, len(kinds))
    return found[:number]


def campaign(chain: str, seed: int, kills: int, kinds: list[str]) -> dict[str, Any]:
    """Run the chain until ``kills`` faults were done and return everything that happened."""
    with cluster() as codes:
        import studies

        reference = undisturbed(chain, codes())
        expected = studies.digest(reference)
        print(f'undisturbed: {reference.process_label}<{reference.pk}> [{reference.exit_status}]', flush=True)
        draw = random.Random(seed)
        results, left = [], drawn(draw, kinds, kills)
        while left:
            load_anew()
            asked, kept = left[: len(kinds)], left[len(kinds) :]
            run = Run(studies.CHAINS[chain](codes()), draw, asked)
            result = run.to_end()
            run.compare(expected)
            results.append(result)
            verdict = 'equal' if result.good else f'DIFFERS in {", ".join(result.differences) or "its end"}'
            print(
                f'{run.node.process_label}<{result.pk}> [{run.node.exit_status}] after {result.wall_s} s and '
                f'{len(result.faults)} faults: {verdict}',
                flush=True,
            )
            if not result.faults or not result.ended:
                break  # no occasion for what is left, or no end
            left = asked + kept
        return {
            'chain': chain,
            'seed': seed,
            'good': all(result.good for result in results) and not left,
            'faults': sum(len(result.faults) for result in results),
            'not_tried': left,
            'undisturbed': expected,
            'runs': [asdict(result) | {'good': result.good} for result in results],
        }


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--chain', choices=('active_learning', 'electrolyte'), required=True)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--kills', type=int, default=20, help='number of faults in all')
    parser.add_argument('--only', help=f'some of {",".join(FAULTS)}')
    parser.add_argument('--json', type=Path, default=None, help='file for the result, else it is printed')
    arguments = parser.parse_args()
    kinds = arguments.only.split(',') if arguments.only else sorted(FAULTS.keys() - MISSING.get(arguments.chain, set()))
    if unknown := set(kinds) - set(FAULTS):
        parser.error(f'no such fault: {", ".join(sorted(unknown))}')
    found = campaign(arguments.chain, arguments.seed, arguments.kills, kinds)
    text = json.dumps(found, indent=1, default=str)
    if arguments.json:
        arguments.json.write_text(text)
    else:
        print(text)
    print(f'{found["faults"]} faults in {len(found["runs"])} runs: {"all equal" if found["good"] else "NOT all equal"}')
    return 0 if found['good'] else 1


if __name__ == '__main__':
    os.chdir(BOX)
    sys.exit(main())
