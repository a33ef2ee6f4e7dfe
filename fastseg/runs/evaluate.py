"""Evaluate a folder: find the cases, score those that are not scored yet, write what was found."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, Literal

import numpy as np

from fastseg.api.mask_files import are_masks, classes_of_labels, said_of_masks, with_channels
from fastseg.api.same_file import same_file_note
from fastseg.arrays.arguments import integer, integers
from fastseg.arrays.option_names import explained
from fastseg.counting.threads import checked_threads, get_num_threads
from fastseg.labels.choices import LabelChoices, choose_labels, find_dataset_json, only_predicted
from fastseg.labels.names import shown
from fastseg.metrics.choice import of_partitions
from fastseg.runs.cases.file_names import names_in_files
from fastseg.runs.cases.find import Case, find_cases, mask_classes
from fastseg.runs.cases.shard import Shard, digest_of
from fastseg.runs.cases.swapped import swapped_note
from fastseg.runs.cases.unlike_palettes import unlike_palettes_note
from fastseg.runs.keeping import keep_run, require_own
from fastseg.runs.results.gates import Gate, check_classes, check_gates, check_masks, check_scores, parse_gate
from fastseg.runs.results.surfaces import check_tolerances
from fastseg.runs.run import Run
from fastseg.runs.scoring.instance_options import METRICS_OF_IDS, of_ids, with_labels
from fastseg.runs.scoring.journal import Journal
from fastseg.runs.scoring.keys import Hashing, place_of, still_true
from fastseg.runs.scoring.options import metric_names, of_masks, read_settings
from fastseg.runs.scoring.records import CaseRecord, triples
from fastseg.runs.scoring.threads import Progress, run_cases
from fastseg.volumes import named
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.masks import Said

__all__ = ["evaluate_folder"]

Path = str | os.PathLike[str]
Notes = Callable[[str], None]


@explained
def evaluate_folder(
    reference: Path | None = None,
    prediction: Path | None = None,
    output: Path | None = None,
    *,
    pairs: Path | None = None,
    pattern: str | Sequence[str] | None = None,
    roi: Path | None = None,
    missing: Literal["error", "skip", "worst"] = "error",
    labels: Any = None,
    num_classes: int | None = None,
    prediction_labels: Any = None,
    regions: Any = None,
    ignore_index: int | Sequence[int] | None = None,
    ignore: int | Sequence[int] | None = None,
    map_prediction: Mapping[int, int] | Path | None = None,
    unknown: Literal["raise", "count"] = "raise",
    metrics: str | Sequence[str] | None = None,
    convention: str = "fastseg",
    tolerance: float | Mapping[Any, float] | None = None,
    surface: Literal["voxel", "surfel", "object"] | None = None,
    border: Literal["background", "extend"] | None = None,
    spacing: float | Sequence[float] | None = None,
    instances: str | int | Sequence[str | int] | None = None,
    match: str | None = None,
    connectivity: int | None = None,
    dilation: int | None = None,
    min_voxels: int = 0,
    min_ml: float | None = None,
    penalty: float | None = None,
    background: bool | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    activation: str | None = None,
    channel_axis: int | None = None,
    masks: bool = False,
    channels: str | Sequence[str] | None = None,
    threshold: float | None = None,
    missing_mask: Literal["error", "empty", "skip"] = "error",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    threads: int | None = None,
    shard: tuple[int, int] | None = None,
    client: Any = None,
    retries: int = 2,
    resume: bool = True,
    hashing: Hashing = "auto",
    gates: Sequence[Gate | str] = (),
    images: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    note: Notes | None = None,
) -> Run:
    """Score a folder of predicted segmentations against a folder of references.

    Each case is read once, as it is decompressed. Memory does not depend on the size of the volumes or on how many they
    are; only instances, and surfaces of volumes that do not stream side by side, hold the two of a case. Parameters say in
    turn which cases, labels and metrics, how files are read, what becomes of the results, and how the work is done.

    Parameters
    ----------
    reference, prediction : path
        Two folders of volumes, paired by the names of their files without suffix; or two volumes, which are one case. Each
        class of a case may have a file of its own (`masks`), also on one side only. A file of COCO's JSON stands for a folder,
        whose cases are its pictures.
    pairs : path, optional
        A CSV file with the columns ``reference`` and ``prediction``, and perhaps ``case`` and ``roi``, instead of folders.
    pattern : str or sequence of str, optional
        A regular expression with a group ``case``, such as ``(?P<case>.*)/seg.nii.gz``, that the whole path of a file within
        its folder has to match; with a group ``class`` besides, each class has a file of its own. Of two, the first is for
        references and the second for predictions; a third is for `roi`.
    roi : path, optional
        A folder of masks, one for each case (for two files: a file): voxels where they are 0 are not counted.
    missing
        What a missing prediction does: "error" scores nothing, "skip" leaves the case out, "worst" gives it the worst value of
        every metric.
    labels, num_classes, prediction_labels, regions
        What is scored, as in `fastseg.evaluate_files`. Where neither `labels` nor `num_classes` is given, it is what nnU-Net's
        ``dataset.json`` in the folder of references (or of `pairs`) or beside it says, if there is one.
    ignore_index, ignore
        True labels that are not scored, as in `fastseg.count_labels`; `ignore` is an older name. Default: the ignore label of
        nnU-Net's table. An empty sequence: none.
    map_prediction, unknown
        As in `fastseg.count_files`. What is an error there fails its case.
    metrics
        Names, in a sequence or separated by commas; default: Dice, IoU, precision and recall. "all" is every metric of counts.
        Beside `instances` "instance_hd95" and "instance_nsd" (or "lesion_hd95", "lesion_nsd") measure their surfaces, too.
    convention
        Whose rules for empty classes and for means: "fastseg", "monai", "torchmetrics", "nnunet", "sklearn",
        "totalsegmentator", or one of surfaces, partitions or instances. Beside `instances` "brats" and others that are of
        surfaces and instances say both; "autopet" and others of instances alone, how these match.
    background : bool, optional
        Whether means over classes include label 0. Default: what the convention does.
    resamples, confidence, seed
        For the intervals of means, which are bootstraps over cases: how many samples, the part of them that lies within, and
        the seed.
    tolerance, surface, border, spacing
        For metrics of surfaces of labels, masks or instances. `tolerance` is how far NSD and surface overlap let surfaces be
        apart in mm: a number, or a dict of one for each class by name or label (None: of all others). `surface` and `border`
        are those of `fastseg.surface_distances`; by default the convention says them. `spacing` stands for that of the
        references' files. Another tolerance later measures nothing again (of instances it does). Both volumes of a case are in
        memory then, in the types that they are stored in, unless they are large and stream side by side.
    instances, match
        Labels, regions or masks, by name or number, whose connected components are matched too, such as lesions; and when a
        true and a predicted one match: "iou>0.5" (by default), "dice>=0.1", "overlap>0", "centre", or a convention such as
        "brats", also with a rule behind it that goes before: "autopet iou>0.1". `Run.instances` has them. Both volumes of a
        case are in memory then. "ids": labels are ids of instances, such as cells, of any number; metrics are those of
        partitions then.
    connectivity, dilation, min_voxels, min_ml
        What these components are, as in `fastseg.match_instances`.
    penalty
        What stands for the HD95 of an instance that was missed or invented, in mm; by default 374, as in BraTS.
    geometry, geometry_tolerance, reorient, axes
        As in `fastseg.count_files`. What is an error there fails its case.
    activation, channel_axis
        For files of scores, as in `fastseg.sum_files`. Naming an activation, also "none", says that predictions hold scores.
    masks : bool
        Whether folders hold masks that may overlap, one file for each class of a case (``case/liver.nii.gz`` or
        ``liver/case.nii.gz``), where neither their layout nor the pattern says so. A label map is compared with masks by the
        names of its labels.
    channels, threshold
        For files of masks, as in `fastseg.count_mask_files`.
    missing_mask
        What to do where only one side of a case has a mask of a class: "error" refuses it, "empty" takes the missing mask for
        an empty one, "skip" leaves the class out of that case.
    output : path, optional
        A folder for the results; it is made. What is in it of an earlier call goes on (`resume`); results of other
        predictions in it are an error.
    resume : bool
        Whether cases that are in `output`, of the same files and counted in the same way, are not counted again. Cases that
        failed are tried again. False gives up all that is in `output`.
    hashing : {"auto", "always", "never"}
        Whether the results have the SHA-256 of the files: "auto" of those up to 64 MiB ("never" keeps those that an earlier
        call has computed). With "always" files are told apart by it instead of by their times.
    gates
        Bounds on numbers of the run, such as "liver:dice=0.9" or, of probabilities, "cross_entropy=0.3": at least that, or at
        most, where lower is better. ``run.facts["gates"]`` says what became of them.
    images : path, optional
        A folder of what was segmented, which `fastseg report` draws under the labels then; nothing is read of it.
    threads : int, optional
        How many cases at once; where there are fewer cases, they use several each. Default `fastseg.get_num_threads`.
    shard : (int, int), optional
        (3, 16): score the third of sixteen shares of the cases, every sixteenth of them, into an `output` of its own. Gates
        are looked at when `fastseg.merge_runs` has made one run of all shards.
    client : distributed.Client, optional
        The workers of its cluster score the cases, a task each, with their own threads instead of `threads`; this process
        keeps the results. Workers must see the files by the same paths, and have the same version of fastseg.
    retries
        With a client: how often a case is handed out again after Dask has given it up because its workers died (which is
        after ``distributed.scheduler.allowed-failures`` of them). Then the case has failed.
    progress
        Called ten times a second.
    note
        Receives sentences for people, such as where the labels come from; default: nobody does.

    Returns
    -------
    run : Run
        ``run.failed`` are the cases that could not be scored; nothing is raised for them.

    Raises
    ------
    CasesError
        If files cannot be paired; it lists all that cannot.
    ValueError, TypeError
        If an option is not what it should be.
    OSError
        If the results cannot be written; those of an earlier run are then as they were.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, labels in {"true/a": [0, 1, 1], "true/b": [1, 1, 0], "pred/a": [0, 1, 1], "pred/b": [1, 0, 0]}.items():
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         np.save(Path(folder, f"{name}.npy"), np.array(labels))
    ...     run = evaluate_folder(Path(folder, "true"), Path(folder, "pred"), num_classes=2, metrics=["dice"])
    >>> run
    <Run of 2 cases, 2 of them scored, 2 classes>
    >>> round(run.mean("dice"), 3), run.values("dice").round(3).tolist()
    (0.833, [[1.0, 1.0], [0.667, 0.667]])
    """
    start = time.time()
    say: Notes = note or (lambda _: None)
    metrics = METRICS_OF_IDS if metrics is None and of_ids(instances) else metrics
    beside = pairs if reference is None else reference
    named = not of_partitions(metric_names(metrics))  # segments have no names
    if named and labels is None and num_classes is None and (labels := find_dataset_json(beside)) is not None:
        say(f"labels from {shown(labels)}")
    chosen = choose_labels(
        labels=labels, num_classes=num_classes, prediction_labels=prediction_labels, regions=regions,
        ignore=_ignored(ignore_index, ignore), map_prediction=map_prediction,
    )  # fmt: skip
    settings = read_settings(
        chosen, unknown=unknown, metrics=metrics, convention=convention, background=background, geometry=geometry,
        geometry_tolerance=geometry_tolerance, reorient=reorient, axes=axes, missing=missing, activation=activation,
        channel_axis=channel_axis, missing_mask=missing_mask, resamples=resamples, confidence=confidence, seed=seed,
        tolerance=tolerance, surface=surface, border=border, spacing=spacing, penalty=penalty, instances=instances,
        match=match, connectivity=connectivity, dilation=dilation, min_voxels=min_voxels, min_ml=min_ml,
    )  # fmt: skip
    for text in chosen.notes(unknown):
        say(f"warning: {text}")
    if (swapped := swapped_note(reference, prediction)) is not None:
        say(f"warning: {swapped}")
    bounds = [parse_gate(each) if isinstance(each, str) else each for each in gates]
    tables = _described(
        labels=labels, prediction_labels=prediction_labels, regions=regions, map_prediction=map_prediction
    )
    if hashing not in ("auto", "always", "never"):
        raise ValueError(f"hashing: expected 'auto', 'always' or 'never', found {hashing!r}")
    share = None if shard is None else Shard.checked(shard)
    workers = get_num_threads() if threads is None else checked_threads(threads, "threads")
    retries = integer(retries, "retries", least=0)
    if client is not None:
        from fastseg.runs.scoring.clients import check_client, threads_of

        check_client(client)
        if not (workers := threads_of(client)):
            say("the cluster has no workers yet; cases wait for them")
    said = said_of_masks(masks, channels, threshold)
    of_labels = tuple(classes_of_labels(chosen))
    found = find_cases(
        reference, prediction, pattern=pattern, pairs=pairs, roi=roi, missing=missing,
        masks=said.masks, missing_mask=settings.missing_mask, classes=of_labels,
    )  # fmt: skip
    first = next((case for case in found.cases if case.prediction is not None), None)
    if first is not None and first.true_masks is None:
        said = with_channels((first.reference, first.prediction), chosen, said)
    if (of_files := mask_classes(found.cases)) or _are_masks(first, chosen, said):
        settings = of_masks(settings, said.channels or of_labels or of_files, said, metrics)
    elif masks or channels is not None or threshold is not None:
        name = "masks" if masks else "channels" if channels is not None else "threshold"
        raise ValueError(f"{name}: expected masks that may overlap, found label maps")
    cases = found.cases if share is None else share.share(found.cases)
    if settings.masks is None and named and not (settings.names or settings.labels or settings.regions):
        settings = replace(settings, names=names_in_files(case.reference for case in cases))
    if settings.masks is None:
        settings = with_labels(settings)
    check_classes(bounds, settings)
    check_tolerances(Run(settings, ()).classes, settings)
    check_scores(bounds, found.cases, settings)
    if (unlike := unlike_palettes_note(case.reference for case in cases)) is not None:
        say(f"warning: {unlike}")
    if (same := same_file_note([(case.reference, case.prediction) for case in cases])) is not None:
        say(f"warning: {same}")
    with ExitStack() as stack:
        journal = None if output is None else stack.enter_context(Journal(output, resume=resume))
        if journal is not None:
            require_own(journal, {place_of(case) for case in cases})
        records = {} if journal is None else still_true(cases, settings, hashing, journal.records)
        todo = [case for case in cases if case.id not in records]

        def keep(record: CaseRecord) -> None:
            if journal is not None and record.counted:
                journal.append(record)
            records[record.id] = record

        def look(now: Progress) -> None:
            if journal is not None:
                journal.flush()
            if progress is not None:
                progress(now)

        if records:
            say(f"{len(records)} of {len(cases)} cases were scored before")
        try:
            run_cases(
                todo, settings, threads=workers, hashing=hashing, keep=keep, report=look, before=len(records), client=client,
                retries=retries,
            )  # fmt: skip
        except KeyboardInterrupt:
            if output is not None:
                kept = sum(record.counted for record in records.values())
                say(f"{kept} of {len(cases)} cases are kept; the same command goes on with the others")
            raise
        facts: dict[str, Any] = {
            "reference": _text(reference),
            "prediction": _text(prediction),
            "pairs": _text(pairs),
            "working_folder": os.getcwd(),
            "tables": tables,
            "extra": list(found.extra),
            "times": {"started": start, "seconds": time.time() - start, "scored": len(todo), "threads": workers},
        }
        if images is not None:
            facts["images"] = _text(images)
        run = Run(settings, tuple(records[case.id] for case in cases), facts)
        check_masks(run, whole=share is None)
        if (unlike := _unlike_labels(run)) is not None:
            say(f"warning: {unlike}")
        facts["gates"] = [each.to_dict() for each in check_gates(run, bounds if share is None else ())]
        if share is not None:
            facts["shard"] = {
                "number": share.number,
                "of": share.of,
                "cases": len(found.cases),
                "ids": digest_of(case.id for case in found.cases),
                "gates": [each.text for each in bounds],
            }
        if journal is not None:
            assert output is not None
            keep_run(run, journal, output, say)
    return run


def _are_masks(first: Case | None, chosen: LabelChoices, said: Said) -> bool:
    """Tell whether files that hold all classes of a case hold masks, by the first case that has a prediction."""
    return first is not None and are_masks(first.reference, first.prediction, chosen, said)


def _ignored(ignore_index: Any, ignore: Any) -> Any:
    """Return the labels that are not scored, by whichever of two names they were given."""
    if ignore is None:
        return ignore_index
    if ignore_index is not None:
        raise TypeError(f"ignore: expected either ignore_index or ignore, which are the same, found both, {ignore!r}")
    return integers(ignore, "ignore")


def _text(path: Path | None) -> str | None:
    return None if path is None else named(os.fsdecode(path))


def _described(**tables: Any) -> dict[str, dict[str, str]]:
    """Return path and SHA-256 of the files that say what the labels are."""
    paths = {name: os.fsdecode(given) for name, given in tables.items() if isinstance(given, str | os.PathLike)}
    return {
        name: {"path": path, "sha256": hashlib.sha256(FilePath(path).read_bytes()).hexdigest()}
        for name, path in paths.items()
        if os.path.isfile(path)
    }


def _unlike_labels(run: Run) -> str | None:
    """Say which labels only predictions have, where nobody said which labels there are."""
    how = run.settings
    if how.labels is not None or how.regions or how.masks is not None or how.partitions:
        return None
    pairs, unknown = triples(run.counted)
    true, pred = np.concatenate([pairs[:, 1], unknown[:, 1]]), pairs[:, 2]
    return only_predicted(true, pred, how.names, how.ignore)
