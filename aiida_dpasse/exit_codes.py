"""Exit statuses of all processes: each name has one number, whichever process returns it.

2xx: invalid input, 3xx: missing or unreadable output, 4xx: failure of a program or sub-process, 6xx: completed without
convergence. The statuses of AiiDA are not used: 1xx of schedulers, 301, 302, 401 and 402 of restart work chains.
"""

from __future__ import annotations

from typing import Any

from aiida.engine import ProcessSpec

STATUSES = {
    'ERROR_STRUCTURES': 210,
    # Retrieved files
    'ERROR_NO_RETRIEVED_FOLDER': 300,
    'ERROR_NO_RESULT': 310,
    'ERROR_NO_LEARNING_CURVE': 311,
    'ERROR_DAMAGED_OUTPUT': 312,
    'ERROR_TRAJECTORY': 320,
    'ERROR_NO_POTENTIAL': 321,
    'ERROR_OUTFILE_MISSING': 351,
    # Programs
    'ERROR_INTERRUPTED': 400,
    'ERROR_DISK_FULL': 403,
    'ERROR_NO_PROGRESS': 404,
    'ERROR_EXPLODED': 410,
    'ERROR_MELTED': 411,
    'ERROR_LEFT_TRUST': 412,
    'ERROR_HEATED': 413,
    'ERROR_ENERGY_DRIFT': 414,
    'ERROR_LABELLER': 420,
    'ERROR_POTENTIAL': 421,
    'ERROR_CALCULATOR': 422,
    'ERROR_LAMMPS_FAILED': 423,
    'ERROR_NOT_MIGRATED': 424,
    'ERROR_NOT_FROZEN': 425,
    'ERROR_TRAINING_FAILED': 430,
    'ERROR_OUT_OF_MEMORY': 431,
    'ERROR_DIVERGED': 432,
    'ERROR_NO_WHOLE_CHECKPOINT': 433,
    'ERROR_BROKEN_CHECKPOINT': 434,
    'ERROR_STASH_FAILED': 435,
    'ERROR_CANNOT_BE_HELPED': 436,
    # Steps of chains
    'ERROR_TOO_FEW_MEMBERS': 440,
    'ERROR_COMMITTEE_FAILED': 441,
    'ERROR_VALIDATION_FAILED': 442,
    'ERROR_EXPLORATION_FAILED': 443,
    'ERROR_LABEL_FAILED': 444,
    'ERROR_RELAXATION_FAILED': 445,
    'ERROR_EVALUATION_FAILED': 446,
    'ERROR_ACCEPTANCE_FAILED': 447,
    'ERROR_PHASE_FAILED': 448,
    'ERROR_NO_RUN_FINISHED': 450,
    'ERROR_RUNS_FAILED': 451,
    'ERROR_DYNAMICS_FAILED': 452,
    'ERROR_TEACHER_FAILED': 453,
    'ERROR_ONLY_FAILURES': 454,
    'ERROR_NO_FRAME_ADMITTED': 455,
    'ERROR_TOO_MANY_FAILED': 456,
    'ERROR_NO_FRAME_SAMPLED': 457,
    'ERROR_NO_TEST_FINISHED': 458,
    'ERROR_TESTS_FAILED': 459,
    'ERROR_INCOMPLETE': 460,
    'ERROR_NO_MAP': 461,
    # Verdicts
    'ERROR_UNDETERMINED': 600,
    'ERROR_NOT_CONVERGED': 601,
    'ERROR_NO_CANDIDATES': 602,
    'ERROR_IMPRECISE': 603,
    'ERROR_STUDENT_UNSTABLE': 604,
    'ERROR_REFUSED': 620,
    'ERROR_ALL_STOPPED': 621,
}


def exit_code(spec: ProcessSpec, name: str, message: str, **kwargs: Any) -> None:
    """Define an exit code with its number from `STATUSES`.

    :param spec: specification of the process.
    :param name: label of the exit code.
    :param message: exit message.
    :param kwargs: further arguments of ``spec.exit_code``.
    :raises KeyError: if the name has no number in `STATUSES`.
    """
    spec.exit_code(STATUSES[name], name, message=message, **kwargs)


#: Message of `ERROR_DISK_FULL`, which any calculation job can return.
DISK_FULL = 'The disk of the computer is full or a quota is reached: free space there and submit again.'


def job_exit_codes(spec: ProcessSpec) -> None:
    """Define the exit codes common to all calculation jobs.

    :param spec: specification of the process.
    """
    exit_code(
        spec,
        'ERROR_NO_RETRIEVED_FOLDER',
        message='No files were retrieved from the computer: check its transport and submit again.',
        invalidates_cache=True,
    )
    exit_code(spec, 'ERROR_DISK_FULL', message=DISK_FULL, invalidates_cache=True)
