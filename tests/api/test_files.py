"""Two files in, counts or scores out."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg
from fastseg.counting import streams as streaming
from fastseg.labels.mapping import match_names
from fastseg.volumes import GeometryError, VolumeError

RNG = np.random.default_rng(0)
T = np.repeat(RNG.integers(0, 6, (7, 11, 5)), 9, axis=2).astype("u1")
P = np.where(RNG.random(T.shape) < 0.2, RNG.integers(0, 6, T.shape), T).astype("u1")
EXPECTED = fastseg.count_labels(T, P, num_classes=6)


@pytest.mark.parametrize("chunk", [64, 4096, 1 << 20])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("true", "pred", "suffix"),
    [
        ("u1", "u1", ".nii.gz"),
        ("i2", ">i4", ".nii.gz"),
        ("f4", "u1", ".nii"),
        ("f8", ">f4", ".nii.gz"),
        ("u2", "i8", ".nii"),
    ],
)
def test_counts_of_files_are_those_of_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, true: str, pred: str, suffix: str, threads: int, chunk: int
) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", chunk)
    a, b = (write(tmp_path / f"{k}{suffix}", v.astype(d)) for k, v, d in (("a", T, true), ("b", P, pred)))
    seen: list[tuple[int, int]] = []
    counts = fastseg.count_files(a, b, num_classes=6, threads=threads, progress=lambda *at: seen.append(at))
    assert counts == EXPECTED
    assert seen[-1] == (T.size, T.size)
    assert seen == sorted(seen)


def test_empty_volume(tmp_path: Path) -> None:
    zeros = np.zeros((3, 4, 5), "u1")
    paths = [write(tmp_path / name, zeros) for name in ("a.nii.gz", "b.nii.gz")]
    scores = fastseg.evaluate_files(*paths)
    assert scores.to_dict()["foreground_mean"]["dice"] is None
    assert scores.foreground_defined["dice"] == 0


def test_scaled_labels_are_rounded_and_fractions_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.nii.gz", T)
    halves = write(tmp_path / "halves.nii.gz", (P * 2).astype("i2"))
    # nibabel resets the slope on saving: patch the header's scl_slope (bytes 112..115) in the decompressed file.
    raw = bytearray(gzip.decompress(halves.read_bytes()))
    for slope, ok in ((0.5, True), (0.5000001, True), (0.4, False)):
        raw[112:116] = np.float32(slope).tobytes()
        raw[116:120] = np.float32(0).tobytes()
        halves.write_bytes(gzip.compress(bytes(raw)))
        if ok:
            assert fastseg.count_files(a, halves, num_classes=6) == EXPECTED
        else:
            with pytest.raises(
                ValueError, match=r"halves.nii.gz: expected labels that are whole numbers, found \d+ voxel"
            ):
                fastseg.count_files(a, halves, num_classes=6)


def test_wrong_labels_are_named_with_their_place(tmp_path: Path) -> None:
    t, p, f = T.copy(), P.copy(), P.astype("f4")
    t[3, 2, 1], p[6, 0, 0], f[1, 1, 1], f[0, 0, 9] = 77, 88, np.nan, 2.5
    t, p, f, good = (write(tmp_path / f"{k}.nii", v) for k, v in (("t", t), ("p", p), ("f", f), ("good", P)))
    with pytest.raises(ValueError, match=r"t.nii: .* classes 0..5, found 1 voxel.* first is 77 at index \(3, 2, 1\)"):
        fastseg.count_files(t, good, num_classes=6)
    with pytest.raises(ValueError, match=r"p.nii: .* first is 88 at index \(6, 0, 0\)"):
        fastseg.count_files(good, p, num_classes=6)
    with pytest.raises(
        ValueError, match=r"f.nii: expected labels that are whole.*found 2 .*is nan at index \(1, 1, 1\)"
    ):
        fastseg.count_files(good, f, num_classes=6)
    counts = fastseg.count_files(t, p, num_classes=6, ignore_index=77, unknown="count")
    assert counts.voxels[0].tolist() == [T.size - 2, 1, 0, 1]


def test_mapping_is_applied_at_once(tmp_path: Path) -> None:
    swapped = np.array([0, 2, 1, 3, 4, 5], "u1")[P]
    a, b = write(tmp_path / "a.nii", T), write(tmp_path / "b.nii", swapped)
    assert fastseg.count_files(a, b, num_classes=6, map_prediction={1: 2, 2: 1}) == EXPECTED
    (tmp_path / "map.txt").write_text("1 2\n2 1\n")
    assert fastseg.count_files(a, b, num_classes=6, map_prediction=tmp_path / "map.txt") == EXPECTED


def test_names_decide_which_codes_are_one_class(tmp_path: Path) -> None:
    names = {0: "background", 1: "liver", 2: "spleen", 3: "kidney", 4: "lung", 5: "heart"}
    theirs = {0: "background", 9: "liver", 8: "spleen", 7: "kidney", 6: "lung", 1: "heart"}
    code = {name: value for value, name in theirs.items()}
    table = np.array([code[names[k]] for k in range(6)], "u1")
    a, b = write(tmp_path / "a.nii", T), write(tmp_path / "b.nii", table[P])
    scores = fastseg.evaluate_files(a, b, labels=names, prediction_labels=theirs)
    assert np.array_equal(scores.counts.matrix, EXPECTED.matrix)
    assert scores.name_of(3) == "kidney"
    moved = 9_000_000_000_000_000_001
    assert match_names({1: "a", 2: "b"}, {2: "c", 1: "b", 0: "zero"}) == {2: moved, 1: 2}
    assert match_names({1: "a", moved: "b"}, {1: "c", moved + 1: "d"}) == {1: moved + 2, moved + 1: moved + 3}
    assert match_names({1: "a", 2: "b"}, {1: "b"}) == {1: 2, 2: moved}  # the b's number is not the b's label
    assert match_names({1: "a"}, {1: "a", 2: "q", 3: "q"}) == {1: 1, 2: moved, 3: moved}  # equal names, one class
    with pytest.raises(ValueError, match="map_prediction: expected either"):
        fastseg.evaluate_files(a, b, prediction_labels=theirs, map_prediction={1: 2})


def test_a_code_that_has_to_move_is_no_label_that_a_file_has_and_no_table_names(tmp_path: Path) -> None:
    names, theirs = {0: "background", 1: "liver", 2: "spleen"}, {0: "background", 1: "liver", 2: "kidney"}
    true, pred = np.array([[[1, 2, 3, 3]]], "i2"), np.array([[[1, 2, 2, 3]]], "i2")
    a, b = write(tmp_path / "a.nii", true), write(tmp_path / "b.nii", pred)
    notes: list[str] = []
    scores = fastseg.evaluate_files(a, b, labels=names, prediction_labels=theirs, warn=notes.append)
    assert notes == ["names of the prediction's labels that are none of the reference's (1): kidney"]
    kidney = 9_000_000_000_000_000_001
    assert str(kidney) not in str(scores)
    assert scores.classes == (1, 2, 3, kidney)
    assert [scores.name_of(label) for label in scores.classes] == ["liver", "spleen", "3", "kidney"]
    assert scores.counts.matrix[0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]]
    assert scores.to_dict()["classes"][str(kidney)]["name"] == "kidney"
    mapping = match_names(names, theirs)
    with pytest.raises(
        ValueError, match=rf"b.nii: .* the first is 2, mapped to {kidney}, at index \(0, 0, 1\); unknown='count'"
    ):
        fastseg.count_files(a, b, num_classes=4, map_prediction=mapping)


def test_scores_of_files(tmp_path: Path) -> None:
    affine = np.diag([2.0, 0.5, 3.0, 1.0])
    a, b = write(tmp_path / "a.nii.gz", T, affine), write(tmp_path / "b.nii.gz", P, affine)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "tumour": 2, "ignore": 5}}')
    with pytest.raises(ValueError, match=r"a.nii.gz: expected labels among .* the first is 3 at"):
        fastseg.evaluate_files(a, b, labels=tmp_path / "dataset.json")  # nnU-Net's table declares what there is
    names = {"background": 0, "liver": 1, "tumour": 2, "lung": 3, "rib": 4, "ignore": 5}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": names}))
    options = {"unknown": "count", "metrics": ["dice", "cohen_kappa"]}
    scores = fastseg.evaluate_files(a, b, labels=tmp_path / "dataset.json", **options)
    found = scores.to_dict()
    assert found["voxels"]["ignored"] == int((T == 5).sum())
    assert found["classes"]["1"]["name"] == "liver"
    assert found["classes"]["2"]["true_ml"] == pytest.approx((T == 2).sum() * 3e-3)
    assert found["files"]["spacing_mm"] == [2.0, 0.5, 3.0]
    assert found["files"]["geometry"] == "equal"
    assert "cohen_kappa" in found["overall"]
    assert "true ml" in str(scores)
    assert fastseg.evaluate_files(a, b, labels=[0, 1, 2, 3, 4, 5]).counts == EXPECTED
    assert fastseg.evaluate_files(a, b, num_classes=6).counts == EXPECTED


def test_an_ignored_label_is_no_class(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.nii.gz", T), write(tmp_path / "b.nii.gz", P)
    for options in ({}, {"num_classes": 6}):
        scores = fastseg.evaluate_files(a, b, ignore_index=3, **options)
        assert scores.classes == (0, 1, 2, 4, 5)
        assert [*scores.to_dict()["classes"]] == ["0", "1", "2", "4", "5"]
        dice = fastseg.dice(T, P, num_classes=6, ignore_index=3, average=None)
        kept = [0, 1, 2, 4, 5]
        assert np.array_equal(scores["dice"], dice[kept])
        assert scores.mean["dice"] == pytest.approx(dice[kept].mean())
        run = fastseg.evaluate_folder(a, b, ignore=3, **options)
        assert [each.key for each in run.classes] == kept
        assert np.array_equal(run.values("dice")[0], dice[kept])
        true = [scores.to_dict()["classes"][str(label)]["true_voxels"] for label in kept]
        assert true == [int((label == T).sum()) for label in kept]


def test_regions_of_two_files(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.nii.gz", T), write(tmp_path / "b.nii.gz", P)
    united = EXPECTED.regions({"whole": [1, 2, 3], "core": [3]})
    for regions in ({"whole": [1, 2, 3], "core": 3}, "whole=1,2,3;core=3"):
        scores = fastseg.evaluate_files(a, b, num_classes=6, regions=regions)
        assert (scores.counts, scores.classes) == (EXPECTED, ("whole", "core"))
        assert np.array_equal(scores["dice"], fastseg.metrics.dice(united)[0])
        assert "whole" in str(scores)
    table = {"background": 0, "whole": [1, 2, 3], "core": [3], "lung": 4, "rib": 5}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": table}))
    scores = fastseg.evaluate_files(a, b, labels=tmp_path / "dataset.json")
    assert scores.classes == ("whole", "core", "lung", "rib")
    united = EXPECTED.regions({"whole": [1, 2, 3], "core": [3], "lung": [4], "rib": [5]})
    assert np.array_equal(scores["iou"], fastseg.metrics.iou(united)[0])
    scores = fastseg.evaluate_files(a, b, regions={"none": 0, "all": [1, 2, 3, 4, 5]}, metrics=["dice", "accuracy"])
    assert scores.foreground_mean["dice"] == scores["dice"][1]  # a region of label 0 alone is background
    assert scores.overall["accuracy"] == fastseg.accuracy(T, P)  # of the labels, as in a run
    assert fastseg.evaluate_files(a, b, labels=tmp_path / "dataset.json", regions={}).counts == EXPECTED
    with pytest.raises(ValueError, match="regions: expected labels among the declared ones, .* for 'a'; found \\[9\\]"):
        fastseg.evaluate_files(a, b, num_classes=6, regions={"a": [1, 9]})


def test_geometry_is_guarded(tmp_path: Path) -> None:
    shifted = np.eye(4)
    shifted[1, 3] = 1.0
    a, b = write(tmp_path / "a.nii", T), write(tmp_path / "b.nii", P, shifted)
    with pytest.raises(GeometryError, match="translation"):
        fastseg.count_files(a, b, num_classes=6)
    notes: list[str] = []
    assert fastseg.count_files(a, b, num_classes=6, geometry="warn", warn=notes.append) == EXPECTED
    assert "translation" in notes[0]
    with pytest.warns(UserWarning, match="translation"):
        fastseg.count_files(a, b, num_classes=6, geometry="warn")
    assert fastseg.count_files(a, b, num_classes=6, geometry="ignore") == EXPECTED
    with pytest.raises(ValueError, match="geometry: expected one of"):
        fastseg.count_files(a, b, geometry="maybe")  # type: ignore[arg-type]
    c = write(tmp_path / "c.nii", P[:, :, 1:])
    with pytest.raises(GeometryError, match=r"\(7, 11, 45\).*\(7, 11, 44\)|\(7, 11, 44\).*\(7, 11, 45\)"):
        fastseg.count_files(a, c, geometry="ignore")


@pytest.mark.parametrize("threads", [1, 2])
def test_damage_anywhere_is_found_or_harmless(tmp_path: Path, threads: int) -> None:
    """Truncated at every length, and a bit flipped in every byte: an error, or the same counts."""
    a = write(tmp_path / "a.nii.gz", T[:3, :4, :6])
    b = write(tmp_path / "b.nii.gz", P[:3, :4, :6])
    expected, good = fastseg.count_files(a, b, num_classes=6), b.read_bytes()
    outcomes: dict[str, int] = {"error": 0, "equal": 0}
    broken = [good[:n] for n in range(0, len(good), threads)]
    broken += [good[:n] + bytes([good[n] ^ 1 << n % 8]) + good[n + 1 :] for n in range(0, len(good), threads)]
    for data in broken:
        b.write_bytes(data)
        try:
            assert fastseg.count_files(a, b, num_classes=6, threads=threads) == expected
            outcomes["equal"] += 1
        except ValueError as error:
            assert str(error).startswith((str(b), "geometry"))
            outcomes["error"] += 1
    assert outcomes["error"] > len(broken) * 0.8


def test_failing_files_leave_nothing_running(tmp_path: Path) -> None:
    a = write(tmp_path / "a.nii.gz", T)
    for name in ("missing.nii.gz", "."):
        with pytest.raises(VolumeError, match=r"no such file|is a folder"):
            fastseg.count_files(a, tmp_path / name)
    assert fastseg.count_files(a, a, num_classes=6).voxels[0, 0] == T.size


def test_an_error_in_the_callback_is_raised_and_ends_the_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = write(tmp_path / "a.nii.gz", T)
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 64)
    calls: list[int] = []

    def broken(*_: Any) -> None:
        calls.append(1)
        time.sleep(0.002)  # for the other thread to have counted a chunk, too
        raise RuntimeError("the bar broke")

    stop = streaming._Pipeline.stop

    def slowly(self: Any, error: BaseException) -> None:
        time.sleep(0.002)  # for it to report that
        stop(self, error)

    monkeypatch.setattr(streaming._Pipeline, "stop", slowly)
    for threads in (1, *[2] * 30):
        calls.clear()
        with pytest.raises(RuntimeError, match="the bar broke"):
            fastseg.count_files(a, a, progress=broken, threads=threads)
        assert len(calls) == 1
