"""nnU-Net's evaluation of a folder: the arguments of its two commands, and their summary.json."""

from __future__ import annotations

import os
import re

import click

from fastseg.cli.screen import show
from fastseg.cli.usage import require_writable

__all__ = ["nnunet_evaluate"]


class _Command(click.Command):
    """A command whose labels may follow each other, as in ``-l 1 2 3``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with the option's name before each label."""
        given: list[str] = []
        for each in args:
            another_label = given[-2:-1] == ["-l"] and re.fullmatch(r"-?\d+", each)
            given += ["-l", each] if another_label else [each]
        return super().parse_args(ctx, given)


@click.command("nnunet-evaluate", cls=_Command)
@click.argument("gt_folder", type=click.Path())
@click.argument("pred_folder", type=click.Path())
@click.option("-djfile", metavar="FILE", help="dataset.json: which files, labels or regions, and the ignore label.")
@click.option("-pfile", metavar="FILE", help="plans.json.")
@click.option(
    "-l",
    "labels",
    type=int,
    multiple=True,
    metavar="LABEL...",
    help="Labels to score, instead of a dataset's: -l 1 2 3.",
)
@click.option("-il", "ignore_label", type=int, metavar="LABEL", help="True label that is not scored; with -l.")
@click.option("-o", "output", metavar="FILE", help="What to write (default: PRED_FOLDER/summary.json).")
@click.option(
    "-np",
    "workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Cases that are counted at once, at most (default: as many as there are processors).",
)
@click.option("--chill", is_flag=True, help="Score the predictions that there are, where some references have none.")
def nnunet_evaluate(
    gt_folder: str,
    pred_folder: str,
    djfile: str | None,
    pfile: str | None,
    labels: tuple[int, ...],
    ignore_label: int | None,
    output: str | None,
    workers: int | None,
    chill: bool,
) -> None:
    """Write nnU-Net's summary.json of PRED_FOLDER against GT_FOLDER, as its own commands do, without nnU-Net.

    The arguments are those of nnUNetv2_evaluate_folder (-djfile, -pfile) and nnUNetv2_evaluate_simple (-l, -il), and the file
    is the same, byte for byte. Files are NIfTI, NRRD or MetaImage; they are counted as they are decompressed, by threads.
    """
    from fastseg.adapters.nnunet_files import Dataset, metrics_of_folders, summary
    from fastseg.runs.atomic import write_atomically

    if bool(labels) == (djfile is not None):
        raise click.UsageError("expected either -djfile and -pfile, or -l")
    if djfile is None and pfile is not None:
        raise click.UsageError("-pfile: expected -djfile too")
    if djfile is not None and ignore_label is not None:
        raise click.UsageError("-il: expected -l; the dataset says which label is ignored")
    output = os.path.join(pred_folder, "summary.json") if output is None else output
    if not output.endswith(".json"):
        raise click.UsageError(f"-o: expected a name that ends with .json, found {output!r}")
    require_writable("-o", output)
    dataset = Dataset.of_folder(gt_folder, labels, ignore_label) if djfile is None else Dataset.of_files(djfile, pfile)
    cases = metrics_of_folders(gt_folder, pred_folder, dataset, chill=chill, workers=workers)
    write_atomically(output, summary(cases))
    show(f"{output}: {len(cases)} cases")
