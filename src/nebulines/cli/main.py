"""The command ``nebulines``: finds its subcommands, and turns errors into one message."""

from __future__ import annotations

import importlib
import signal
import warnings
from typing import Any

import click

import nebulines
from nebulines.errors import InputError, NebulinesError, UsageError
from nebulines.runtime import configure

# command -> (module, function, what it does); imported when it is run
_COMMANDS = {
    "classify": (
        "nebulines.cli.classify",
        "classify",
        "Say what line fluxes mean: dust, density, abundance, classes.",
    ),
    "demo": ("nebulines.cli.demo", "demo", "Measure a real MUSE cube and show what was found."),
    "denoise": (
        "nebulines.cli.denoise",
        "denoise",
        "Estimate what spectra of galaxies are without noise.",
    ),
    "evaluate": (
        "nebulines.cli.evaluate",
        "evaluate",
        "Judge a network, or the fit, on held-out spectra.",
    ),
    "explore": (
        "nebulines.cli.explore",
        "explore",
        "Look at galaxies or at maps in the browser.",
    ),
    "fit": ("nebulines.cli.fit", "fit", "Measure the emission lines of a cube or of spectra."),
    "info": ("nebulines.cli.info", "info", "Say what a file is and what would be fitted."),
    "instruments": ("nebulines.cli.instruments", "instruments", "List the known instruments."),
    "lines": ("nebulines.cli.lines", "lines", "List the lines of the catalogue."),
    "paint": ("nebulines.cli.paint", "paint", "Add emission lines to stellar continua."),
    "reproduce": (
        "nebulines.cli.reproduce",
        "reproduce",
        "Make a paper's tables and figures, ours beside theirs.",
    ),
    "simulate": (
        "nebulines.cli.simulate",
        "simulate",
        "Make mock spectra or a mock cube of an instrument, with their truth.",
    ),
    "train": ("nebulines.cli.train", "train", "Train a network from simulated spectra."),
}


class LazyGroup(click.Group):
    """Subcommands that are imported when they are run, and one place for errors.

    Exit status: 0 success, 1 a run that failed or was interrupted, 2 wrong use or unreadable
    input. Errors are one message on stderr; ``--debug`` shows the traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the subcommands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        if cmd_name not in _COMMANDS:
            return None
        module, function, _ = _COMMANDS[cmd_name]
        return getattr(importlib.import_module(module), function)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of ``--help``, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; every failure becomes one message and an exit status."""
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.exceptions.Exit, click.Abort):
                raise
            except KeyboardInterrupt:
                raise Failure("interrupted: nothing was left under the final names", 1) from None
            except (InputError, UsageError) as error:
                raise Failure(str(error), 2) from error
            except NebulinesError as error:
                raise Failure(str(error), 1) from error
            except Exception as error:
                raise Failure(_unexpected(error), 1) from error


class Failure(click.ClickException):
    """A message on stderr, and an exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = status  # type: ignore[misc]


def _unexpected(error: Exception) -> str:
    """One line for an error that nobody foresaw."""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, OSError):
        return f"the system refused: {what}"
    return f"{what} (unexpected; run 'nebulines --debug ...' for the traceback, and report it)"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(nebulines.__version__, prog_name="nebulines")
@click.option("--debug", is_flag=True, envvar="NEBULINES_DEBUG", help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Measure emission lines: velocity, broadening, fluxes and their uncertainties, in one
    spectrum, a survey or a cube."""


def main() -> None:
    """Entry point of the command."""
    configure(inline=False)  # before any command imports JAX
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch queue ends a run cleanly
    cli(prog_name="nebulines")
