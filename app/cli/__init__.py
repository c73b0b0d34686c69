"""The command line: the headless twin of the window, on the same core.

``run(arguments)`` returns the exit status: 0 done, 1 a run failed (in part or whole), 2 bad usage or bad input, 130 interrupted.
Every error is one line on stderr that names a remedy. No module of this package imports torch, Qt or numpy before one of its
commands runs, so ``atrous --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from app.cli.terminal import prepare_output, say
from app.import_trouble import explain, is_import_trouble
from deeplab_core import __version__
from deeplab_core.errors import (
    AtrousError,
    CatalogError,
    DeviceError,
    ExportError,
    ImageReadError,
    LabelSourceError,
    MaskFormatError,
    ProjectError,
    WeightsError,
)
from deeplab_core.printable import log_to_stderr

__all__ = ["main", "run"]

#: Errors that the caller fixes with other arguments; every other AtrousError is a run that failed.
BAD_INPUT = (
    CatalogError,
    DeviceError,
    ExportError,
    ImageReadError,
    LabelSourceError,
    MaskFormatError,
    ProjectError,
    WeightsError,
)


#: Name of each command -> module and attribute. A command's module is imported when it is called or listed, so that the window
#: does not wait for what it will not run.
COMMANDS = {
    "ablate": "app.cli.ablate:ablate",
    "adapt": "app.cli.adapt:adapt",
    "bench": "app.cli.bench:bench",
    "classes": "app.cli.classes:classes",
    "compare": "app.cli.compare:compare",
    "demo": "app.cli.demo:demo",
    "doctor": "app.cli.doctor:doctor",
    "evaluate": "app.cli.evaluate:evaluate",
    "export": "app.cli.export:export",
    "figures": "app.cli.figures:figures",
    "import": "app.cli.import_labels:import_labels",
    "inspect": "app.cli.inspect:inspect",
    "models": "app.cli.models:models",
    "open": "app.cli.window:window",
    "predict": "app.cli.predict:predict",
    "project": "app.cli.project:project",
    "rank": "app.cli.rank:rank",
    "refine": "app.cli.refine:refine",
    "report": "app.cli.report:report",
    "similar": "app.cli.similar:similar",
    "train": "app.cli.train:train",
}
#: Names of earlier versions; they work for one release and are in no list.
OLD_NAMES = {"doubt": "rank"}


class WindowByDefault(click.Group):
    """A group with a first argument that may also be a folder: ``atrous FOLDER`` opens the window on it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, hidden ones included."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; None for a name that is none."""
        name = OLD_NAMES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Route everything that is neither a command nor an option of the group to the window."""
        if not args or (args[0] not in COMMANDS and args[0] not in OLD_NAMES and args[0] not in ("-h", "--help", "--version")):
            args = ["open", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=WindowByDefault, context_settings={"help_option_names": ["-h", "--help"]}, subcommand_metavar="[FOLDER | COMMAND ...]"
)
@click.version_option(__version__, prog_name="atrous")
def main() -> None:
    """Run DeepLabv3+ on folders of images, evaluate the masks, correct and export them.

    With a FOLDER, or with nothing at all, the window opens. The commands do the same work without a window.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; never raises for a user's mistake."""
    prepare_output()
    log_to_stderr("%(levelname)s %(name)s: %(message)s")
    try:
        status = main.main(args=list(arguments), prog_name="atrous", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:  # 'atrous project' alone: its help, with its lines
        say(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _complain(_one_line(error), 2)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted; everything written so far is complete. Use --resume to continue", 130)
    except AtrousError as error:
        return _complain(str(error), 2 if isinstance(error, BAD_INPUT) else 1)
    except BrokenPipeError:  # 'atrous models list | head'
        sys.stderr.close()
        return 0
    except Exception as error:
        if not is_import_trouble(error):
            raise
        return _complain(". ".join(explain(error)), 1)
    return status if isinstance(status, int) else 0


def _one_line(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" Try '{context.command_path} --help'." if context is not None else ""
    return " ".join(error.format_message().split()).rstrip(".") + "." + hint


def _complain(message: str, status: int) -> int:
    say(f"atrous: {' '.join(message.split())}", err=True)
    return status
