"""The report: one file that stands alone, and says of any run what became of it."""

from __future__ import annotations

import builtins
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.reports import IMAGE, Page, checked, failed, missed, phantom, run_of, scored

import fastseg
from fastseg.report import page, words, write_report
from fastseg.runs import CaseRecord
from fastseg.runs.outputs.folder import write_outputs

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_a_run() -> None:
    records = [phantom(f"case {n}", n) for n in range(6)]
    run = run_of(*records, names={1: "liver", 2: "spleen"}, metrics=("dice", "iou"), facts={"fastseg": "1.2.3"})
    found = checked(run, worst=2)
    assert words.number(run.mean("dice")) in found.text
    assert "incomplete" not in found.text
    assert found.text.count("There is no picture of this case") == 2
    assert "1.2.3" in found.text
    assert run.convention.description in found.text
    rows = [found for tag, found in found.elements if tag == "td" and "data-value" in found]
    assert len(rows) == 12
    expected = np.nanmean(run.values("dice")[:, run.in_means], 1)
    np.testing.assert_allclose([float(str(row["data-value"])) for row in rows[::2]], expected, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"labels": (0, 1)}, {"metrics": ()}, {"metrics": ("accuracy",)}])
def test_no_case_and_no_scored_case(options: Any) -> None:
    assert "The run has no cases" in checked(run_of(**options)).text
    lost = CaseRecord("b", "missing", "r.nii", None)
    text = checked(run_of(failed("a", "cannot be read"), lost, **options)).text
    assert "No case was scored" in text
    assert "This run is incomplete." in text
    assert "cannot be read" in text


def test_failures_are_at_the_top() -> None:
    run = run_of(
        phantom("fine", 0), *(failed(f"broken {n}") for n in range(30)), CaseRecord("lost", "missing", "r", None)
    )
    text = checked(run).text
    assert text.index("This run is incomplete.") < text.index("broken 29") < text.index("Median")
    assert "1 of 32 cases scored; 30 failed (left out); 1 without a prediction (left out)." in text


@pytest.mark.parametrize(
    ("convention", "tally", "meaning"),
    [
        ("fastseg", "(taken as the worst)", "There every metric has its worst value."),
        ("sklearn", "(every voxel missed)", ""),
    ],
)
def test_what_became_of_missing_predictions(convention: str, tally: str, meaning: str) -> None:
    run = run_of(phantom("a", 0), missed("b"), missing="worst", convention=convention)
    text = checked(run).text
    assert f"1 of 2 cases scored; 1 without a prediction {tally}. {meaning}".strip() in text
    assert ("its worst value" in text) == bool(meaning)
    assert f"1 without a prediction {tally}" in str(run)


def test_a_single_case_has_no_interval() -> None:
    found = checked(run_of(phantom("only", 0)))
    assert "no interval: it takes two cases or more" in found.text
    assert {"title": "No interval: it takes two cases or more"} in [
        each for tag, each in found.elements if tag == "span"
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"convention": "sklearn", "metrics": ("accuracy",)},
            "the value is of all cases’ voxels together, no mean over cases",
        ),
        ({"resamples": 0}, "no draws were asked for"),
        ({"convention": "nnunet", "labels": (0, 1, 2, 3, 9)}, "the value is undefined"),
    ],
)
def test_why_there_is_no_interval(options: Any, reason: str) -> None:
    found = checked(run_of(*(phantom(f"{n}", n) for n in range(3)), **options))
    assert f"no interval: {reason}" in found.text
    assert f". No interval: {reason}" in found.text
    assert any(str(each.get("title")).startswith(f"No interval: {reason}") for _, each in found.elements)


def noisy(id: str, labels: int, seed: int) -> CaseRecord:
    """Return a case of so many labels, ten voxels each, of which a higher label has more wrong ones."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(labels), 10)
    wrong = rng.random(true.size) < true / (3 * labels)
    table = np.stack([true, np.where(wrong, np.roll(true, 10), true)], 1)
    pairs, voxels = np.unique(table, axis=0, return_counts=True)
    return CaseRecord(id, "scored", "r", "p", pairs=np.column_stack([pairs, voxels]), voxels=(true.size, 0, 0, 0))


def drawn_and_listed(found: Page) -> tuple[list[str], int]:
    """Return what the page says of the classes it has, and how many rows all tables have."""
    return re.findall(r"(?:Drawn|Listed) are [0-9,]* of [^;.]*", found.text), found.count("tr")


def test_forty_classes_are_whole() -> None:
    run = run_of(*(noisy(f"{n:03d}", 40, n) for n in range(4)))
    assert drawn_and_listed(checked(run, worst=0))[0] == []


def test_many_classes_and_cases() -> None:
    run = run_of(*(noisy(f"{n:03d}", 120, n) for n in range(50)))
    found = checked(run, worst=0)
    images = [attributes for tag, attributes in found.elements if tag == "image"]
    assert len(images) == 5  # 2,000 points are a picture, as are two matrices and their scales
    assert drawn_and_listed(found)[0] == [
        "Drawn are 40 of 120 classes, the worst by Dice, worst first",
        "Drawn are 40 of 120 labels, those of the largest confusions",
    ]


def test_thousands_of_classes() -> None:
    run = run_of(*(noisy(f"{n}", 5000, n) for n in range(3)), metrics=("support", "dice", "iou"))
    html = page.render(run, worst=0)
    said, rows = drawn_and_listed(Page(html))
    assert said == [
        "Listed are 300 of 5,000 classes, the worst by Dice, worst first",
        "Drawn are 40 of 5,000 classes, the worst by Dice, worst first",
        "Drawn are 40 of 5,000 labels, those of the largest confusions",
    ]
    assert "classes.csv, beside this page, has all" in Page(html).text
    assert 3 * 300 < rows < 3 * 300 + 50
    assert len(html) < 2e6
    worst = run.classes[int(np.argsort(run.class_values("dice"), kind="stable")[0])].name
    assert html.count(f'<th scope="row"><bdi>{worst}</bdi></th>') == 3


def test_many_classes_of_which_none_is_worse() -> None:
    run = run_of(*(noisy(f"{n}", 400, n) for n in range(3)), metrics=("accuracy", "support"))
    said, _ = drawn_and_listed(checked(run, worst=0))
    assert said[0] == "Listed are 300 of 400 classes, the first"
    text = checked(run_of(noisy("a", 400, 0), metrics=("accuracy",)), worst=0).text
    assert "400 classes" not in text


def test_many_labels_that_are_never_confused() -> None:
    true = np.arange(60)
    found = checked(run_of(scored("a", true, true)))
    assert "No voxel of the 60 labels is predicted as another label" in found.text
    assert "heat-linear" not in {each.get("id") for _, each in found.elements}


def test_regions() -> None:
    run = run_of(*(phantom(f"{n}", n) for n in range(3)), regions={"whole": (1, 2, 3), IMAGE: (2, 3)})
    text = checked(run).text
    assert IMAGE in text
    assert "Regions" in text
    assert "Worst region" in text
    assert "mean over 2 regions of 3 cases" in text


@pytest.mark.parametrize("convention", ["fastseg", "monai", "torchmetrics", "nnunet", "sklearn", "totalsegmentator"])
def test_conventions_and_metrics_of_every_kind(convention: str) -> None:
    metrics = ("relative_volume_difference", "support", "false_positive_rate", "cohen_kappa", "mcc", "jaccard")
    run = run_of(*(phantom(f"{n}", n) for n in range(3)), convention=convention, metrics=metrics)
    assert f"Convention {convention}" in checked(run).text


def test_a_metric_that_is_neither_good_nor_bad() -> None:
    assert "no value of it is better" in checked(run_of(phantom("a", 0), metrics=("support", "dice"))).text


def test_what_is_predicted_as_no_label_has_a_column() -> None:
    counts = fastseg.count_labels([0, 1, 1, 1], [0, 1, 7, 7], labels=[0, 1], unknown="count")
    case = CaseRecord.with_counts(counts, id="a", status="scored", reference="r", prediction="p")
    for records, name in (
        ([case], "unknown label"),
        ([phantom("c", 0, 2), missed("b")], "no prediction"),
        ([case, missed("b")], "no prediction or unknown label"),
    ):
        text = checked(run_of(*records, labels=(0, 1), unknown="count", missing="worst")).text
        assert f"with {name}" in text
        assert ("unknown label" in text, "no prediction" in text) == ("unknown" in name, "no prediction" in name)


def test_what_means_are_over() -> None:
    def text(**settings: Any) -> str:
        return checked(run_of(*(phantom(f"{n}", n) for n in range(3)), **settings)).text

    found = text(metrics=("dice", "accuracy"), confidence=0.975)
    assert found.count("not in the mean") == 1
    assert (
        "Foreground mean: mean over 3 foreground classes of 3 cases; its median and standard deviation are of" in found
    )
    assert "All classes: mean over 3 cases." in found
    assert "97.5% bootstrap interval" in found
    found = text(background=True)
    assert "not in the mean" not in found
    assert "\nMean: mean over 4 classes of 3 cases" in found
    found = text(convention="sklearn", metrics=("dice", "accuracy"))
    assert "Mean: mean over 4 classes, each of the voxels of 3 cases together" in found
    assert "All classes: value of the voxels of 3 cases together" in found
    assert "Mean: mean over 3 cases of each case’s mean over 4 classes" in text(convention="monai")


def test_write_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(phantom("a", 0), phantom("b", 1))
    write_outputs(run, tmp_path)
    path = write_report(tmp_path)
    assert path == tmp_path / "report.html"
    first = path.read_bytes()
    assert Page(first.decode()).text.count("no picture") == 2
    assert write_report(tmp_path).read_bytes() == first
    assert b"no picture" not in write_report(tmp_path, overlays=False).read_bytes()
    assert b'id="worst-1"' not in write_report(tmp_path, worst=0).read_bytes()
    with pytest.raises(ValueError, match="worst: expected"):
        write_report(tmp_path, worst=-1)
    with pytest.raises((OSError, ValueError)):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_its_libraries(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fake(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(ImportError, match=re.escape('fastseg report needs: pip install "fastseg-metrics[report]"')):
        write_report(tmp_path)


def test_nothing_global_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # which cannot be imported then
    before = [*dict.items(matplotlib.rcParams)]  # as they are: to ask for the backend is to choose one
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "axes.facecolor": "red"}):
        theirs = page.render(run_of(phantom("a", 0)))
    assert [*dict.items(matplotlib.rcParams)] == before
    assert theirs == page.render(run_of(phantom("a", 0)))
