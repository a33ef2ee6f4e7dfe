"""Two files are scored as a run of that one case is: the same counts, scores, warnings and errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg
from fastseg.runs import CaseRecord

RNG = np.random.default_rng(8)
T = RNG.integers(0, 4, (7, 6, 5)).astype("u1")
P = np.where(RNG.random(T.shape) < 0.7, T, RNG.integers(0, 4, T.shape)).astype("u1")
SCORES = ((np.arange(4)[:, None, None, None] == P) * 0.6 + 0.1).astype("f4")  # (class, x, y, z), which sum to one
MOVED = np.diag([1.0, 1, 1, 1])
MOVED[0, 3] = 2.0
FLIPPED = np.diag([-1.0, 1, 1, 1])
FLIPPED[0, 3] = T.shape[0] - 1


def saved(path: Path, array: Any, **arrays: Any) -> Path:
    """Write an .npy file, or arrays by their names as an .npz file."""
    np.savez(path, **arrays) if arrays else np.save(path, array)
    return path


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


Pair = Callable[[Path], tuple[Any, Any, dict[str, Any]]]


def reference(folder: Path) -> Path:
    return write(folder / "t.nii.gz", T)


#: By what they are: a reference, a prediction and options.
PAIRS: dict[str, Pair] = {
    "labels": lambda at: (reference(at), write(at / "p.nii", P.astype("f4")), {}),
    "arrays": lambda at: (saved(at / "t.npy", T), saved(at / "p.npy", P), {"num_classes": 4}),
    "formats": lambda at: (reference(at), saved(at / "p.npz", None, a=P.T), {"ignore": 2, "threads": 1}),
    "mapped": lambda at: (reference(at), write(at / "p.nii.gz", P + 10), {"map_prediction": "10=0,11=1,12=2,13=3"}),
    "regions": lambda at: (reference(at), write(at / "p.nii.gz", P), {"regions": {"some": [1, 2], "three": [3]}}),
    "names": lambda at: (
        reference(at), write(at / "p.nii.gz", P),
        {"labels": table(at / "ours.txt", "1 liver\n2 lung\n"),
         "prediction_labels": table(at / "theirs.txt", "1 lung\n2 liver\n7 heart\n")},
    ),
    "undeclared": lambda at: (reference(at), write(at / "p.nii.gz", P), {"labels": [0, 1, 2]}),
    "counted": lambda at: (
        write(at / "t.nii", np.minimum(T, 2)), write(at / "p.nii.gz", P), {"num_classes": 3, "unknown": "count"},
    ),
    "useless": lambda at: (reference(at), write(at / "p.nii.gz", P), {"unknown": "count"}),
    "roi": lambda at: (reference(at), write(at / "p.nii.gz", P), {"roi": write(at / "roi.nii", (T > 1).astype("u1"))}),
    "same": lambda at: (reference(at), at / "t.nii.gz", {}),
    "same array": lambda at: (saved(at / "t.npy", T), at / "." / "t.npy", {"num_classes": 4}),
    "linked": lambda at: ((at / "l.nii.gz").symlink_to(reference(at)), (at / "t.nii.gz", at / "l.nii.gz", {}))[1],
    "moved": lambda at: (reference(at), write(at / "p.nii.gz", P, MOVED), {}),
    "moved, with a warning": lambda at: (reference(at), write(at / "p.nii.gz", P, MOVED), {"geometry": "warn"}),
    "moved, ignored": lambda at: (reference(at), write(at / "p.nii.gz", P, MOVED), {"geometry": "ignore"}),
    "flipped": lambda at: (reference(at), write(at / "p.nii.gz", P[::-1], FLIPPED), {"reorient": True}),
    "shape": lambda at: (reference(at), write(at / "p.nii.gz", P[1:]), {}),
    "damaged": lambda at: (reference(at), table(at / "p.nii.gz", "no volume"), {}),
    "fractions": lambda at: (reference(at), saved(at / "p.npy", P + 0.5), {}),
    "nnU-Net": lambda at: (reference(at), saved(at / "p.npz", None, probabilities=SCORES.transpose(0, 3, 2, 1)), {}),
    "4-D NIfTI": lambda at: (reference(at), write(at / "p.nii.gz", np.moveaxis(SCORES, 0, -1)), {"num_classes": 4}),
    "scores in an array": lambda at: (reference(at), saved(at / "p.npy", SCORES), {"regions": {"some": [1, 2]}}),
    "scores, some declared": lambda at: (reference(at), saved(at / "p.npy", SCORES), {"num_classes": 3}),
    "scores of a class": lambda at: (
        write(at / "t.nii", (T == 1).astype("u1")), write(at / "p.nii", SCORES[1]), {"activation": "none"},
    ),
    "half precision": lambda at: (reference(at), saved(at / "p.npy", (SCORES > 0.5).astype("f2")), {}),
    "logits": lambda at: (reference(at), saved(at / "p.npy", SCORES * 9), {"activation": "softmax", "channel_axis": 0}),
    "logits for probabilities": lambda at: (reference(at), saved(at / "p.npy", SCORES * 9), {}),
    "scores moved": lambda at: (reference(at), write(at / "p.nii.gz", np.moveaxis(SCORES, 0, -1), MOVED), {}),
    "scores moved, with a warning": lambda at: (
        reference(at), write(at / "p.nii.gz", np.moveaxis(SCORES, 0, -1), MOVED), {"geometry": "warn"},
    ),
    "scores flipped": lambda at: (
        reference(at), write(at / "p.nii.gz", np.moveaxis(SCORES, 0, -1)[::-1], FLIPPED), {"reorient": True},
    ),
    "scores of another shape": lambda at: (reference(at), write(at / "p.nii", np.moveaxis(SCORES[:, 1:], 0, -1)), {}),
    "scores mapped": lambda at: (reference(at), saved(at / "p.npy", SCORES), {"map_prediction": {1: 2}}),
    "scores with a roi": lambda at: (reference(at), saved(at / "p.npy", SCORES), {"roi": reference(at)}),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_two_files_are_scored_as_a_run_of_one_case(name: str, tmp_path: Path) -> None:
    true, pred, options = PAIRS[name](tmp_path)
    said: list[str] = []
    notes: list[str] = []
    run = fastseg.evaluate_folder(true, pred, note=notes.append, **options)
    (record,) = run.records
    if "ignore" in options:
        options["ignore_index"] = options.pop("ignore")
    try:
        scores = fastseg.evaluate_files(true, pred, warn=said.append, **options)
    except ValueError as error:
        assert record.reason == " ".join(str(error).split())
        assert name in (
            "undeclared", "moved", "shape", "damaged", "fractions", "scores, some declared", "logits for probabilities",
            "scores moved", "scores of another shape", "scores mapped", "scores with a roi",
        )  # fmt: skip
        return
    assert (record.status, record.reason) == ("scored", None)
    counted: Any = scores.counts
    expected = CaseRecord.with_counts(counted, id="", status="scored", reference="", prediction="")
    assert record.pairs.tolist() == expected.pairs.tolist()
    assert record.unknown.tolist() == expected.unknown.tolist()
    assert record.voxels == expected.voxels
    assert scores.files is not None
    assert (record.geometry, list(record.shape)) == (scores.files["geometry"], scores.files["shape"])
    assert record.voxel_ml == scores.voxel_ml or np.isnan(scores.voxel_ml or np.nan)
    assert dict(record.scores) == {name: value if np.isfinite(value) else None for name, value in scores.extra.items()}
    rows = scores.to_dict()["classes"]
    for metric in ("dice", "iou", "precision", "recall"):
        found = {each.name: value for each, value in zip(run.classes, run.values(metric)[0].tolist(), strict=True)}
        wanted = {row.get("name", label): row[metric] for label, row in rows.items()}
        wanted = {label: np.nan if value is None else value for label, value in wanted.items()}
        assert found == pytest.approx({label: wanted[label] for label in found}, rel=1e-15, nan_ok=True)
        assert np.isnan([value for label, value in wanted.items() if label not in found]).all()
    apart = [record.geometry] if options.get("geometry") == "warn" else []
    apart += record.notes
    warned = [text.removeprefix("warning: ") for text in notes if text.startswith("warning: ")]
    # Of labels without a partner the command alone speaks where there are two files: tests/cli.
    assert [text for text in warned if not text.startswith("labels in predictions only")] + apart == said
    assert bool(said) == (name in ("names", "useless", "same", "same array", "linked") or bool(apart))


def test_a_file_or_a_folder_against_itself_is_right_in_everything_and_said(tmp_path: Path) -> None:
    path, note = reference(tmp_path), "reference and prediction are the same file"
    with pytest.warns(UserWarning, match=f"^{note}: .*t.nii.gz$"):
        assert fastseg.evaluate_files(path, path).mean["dice"] == 1.0
    notes: list[str] = []
    run = fastseg.evaluate_folder(path, path, tmp_path / "out", note=notes.append)
    assert (run.mean("dice"), notes) == (1.0, [f"warning: {note}: {path}"])
    write(tmp_path / "u.nii.gz", P)
    notes.clear()
    run = fastseg.evaluate_folder(tmp_path, f"{tmp_path}/.", note=notes.append)
    assert (run.mean("dice"), len(run.counted)) == (1.0, 2)
    assert notes == [f"warning: {note} in 2 of 2 cases, such as {path}; {HINT}"]
    pairs = table(tmp_path / "pairs.csv", "reference,prediction\nt.nii.gz,u.nii.gz\nu.nii.gz,u.nii.gz\n")
    notes.clear()
    fastseg.evaluate_folder(pairs=pairs, note=notes.append)
    assert notes == [f"warning: {note} in 1 of 2 cases, such as {tmp_path}/u.nii.gz"]


HINT = "patterns (--pattern, twice) tell those of one folder apart"


def test_arrays_of_one_file_are_two(tmp_path: Path) -> None:
    saved(tmp_path / "both.npz", None, a=T, b=P)
    scores = fastseg.evaluate_files(f"{tmp_path}/both.npz::a", f"{tmp_path}/both.npz::b")
    assert scores.mean["dice"] == fastseg.evaluate(T, P).mean["dice"]
