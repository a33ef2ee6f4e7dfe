"""The command that makes one run of shards."""

from __future__ import annotations

import click

from fastseg.cli.screen import say
from fastseg.cli.telling import tell
from fastseg.cli.usage import options_by_name, require_writable

__all__ = ["merge"]


@click.command()
@click.argument("shards", nargs=-1, required=True, type=click.Path(), metavar="SHARD...")
@click.option(
    "-o", "--output", metavar="FOLDER", help="Write the files of the run to FOLDER, as fastseg evaluate does."
)
@click.option(
    "--json", "json_path", metavar="FILE", help="Write the scores as JSON to FILE; - for stdout, and no table."
)
@click.option("--junit", metavar="FILE", help="Write one test for each gate, as JUnit XML.")
@click.option("--quiet", is_flag=True, help="No table, no warnings; errors only.")
def merge(shards: tuple[str, ...], output: str | None, json_path: str | None, junit: str | None, quiet: bool) -> None:
    """Make one run of the folders that `fastseg evaluate --shard K/N -o SHARD` has written.

    All of them must be there, once, and of the same cases and settings; the run is the one that a single machine would have
    made. Gates (--fail-under of evaluate) are looked at here.
    """
    from fastseg.runs.merge import merge_runs
    from fastseg.runs.results.gates import check_gates, parse_gate

    require_writable("--json", None if json_path == "-" else json_path)
    require_writable("--junit", junit)
    with options_by_name():
        run = merge_runs(shards, output, note=None if quiet else say)
    results = check_gates(run, [parse_gate(gate["text"]) for gate in run.facts["gates"]])
    if code := tell(run, results, json_path, junit, quiet):
        raise click.exceptions.Exit(code)
