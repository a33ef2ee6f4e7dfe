"""Defects that were found once, each with the smallest input that showed it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.counting import threads
from fastseg.kernels import BACKENDS, numpy as reference

both = pytest.mark.parametrize("backend", BACKENDS)


@both
def test_a_label_that_only_the_prediction_has_moves_the_rows(backend: str) -> None:
    counts = fastseg.count_labels([1, 1, 2], [0, 1, 1], backend=backend)
    assert counts.matrix[0].tolist() == [[0, 0, 0], [1, 1, 0], [0, 1, 0]]


@both
def test_a_sample_of_one_big_endian_voxel_keeps_its_byte_order(backend: str) -> None:
    one = np.array([1.0], ">f4")
    counts = fastseg.count_labels(one, one, num_classes=2, sample_axis=0, backend=backend)
    assert counts.matrix[0].tolist() == [[0, 0], [0, 1]]


@both
def test_no_samples_at_all(backend: str) -> None:
    nothing = np.zeros((0, 4, 3), bool)
    assert fastseg.count_masks(nothing, nothing, sample_axis=0, backend=backend).tp.shape == (0, 3)


@both
def test_nan_is_no_label_even_where_the_truth_is_ignored(backend: str) -> None:
    with pytest.raises(ValueError, match=r"y_pred: .* nan at index \(1,\)"):
        fastseg.count_labels([0, 255], [0, np.nan], num_classes=1, ignore_index=255, backend=backend)


@both
@pytest.mark.parametrize("kind", ["labels", "weights", "half weights"])
def test_signalling_nan_is_an_error_and_not_a_warning(kind: str, backend: str) -> None:
    bad = np.array([0, 0x7F800001], np.uint32).view(np.float32)
    if kind == "half weights":
        bad = np.array([0, 0x7C01], np.uint16).view(np.float16)
    labels = bad if kind == "labels" else np.zeros(2, np.uint8)
    weights = None if kind == "labels" else bad
    with pytest.raises(ValueError, match="nan at index"):
        fastseg.count_labels(labels, [0, 0], sample_weight=weights, backend=backend)


@pytest.mark.parametrize(("membership", "quota"), [(b"garbage\n", None), (b"\xff\xfe\n", None), (b"0::/\n", "1 0")])
def test_odd_control_group_files(membership: bytes, quota: str | None, tmp_path: Path) -> None:
    (tmp_path / "membership").write_bytes(membership)
    if quota:
        (tmp_path / "cpu.max").write_text(quota)
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") is None


def test_control_group_folder_in_another_order(tmp_path: Path) -> None:
    folder = tmp_path / "cpu,cpuacct"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text("250000")
    (folder / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "membership").write_text("3:cpuacct,cpu:/\n")
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") == 3


def test_weighted_masks_are_conserved(monkeypatch: pytest.MonkeyPatch) -> None:
    count = reference.MaskCounter.count

    def lossy(self: Any, block: Any) -> Any:
        tally = count(self, block)
        return tally._replace(inside=tally.inside - 1)

    monkeypatch.setattr(reference.MaskCounter, "count", lossy)
    with pytest.raises(RuntimeError, match="lost"):
        fastseg.count_masks([[0, 1]], [[0, 1]], sample_weight=[1.0], backend="numpy")


PAIR = ([0, 1], [0, 1])
EYE = np.eye(3) > 0
WRONG = [
    (lambda: fastseg.count_labels(*PAIR, num_classes=np.array([2, 3])), TypeError, "num_classes: expected an integer"),
    (lambda: fastseg.count_labels(*PAIR, num_classes=np.array(2.0)), TypeError, "num_classes: expected an integer"),
    (lambda: fastseg.set_num_threads(np.array([1, 2])), TypeError, "n: expected an integer"),
    (lambda: fastseg.count_labels(*PAIR, backend=["numpy"]), ValueError, "backend: expected"),
    (lambda: fastseg.evaluate(*PAIR, names=["ab", "cd"]), TypeError, "names: expected a mapping"),
    (lambda: fastseg.evaluate(*PAIR, zero_division="x"), TypeError, "zero_division: expected a number"),
    (lambda: fastseg.count_masks(EYE, EYE, classes=3), TypeError, "classes: expected a name"),
    (lambda: fastseg.count_masks(EYE, EYE, classes=["a", "b", "a"]), ValueError, "classes: expected a name for each"),
    (lambda: fastseg.count_labels(*PAIR, sample_weight=[1e308, 1e308], labels=[0, 1], ignore_index=None), None, ""),
    (
        lambda: fastseg.count_labels([0, 0], [0, 0], sample_weight=[1e308, 1e308]),
        ValueError,
        "sample_weight: .* infinite",
    ),
    (lambda: fastseg.Evaluator().merge(3), TypeError, "other: expected an Evaluator"),
    (lambda: fastseg.Evaluator(num_classes=3).update([0], [0], sample_axis=7), ValueError, "sample_axis: expected"),
    (lambda: fastseg.Evaluator(labels=[0.5, 1.7]), TypeError, "labels: expected"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_messages_name_the_argument(call: Any, error: Any, message: str) -> None:
    if error is None:
        call()
        return
    with pytest.raises(error, match=message):
        call()


def test_tables_that_cannot_be_had() -> None:
    samples = np.zeros((10_000_000, 1), np.uint8)
    with pytest.raises(ValueError, match=r"num_classes, sample_axis: 10000000 samples of 4096 classes need"):
        fastseg.count_labels(samples, samples, num_classes=4096, sample_axis=0)


def test_an_ignore_index_that_can_be_read_once() -> None:
    evaluator = fastseg.Evaluator(ignore_index=(label for label in [255]))
    evaluator.update([0, 255], [0, 1])
    evaluator.update([0, 255], [0, 1])
    assert evaluator.counts is not None
    assert evaluator.counts.labels.tolist() == [0]


def test_unknown_predictions_count_in_mcc_as_a_class_of_their_own() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for true, pred, classes in (([0, 0, 1, 1, 2, 2], [0, 0, 1, 9, 9, 9], 3), ([0, 0, 1, 1], [0, 0, 9, 9], 2)):
        counts = fastseg.count_labels(true, pred, num_classes=classes, unknown="count")
        assert fastseg.metrics.matthews_corrcoef(counts)[0] == pytest.approx(metrics.matthews_corrcoef(true, pred))
        assert fastseg.metrics.cohen_kappa(counts)[0] == pytest.approx(metrics.cohen_kappa_score(true, pred))


@both
def test_any_byte_but_zero_is_true(backend: str) -> None:
    odd = np.array([0, 1, 2, 3], "u1").view(bool)
    for classes in (None, 2, 4):
        counts = fastseg.count_labels(odd, odd, num_classes=classes, backend=backend)
        assert counts.matrix[0, :2, :2].tolist() == [[1, 0], [0, 3]]


MORE_WRONG = [
    (lambda c: fastseg.metrics.fbeta(c, beta="x"), TypeError, "beta: expected a number"),
    (lambda c: fastseg.metrics.tversky(c, alpha=-1), ValueError, "alpha: expected a number that is not negative"),
    (lambda c: fastseg.metrics.fbeta(c, beta=float("nan")), ValueError, "beta: expected"),
    (lambda c: fastseg.metrics.iou(np.zeros(3)), TypeError, r"counts: expected LabelCounts .*fastseg.iou\(y_true"),
    (lambda c: c.regions({"a": np.array([2**63], np.uint64)}), TypeError, r"regions\['a'\]: expected integers"),
    (lambda c: fastseg.evaluate(*PAIR, foo=1), TypeError, r"evaluate\(\) got an unexpected keyword argument 'foo'"),
    (lambda c: fastseg.evaluate_files("a", "b", foo=1), TypeError, r"evaluate_files\(\) got an unexpected keyword"),
    (lambda c: fastseg.evaluate_files("a", "b", labels=5), TypeError, "labels: expected names of labels"),
    (
        lambda c: fastseg.evaluate_files("a", "b", reorient="yes"),
        TypeError,
        "reorient: expected True or False, found 'yes'",
    ),
    (lambda c: fastseg.compare_runs("a", "b", resamples="a"), TypeError, "resamples: expected a number, found 'a'"),
    (lambda c: fastseg.compare_runs("a", "b", confidence=None), TypeError, "confidence: expected a number, found None"),
    (
        lambda c: fastseg.evaluate_files("a", "b", map_prediction=[1, 2]),
        TypeError,
        "map_prediction: expected a mapping",
    ),
    (
        lambda c: fastseg.evaluate_files("a", "b", map_prediction={1: 2.5}),
        TypeError,
        "map_prediction: expected an integer",
    ),
    (lambda c: fastseg.evaluate_files("a", "b", threads=0), ValueError, "threads: expected an integer of at least 1"),
    (lambda c: fastseg.count_files("a", "b", threads="2"), TypeError, "threads: expected an integer of at least 1"),
]


@pytest.mark.parametrize(("call", "error", "message"), MORE_WRONG)
def test_messages_name_the_argument_here_too(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call(fastseg.count_labels(*PAIR))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_a_fork_while_another_thread_imports_or_compiles(tmp_path: Path, seconds: float) -> None:
    """The child must not inherit a lock that nobody will release: it would wait for ever at its first new kernel."""
    code = f"""
import os, signal, threading, time
import numpy as np, fastseg
labels = np.zeros(10, np.float32)
thread = threading.Thread(target=fastseg.count_labels, args=(labels, labels.astype(np.uint16)))
thread.start()
time.sleep({seconds})
child = os.fork()
if child == 0:
    signal.alarm(300)  # of a machine that is busy
    os._exit(int(fastseg.confusion_matrix([0, 1], [0, 1]).sum() != 2))
thread.join()
assert os.waitpid(child, 0)[1] == 0
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
