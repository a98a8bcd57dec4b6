"""DeePMD-kit as the engine of the potentials: its program, its commands, its model files, and how LAMMPS loads them.

Chains, calculations and validators ask this module. The content of a model file is read by `checkpoint`, the output of
a program by `training_log` (with the meaning of its errors), and releases are compared by `compatibility`.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Name of the code and of the executable.
PROGRAM = 'dp'
BACKENDS = ('pytorch', 'tensorflow')
#: Option of ``dp`` that selects the backend.
FLAGS = {'pytorch': '--pt', 'tensorflow': '--tf'}
#: Descriptors that only DeePMD-kit's second PyTorch backend implements, and its option.
EXPORTABLE, EXPORTABLE_FLAG = ('dpa4c',), '--pt-expt'
#: Descriptors whose frozen form is compiled code (`.pt2`).
COMPILED = ('dpa4', 'dpa4c')
#: Forms of a model.
CHECKPOINT, FROZEN, COMPRESSED = 'checkpoint', 'frozen', 'compressed'
#: Suffix of a model file by backend and form; a TensorFlow checkpoint consists of several files and is not a model
#: file.
SUFFIXES = {
    ('pytorch', CHECKPOINT): '.pt',
    ('pytorch', FROZEN): '.pth',
    ('pytorch', COMPRESSED): '.pth',
    ('tensorflow', FROZEN): '.pb',
    ('tensorflow', COMPRESSED): '.pb',
}
#: Link to the newest checkpoint that ``dp train`` leaves with PyTorch.
NEWEST_CHECKPOINT = 'model.ckpt.pt'
#: Pair style of LAMMPS that DeePMD-kit provides.
PAIR_STYLE = 'deepmd'
#: Environment variables with the threads of an operation, and with the operations that run at once.
INTRA_THREADS = ('OMP_NUM_THREADS', 'TF_INTRA_OP_PARALLELISM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS')
INTER_THREADS = ('TF_INTER_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS')


def model_file(backend: str, form: str, stem: str = 'model') -> str:
    """Return the file name of a model; DeePMD-kit determines the backend from the suffix.

    :param backend: 'pytorch' or 'tensorflow'.
    :param form: 'checkpoint', 'frozen' or 'compressed'.
    :param stem: name without the suffix.
    :raises KeyError: if the backend has no file of this form.
    """
    return f'{stem}{SUFFIXES[backend, form]}'


def thread_lines(threads: int) -> list[str]:
    """Return the lines of shell that set the number of threads of DeePMD-kit, in ``dp``, LAMMPS or Python.

    :param threads: threads of each process.
    """
    return [f'export {name}={threads}' for name in INTRA_THREADS] + [f'export {name}=1' for name in INTER_THREADS]


# -- commands of `dp` ------------------------------------------------------------------------------------------------


def train_arguments(
    backend: str,
    input_file: str,
    *,
    descriptor: str = '',
    restart: str | None = None,
    keep_neighbours: bool = False,
    pretrained: str | None = None,
    use_pretrain_script: bool = False,
    branch: str | None = None,
) -> list[str]:
    """Return the arguments of ``dp`` for a training.

    :param backend: 'pytorch' or 'tensorflow'.
    :param input_file: training input.
    :param descriptor: type of the descriptor, which may need the exportable backend.
    :param restart: checkpoint to continue from; the settings of fine-tuning are then ignored.
    :param keep_neighbours: whether a restart reuses the neighbour statistics. A PyTorch checkpoint contains their
        result; TensorFlow has to compute it again.
    :param pretrained: checkpoint to fine-tune.
    :param use_pretrain_script: whether to take the model settings from ``pretrained``.
    :param branch: head of ``pretrained``.
    """
    flag = EXPORTABLE_FLAG if descriptor.lower() in EXPORTABLE else FLAGS[backend]
    arguments = [flag, 'train', input_file]
    if restart is not None:
        skip = keep_neighbours and backend == 'pytorch'
        return [*arguments, '--restart', restart, *(['--skip-neighbor-stat'] if skip else [])]
    if pretrained is not None:
        arguments += ['--finetune', pretrained]
        arguments += ['--use-pretrain-script'] if use_pretrain_script else []
        arguments += _option('--model-branch', branch)
    return arguments


def freeze_arguments(backend: str, output: str, *, checkpoint: str | None = None, head: str | None = None) -> list[str]:
    """Return the arguments of ``dp`` that freeze a checkpoint.

    :param backend: 'pytorch' or 'tensorflow'.
    :param output: frozen model.
    :param checkpoint: model file, by default the newest checkpoint in the working directory.
    :param head: head of a checkpoint with several heads.
    """
    return [FLAGS[backend], 'freeze', *_option('-c', checkpoint), '-o', output, *_option('--head', head)]


def compress_arguments(backend: str, frozen: str, output: str) -> list[str]:
    """Return the arguments of ``dp`` that compress a frozen model.

    :param backend: 'pytorch' or 'tensorflow'.
    :param frozen: frozen model.
    :param output: compressed model.
    """
    return [FLAGS[backend], 'compress', '-i', frozen, '-o', output]


def change_bias_arguments(checkpoint: str, data: str, output: str, *, branch: str | None = None) -> list[str]:
    """Return the arguments of ``dp`` that fit the energies of the elements to labelled frames (PyTorch).

    :param checkpoint: checkpoint to change.
    :param data: directory of the labelled frames.
    :param output: changed checkpoint.
    :param branch: head of the checkpoint.
    """
    flag = FLAGS['pytorch']
    return [flag, 'change-bias', checkpoint, '-s', data, '-o', output, *_option('--model-branch', branch)]


def _option(name: str, value: str | None) -> list[str]:
    return [] if value is None else [name, value]


# -- LAMMPS ----------------------------------------------------------------------------------------------------------


def lammps_commands(
    models: Sequence[str],
    elements: Sequence[str],
    *,
    deviation_file: str,
    deviation_interval: int,
    relative: float | None = None,
) -> list[str]:
    """Return the LAMMPS commands that load one or several models.

    :param models: frozen or compressed models; the first drives the dynamics. The deviation among several is written.
    :param elements: element of atom type 1, 2, ...
    :param deviation_file: file of the deviation.
    :param deviation_interval: steps between two rows of the deviation.
    :param relative: level in eV/A; the deviation of an atom's force is divided by the size of the force plus this
        level.
    """
    deviation = ''
    if len(models) > 1:
        deviation = f' out_file {deviation_file} out_freq {deviation_interval}'
        deviation += f' relative {relative:.10g}' if relative else ''
    return [f'pair_style {PAIR_STYLE} {" ".join(models)}{deviation}', f'pair_coeff * * {" ".join(elements)}']


# -- which form a use needs ------------------------------------------------------------------------------------------


def is_checkpoint(form: str) -> bool:
    """Whether a model of this form is trained further and has to be frozen before LAMMPS can run it."""
    return form == CHECKPOINT


def check_form_for_lammps(form: str, advice: str = 'give the frozen potential.') -> str | None:
    """Check that LAMMPS can run a model of this form.

    :param form: 'checkpoint', 'frozen' or 'compressed'.
    :param advice: what to do instead, the end of the message.
    :returns: one sentence that states the problem, or None.
    """
    return f'LAMMPS cannot run a checkpoint: {advice}' if is_checkpoint(form) else None


def check_freezable(descriptor: str) -> str | None:
    """Check that a checkpoint can be frozen into a form that this package supports.

    :param descriptor: types of the descriptors, joined by '+'.
    :returns: one sentence that states the problem, or None.
    """
    if not set(descriptor.split('+')) & set(COMPILED):
        return None
    return (
        'DPA-4 is frozen into compiled code (`.pt2`) only, which is not supported: use the checkpoint to evaluate and '
        'to label, and another potential in LAMMPS.'
    )


def check_form_for_finetuning(backend: str, form: str) -> str | None:
    """Check that a model can be fine-tuned.

    :param backend: 'pytorch' or 'tensorflow'.
    :param form: 'checkpoint', 'frozen' or 'compressed'.
    :returns: one sentence that states the problem, or None.
    """
    if is_checkpoint(form) and backend == 'pytorch':
        return None
    return f'it is a {form} potential of {backend}; give the PyTorch checkpoint (`.pt`) from which it was frozen.'
