"""The group `aiida-dpasse`: every command is a module of this package, imported only when it is called."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, ClassVar

import click

from aiida_dpasse import __version__, quoting
from aiida_dpasse.cli.lazy import LazyGroup
from aiida_dpasse.cli.output import sentence_of
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.interrupt import end_on_interrupt
from aiida_dpasse.unreadable import UnreadableError


class Commands(LazyGroup):
    """All commands, in the order of use."""

    #: Command -> (module:attribute, one line of help).
    COMMANDS: ClassVar[dict[str, tuple[str, str]]] = {
        'setup': ('aiida_dpasse.cli.setup:setup', 'Find dp, lmp and python on a computer, and register them as codes.'),
        'doctor': (
            'aiida_dpasse.cli.doctor:doctor',
            'Run a tiny job of each program of a computer, and say what is wrong.',
        ),
        'import': ('aiida_dpasse.cli.importing:import_', 'Store structures, frames or potentials from files.'),
        'export': ('aiida_dpasse.cli.importing:export', 'Write stored structures or frames to files.'),
        'dope': ('aiida_dpasse.cli.dope:dope', 'Doped cells of a stored crystal or a prototype.'),
        'launch': ('aiida_dpasse.cli.launch:launch', 'Show the plan of a work chain, and submit it.'),
        'status': ('aiida_dpasse.cli.status:status', 'Show the state of a process: phases, iterations, jobs.'),
        'report': ('aiida_dpasse.cli.report:report', 'Write the tables and plots of a process.'),
        'transport': ('aiida_dpasse.cli.transport:transport', 'Diffusion and conductivity of a trajectory file.'),
        'arrhenius': (
            'aiida_dpasse.cli.arrhenius:arrhenius',
            'Activation energy and extrapolation of a table of D or σ.',
        ),
        'experiment': (
            'aiida_dpasse.cli.experiment:experiment',
            'Measured conductivities of a composition, with their sources.',
        ),
        'landscape': (
            'aiida_dpasse.cli.landscape:landscape',
            'Level map of a scan as cube file and picture.',
        ),
        'density': ('aiida_dpasse.cli.maps:density', 'Density of the ions in the cell, with a picture.'),
        'sites': ('aiida_dpasse.cli.maps:sites', 'Sites of the ions with their occupancies, also as CIF.'),
        'vanhove': ('aiida_dpasse.cli.maps:vanhove', 'Van Hove functions and non-Gaussian parameter of the ions.'),
        'rdf': ('aiida_dpasse.cli.maps:rdf', 'Radial distributions of the pairs of elements.'),
        'potential': ('aiida_dpasse.cli.potential:potential', 'Describe, import, migrate and freeze model files.'),
        'passport': (
            'aiida_dpasse.cli.passport:passport',
            'Compare the labels of a calculator or potential with reference frames.',
        ),
        'dpgen': ('aiida_dpasse.cli.dpgen:dpgen', "Convert DP-GEN's input, and export its datasets."),
    }

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it could not read or write is said in one sentence, and what click says is quoted.

        :param ctx: context of the command.
        """
        try:
            return super().invoke(ctx)
        except UnreadableError as error:
            raise Refusal(str(error)) from error
        except Refusal:
            raise
        except click.ClickException as error:
            error.message = quoting.paragraph(error.message)
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of the output has enough: click ends without a word
            where = f'{os.fsdecode(error.filename)}: ' if error.filename else ''
            raise Refusal(f'{where}{sentence_of(error)}') from error


@click.group(cls=Commands, context_settings={'help_option_names': ['-h', '--help']})
@click.option('-p', '--profile', metavar='NAME', help='AiiDA profile to use instead of the default one.')
@click.version_option(__version__, '-V', '--version', prog_name='aiida-dpasse')
def cli(profile: str | None) -> None:
    """Ionic conductivity of solid electrolytes from crystal structures, with full provenance."""
    if profile is not None:
        from aiida import load_profile

        load_profile(profile, allow_switch=True)


def main() -> None:
    """Run the command; a missing or unknown profile gives a message instead of a traceback."""
    end_on_interrupt()
    try:
        cli()
    except Exception as exception:
        # Not imported here, so that commands without a profile start without AiiDA.
        aiida = sys.modules.get('aiida.common.exceptions')
        if aiida is None or not isinstance(exception, aiida.ConfigurationError):
            raise
        raise SystemExit(quoting.lines(f'Error: {exception}. Make a profile with `verdi presto`.')) from exception
