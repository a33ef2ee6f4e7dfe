"""The command line: a thin shell over `evaluate_files` and `evaluate_folder`. Results go to stdout, all else to stderr."""

from __future__ import annotations

import signal
import sys

try:
    import click
except ImportError:  # the console script is installed with the core package, its libraries are not
    raise SystemExit('fastseg: the command line needs: pip install "fastseg-metrics[cli]"') from None

import fastseg
from fastseg.cli.evaluate import evaluate
from fastseg.cli.merge import merge
from fastseg.cli.nnunet import nnunet_evaluate
from fastseg.cli.results import compare, report
from fastseg.cli.screen import say, show
from fastseg.cli.streams import guarded_streams
from fastseg.cli.tools import demo, info, warmup

__all__ = ["main"]

#: Exit codes: 0 all scored, 1 a gate failed, 2 wrong usage, 3 something could not be scored or written, 130 interrupted.
USAGE, NOT_SCORED, INTERRUPTED = 2, 3, 130


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(fastseg.__version__, prog_name="fastseg")
@click.pass_context
def cli(context: click.Context) -> None:
    """Exact segmentation metrics at the speed of memory."""
    if context.invoked_subcommand is None:
        show(context.get_help())


for _command in (evaluate, merge, report, compare, nnunet_evaluate, demo, info, warmup):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; errors are single lines on stderr, and never a traceback."""
    with guarded_streams() as lost:
        code = _exit_code()
        if (error := lost()) is not None:
            say(f"error: stdout: not all results could be written: {error.strerror or error}")
            code = max(code, NOT_SCORED)
    sys.exit(code)


def _exit_code() -> int:
    try:
        return cli.main(standalone_mode=False, prog_name="fastseg") or 0
    except click.UsageError as error:
        if error.ctx is not None:
            say(*error.ctx.get_usage().replace("Usage: ", "usage: ").splitlines())
        say(f"error: {error.format_message()}")
        return USAGE
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        ignored = False
        while not ignored:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                ignored = True
            except KeyboardInterrupt:  # whoever is impatient gets no traceback; `suppress` could itself be interrupted
                continue
        say("interrupted")
        return INTERRUPTED
    except (ValueError, TypeError, OSError, ImportError) as error:
        from fastseg.runs.cases.find import CasesError

        lines = f"error: {error}".split("\n  ") if isinstance(error, CasesError) else [f"error: {error}"]
        say(*lines)
        return NOT_SCORED
    except Exception as error:
        say(f"error: {type(error).__name__}: {error}")
        return NOT_SCORED
