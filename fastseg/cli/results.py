"""The commands that read what a run has left: a page to look at, and one run against another."""

from __future__ import annotations

import json

import click

from fastseg.cli.screen import say, show
from fastseg.cli.usage import options_by_name

__all__ = ["compare", "report"]


@click.command()
@click.argument("run", type=click.Path())
@click.option(
    "--worst", type=click.IntRange(min=0), default=5, show_default=True, help="How many of the worst cases to show."
)
@click.option("--overlays/--no-overlays", default=True, help="Whether to read those cases again, and draw them.")
@click.option(
    "--images",
    metavar="FOLDER",
    help="What was segmented, named after the cases (nnU-Net's _0000 is understood): drawn in grey under the classes.",
)
@click.option("--fill", is_flag=True, help="Fill classes over the images, instead of outlining them.")
def report(run: str, worst: int, overlays: bool, images: str | None, fill: bool) -> None:
    """Write RUN/report.html: a page of what `fastseg evaluate -o RUN` found, to open in a browser."""
    from fastseg.report import write_report

    with options_by_name():
        show(str(write_report(run, worst=worst, overlays=overlays, images=images, fill=fill)))


@click.command()
@click.argument("run_a", type=click.Path())
@click.argument("run_b", type=click.Path())
@click.option("-o", "--output", metavar="FOLDER", help="Write comparison.json, .csv and .svg to FOLDER.")
@click.option("--metrics", metavar="NAMES", help="Metrics, separated by commas (default: those of the runs).")
@click.option(
    "--cases",
    type=click.Choice(["same", "common"]),
    default="same",
    show_default=True,
    help="Whether the runs must have the same cases, or those that both have are compared.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Of the intervals.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def compare(
    run_a: str, run_b: str, output: str | None, metrics: str | None, cases: str, confidence: float, as_json: bool
) -> None:
    """Compare two runs of the same cases: paired differences, intervals and tests, from their confusion matrices.

    A difference is RUN_B less RUN_A. No voxel is read again.
    """
    from fastseg.runs.comparison.compare import compare_runs

    chosen = None if metrics is None else tuple(name.strip().lower() for name in metrics.split(",") if name.strip())
    with options_by_name():
        found = compare_runs(run_a, run_b, metrics=chosen, cases=cases, confidence=confidence)
    if output is not None:
        from fastseg.runs.comparison.plot import write_comparison

        try:
            write_comparison(found, output)
        except ImportError as error:  # the picture's library is an extra; the other files are there
            say(str(error))
    show(json.dumps(found.to_dict(), indent=1, allow_nan=False) if as_json else str(found))
