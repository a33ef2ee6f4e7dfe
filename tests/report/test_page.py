"""The report: one file that stands alone, shows hostile names as text, and works in a browser."""

from __future__ import annotations

import base64
import builtins
import hashlib
import math
import re
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.counting import stored_labels as aligned
from fastseg.phantom import phantom_pair
from fastseg.report import (
    mistakes as confusion,
    origin,
    overlays,
    page,
    pictures,
    plots,
    svg,
    words,
    worst_cases,
    write_report,
)
from fastseg.runs import CaseRecord, Run, Settings, evaluate_folder
from fastseg.runs.outputs.folder import write_outputs
from fastseg.runs.outputs.stale_report import remove_stale_report

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'
HOSTILE = [
    "$\\frac{1}{0}$",
    "two\nlines",
    "كبد",
    "🫀 heart",
    "a & b",
    "\x00\x1b[31m",
    "{{ 7 * 7 }}",
    "\u202eevil",
    "é́\ud800",
]


def scored(id: str, true: Any, pred: Any, **values: Any) -> CaseRecord:
    counts = fastseg.count_labels(np.asarray(true), np.asarray(pred))
    values = {
        "status": "scored",
        "reference": "gone.nii.gz",
        "prediction": "gone too.nii.gz",
        "geometry": "equal",
    } | values
    return CaseRecord.with_counts(counts, id=id, shape=np.shape(true), **values)


def phantom(id: str, seed: int, classes: int = 4, **values: Any) -> CaseRecord:
    return scored(id, *phantom_pair((16, 16, 16), classes, foreground=0.3, seed=seed), **values)


def run_of(*records: CaseRecord, facts: Any = None, **settings: Any) -> Run:
    chosen = Settings(**{"resamples": 50, "metrics": ("dice",), **settings})
    return Run(chosen, tuple(sorted(records, key=lambda record: record.id)), facts or {})


def failed(id: str, reason: str = "truncated") -> CaseRecord:
    return CaseRecord(id, "failed", "r.nii", "p.nii", reason=reason)


def missed(id: str) -> CaseRecord:
    """Return the record of a case without a prediction, taken as the worst."""
    unknown = np.array([[0, 50], [1, 14]])
    return CaseRecord(id, "missing", "r.nii", None, unknown=unknown, voxels=(0, 0, 0, 64))


class Page(HTMLParser):
    """What is on a page: elements with their attributes, and the text outside of scripts and styles."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"
        ids = [found["id"] for _, found in self.elements if "id" in found]
        assert len(set(ids)) == len(ids), "an id occurs twice"
        targets = [found["href"] for _, found in self.elements if (found.get("href") or "").startswith("#")]
        assert {str(target)[1:] for target in targets} <= set(ids), "a link leads nowhere"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def checked(run: Run, **options: Any) -> Page:
    """Render a run; whatever it is, the page stands alone."""
    html = page.render(run, title="run", **options)
    found = Page(html)
    assert "://" not in html
    assert found.count("script") == found.count("style") == 1
    for tag, attributes in found.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        for name in ("src", "href", "action", "srcset"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/png;base64,")) or (tag, value) == ("link", "data:,")
    return found


@pytest.fixture
def volumes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let files be arrays by their names, which are read in boxes of odd sizes from the last to the first."""
    arrays: dict[str, Any] = {}

    def label_blocks(reference: str, prediction: str, **options: Any) -> Iterator[aligned.LabelBlock]:
        if reference not in arrays:
            raise FileNotFoundError(2, "No such file or directory", reference)
        true, pred = (arrays[name].astype(np.int64) for name in (reference, prediction))
        inside = None if options["roi"] is None else arrays[options["roi"]]
        size = tuple(max(k, n // 10) for k, n in zip((7, 9, 20, 1, 1), true.shape, strict=False))
        spacing = arrays.get("spacing", (1.0, 1.0, 2.0))[: true.ndim] + (float("nan"),) * (true.ndim - 3)
        for cell in reversed([*np.ndindex(*(-(-n // k) for n, k in zip(true.shape, size, strict=True)))]):
            start = tuple(c * k for c, k in zip(cell, size, strict=True))
            box = tuple(slice(a, a + k) for a, k in zip(start, size, strict=True))
            part = None if inside is None else inside[box]
            yield aligned.LabelBlock(start, true[box], pred[box], part, true.shape, spacing)

    monkeypatch.setattr(aligned, "label_blocks", label_blocks)
    return arrays


def of_arrays(arrays: dict[str, Any], true: Any, pred: Any, id: str = "case", **values: Any) -> CaseRecord:
    arrays[f"{id} r"], arrays[f"{id} p"] = true, pred
    return scored(id, true, pred, reference=f"{id} r", prediction=f"{id} p", **values)


# ---- The page
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


@pytest.mark.parametrize("name", [SCRIPT, IMAGE, *HOSTILE])
def test_hostile_names_are_text(name: str, volumes: dict[str, Any]) -> None:
    true, pred = phantom_pair((12, 12, 12), 3, foreground=0.4, seed=1)
    case = of_arrays(volumes, true, pred, id=name, geometry=name)
    gates = [{"text": name, "value": None, "passed": False, "message": name}]
    run = run_of(case, failed("x", name), names={1: name, 2: "plain"}, regions={}, facts={name: name, "gates": gates})
    html = page.render(run, title=name)
    found = Page(html)
    assert found.text.count(svg.shown(name)) >= 8
    assert found.count("script") == 1
    assert found.count("img") == 0
    assert "onerror" not in {key for _, attributes in found.elements for key in attributes}
    assert not set(html) & {"\x00", "\x1b", "\u202e"}
    assert "49" not in re.findall(r"\d+", found.text) or name != "{{ 7 * 7 }}"


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


def test_settings_in_words() -> None:
    changed = Settings(
        confidence=0.975,
        names={1: "liver"},
        regions={"all": (1, 2)},
        map_prediction={7: 1},
        missing="worst",
        ignore=(9,),
    )
    rows = origin.settings(changed)
    assert {row.name: row.value for row in rows if not row.default} == {
        "True labels that are not scored": "9",
        "Labels of the prediction that stand for others": "7 → 1",
        "Case without a prediction": "taken as the worst",
        "Names of labels": "1 liver",
        "Regions": "all = 1 + 2",
        "Confidence of the intervals": "97.5%",
    }
    assert [row.default for row in rows] == [False] * 6 + [True] * (len(rows) - 6)
    assert {row.option for row in rows} == set(changed.to_dict()) == set(origin._NAMES)
    assert not any(mark in row.value for row in rows for mark in '{}[]"')
    text = checked(run_of(phantom("a", 0), missing="worst")).text
    assert "taken as the worst" in text


def test_facts_in_words() -> None:
    facts = {
        "reference": "gt", "pairs": None, "extra": [], "working_folder": "/data", "fastseg": "1.2.3", "own": {"x": [1, 2]},
        "times": {"started": 1795436865.64, "seconds": 3725.4, "scored": 1, "threads": 2},
        "machine": {"python": "3.11.7", "numpy": "2.4.6", "system": "Linux"},
    }  # fmt: skip
    assert origin.facts(run_of(facts=facts)) == [
        ("References", "gt"),
        ("Paths begin at", "/data"),
        ("fastseg", "1.2.3"),
        ("Python", "3.11.7"),
        ("NumPy", "2.4.6"),
        ("System", "Linux"),
        ("Started", "2026-11-23 12:27:45 UTC"),
        ("Took", "1 hour 2 minutes 5 seconds"),
        ("Counted then", "1 case"),
        ("Threads", "2"),
        ("own · x", "1, 2"),
    ]
    for times in ({"started": 1e99, "seconds": -1}, {"started": "x", "seconds": None}, {"started": math.nan}, 3):
        checked(run_of(phantom("a", 0), facts={"times": times, "machine": "m", "working_folder": 3}))


def test_gates() -> None:
    gates = [
        {"text": "dice=0.9", "value": 0.5, "passed": False, "message": "dice is 0.5"},
        {"text": "iou=0", "value": None, "passed": True},
    ]
    text = checked(run_of(phantom("a", 0), facts={"gates": gates})).text
    assert text.index("✗ not met") < text.index("dice is 0.5") < text.index("✓ passed") < text.index("Median")


def test_policy_allows_only_what_is_there() -> None:
    html = page.render(run_of(phantom("a", 0)))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "unsafe" not in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;; img-src data:;")


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


# ---- Plots
def test_a_name_is_cut_in_its_middle() -> None:
    drawing = plots.box_plot("k", "dice", np.ones((2, 1)), ["a very long name of a structure, left"], (0.0, 1.0))
    assert ">a very long …cture, left<title>a very long name of a structure, left</title></text>" in drawing
    assert svg.width("肝臓 e\u0301") == 6


@pytest.mark.parametrize("values", [np.full((3, 2), np.nan), np.zeros((0, 2)), np.array([[0.5, np.nan]])])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (-1.0, float("inf"))])
def test_boxes_of_nearly_nothing(values: Any, limits: Any) -> None:
    assert plots.box_plot("k", "metric", values, ["a", "b"], limits).startswith("<svg ")


@pytest.mark.parametrize("labels", [1, 2, 15, 40])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_heat_map(labels: int, logarithmic: bool) -> None:
    voxels = np.diag(np.arange(labels)) * 10  # the truth has none of label 0
    names = [f"label {k}" for k in range(labels)]
    drawing = plots.heat_map("k", "title", confusion.Confusion(voxels, names, names), logarithmic=logarithmic)
    assert (">100</text>" in drawing) == (labels > 1)
    assert drawing.count("rotate(-90") == (0 if labels <= 10 else labels)
    assert drawing.count("rotate(-40") == (labels if labels <= 10 else 0)


# ---- Confusion
def test_mistakes_are_those_of_the_matrix() -> None:
    run = run_of(*(phantom(f"{n}", n, 6) for n in range(3)), missed("d"), missing="worst")
    found = confusion.mistakes(run)
    assert found is not None
    assert found.matrix is not None
    pooled = run.pooled()
    np.testing.assert_array_equal(found.matrix.voxels, np.concatenate([pooled.matrix[0], pooled.unknown.T], 1))
    assert found.matrix.columns == [*map(str, run.labels), "no prediction"]
    wrong = np.where(np.eye(*found.matrix.voxels.shape), 0.0, found.matrix.shares)
    assert [each.share for each in found.common] == np.sort(wrong, axis=None)[::-1][:5].tolist()


def test_labels_of_the_largest_mistakes() -> None:
    true = np.repeat(np.arange(100), 100)
    pred = true.copy()
    for label in range(60):  # the first `label` voxels are taken for the label 40 above
        pred[100 * label : 100 * label + label] = label + 40
    lost = CaseRecord("b", "missing", "r", None, unknown=np.array([[70, 900]]), voxels=(0, 0, 0, 900))
    run = run_of(scored("a", true, pred), lost, missing="worst")
    found = confusion.mistakes(run)
    assert found is not None
    assert found.matrix is not None
    names = [*map(str, sorted([*range(40, 60), *range(80, 100)]))]
    assert (found.labels, found.matrix.rows) == (100, names)
    assert found.matrix.columns == [*names, "other labels"]
    assert found.matrix.voxels.sum(1).tolist() == [100] * 40
    assert found.common[:2] == [("70", "with", "no prediction", 0.9, 900), ("59", "taken for", "99", 0.59, 59)]


def test_labels_with_nothing_but_missing_predictions() -> None:
    unknown = np.stack([np.arange(50), np.full(50, 3)], 1)
    found = confusion.mistakes(
        run_of(CaseRecord("b", "missing", "r", None, unknown=unknown, voxels=(0, 0, 0, 150)), missing="worst")
    )
    assert found is not None
    assert found.matrix is not None
    assert found.matrix.columns == [*map(str, range(40)), "other labels", "no prediction"]
    assert found.matrix.voxels[:, -1].tolist() == [3] * 40


# ---- Worst cases
def test_worst_cases_by_direction() -> None:
    values = np.array([0.5, np.nan, -0.2, 0.9])
    assert worst_cases.badness(values, "higher").argsort()[:3].tolist() == [3, 0, 2]
    run = run_of(*(phantom(f"{n}", n) for n in range(4)))
    for metric, order in (
        ("dice", [2, 0, 3]),
        ("false_positive_rate", [3, 0, 2]),
        ("relative_volume_difference", [3, 0, 2]),
    ):
        assert worst_cases.rank(run, metric, values) == order
    assert worst_cases.rank(run, "prevalence", values) == []


def test_the_largest_error_is_found(volumes: dict[str, Any]) -> None:
    true = np.zeros((70, 64, 50), np.uint8)
    true[5:60, 5:60, 5:45] = 1
    pred = true.copy()
    pred[40:46, 20:26, 30:36] = 2  # 216 voxels; their middle is (42.5, 22.5, 32.5)
    pred[::9, 50, 10] = 0  # a few elsewhere
    found = overlays.views(of_arrays(volumes, true, pred), Settings(axes="xyz"))
    assert found.voxel[:2] == (42, 22)
    assert 30 <= found.voxel[2] < 36  # within the fuller of the two cubes that it lies in
    assert found.errors == int((true != pred).sum())
    assert [plane.name for plane in found.planes] == ["z", "x", "y"]
    axial = found.planes[0]
    assert axial.index == found.voxel[2]
    np.testing.assert_array_equal(axial.pred, pred[:66, :64, axial.index].T[::-1])
    np.testing.assert_array_equal(axial.true, true[:66, :64, axial.index].T[::-1])
    assert found.planes[1].size == (100.0, 64.0)  # z up, y to the right; in mm
    assert (pictures.disagreement(axial) == 4).sum() == 36


def test_large_planes_are_thinned_and_keep_the_error(volumes: dict[str, Any]) -> None:
    true = np.zeros((1500, 1300), np.uint8)
    true[10:1490, 10:1290] = 1
    pred = true.copy()
    pred[701, 803] = 0
    (plane,) = overlays.views(of_arrays(volumes, true, pred), Settings()).planes
    assert max(plane.true.shape) <= 512
    assert (plane.true != plane.pred).sum() == 1
    assert plane.axis is None
    text = checked(run_of(of_arrays(volumes, true, pred))).text
    assert text.count("Disagreement") == 1
    assert "(701, 803)" in text
    assert "1 voxel disagrees" in text


@pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30), (20, 30, 1), (20, 30, 8, 3), (3, 2, 1), (5, 1, 1)])
def test_any_shape(shape: tuple[int, ...], volumes: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 3, shape), rng.integers(0, 3, shape)
    found = overlays.views(of_arrays(volumes, true, pred), Settings())
    flat = len(shape) == 2 or 1 in shape[:3]
    assert len(found.planes) == (1 if flat else 3)
    assert found.errors == ((true != pred)[..., 0] if len(shape) == 4 else true != pred).sum()
    checked(run_of(of_arrays(volumes, true, pred)))


def test_no_error_and_no_foreground(volumes: dict[str, Any]) -> None:
    true = np.zeros((20, 20, 20), np.uint8)
    assert overlays.views(of_arrays(volumes, true, true), Settings()).voxel == (10, 10, 10)
    true[2:5, 4:7, 6:9] = 1
    assert overlays.views(of_arrays(volumes, true, true), Settings()).voxel == (3, 5, 7)
    assert "no voxel disagrees" in checked(run_of(of_arrays(volumes, true, true))).text


def test_what_is_not_scored_is_no_error(volumes: dict[str, Any]) -> None:
    true = np.ones((20, 20, 20), np.uint8)
    true[:8] = 9
    pred = np.ones((20, 20, 20), np.uint8)
    pred[18, 3, 3] = 0
    assert overlays.views(of_arrays(volumes, true, pred), Settings(ignore=(9,))).voxel == (18, 3, 3)
    volumes["mask"] = np.zeros(true.shape, bool)
    volumes["mask"][2, 2, 2] = True
    found = overlays.views(of_arrays(volumes, true, pred, roi="mask"), Settings())
    assert (found.voxel, found.errors) == ((2, 2, 2), 1)


def test_a_hole_in_the_middle_of_errors(volumes: dict[str, Any]) -> None:
    true = np.zeros((48, 48), np.uint8)
    pred = np.ones((48, 48), np.uint8)
    pred[16:32, 16:32] = 0  # the cube whose surroundings have the most errors has none itself
    voxel = overlays.views(of_arrays(volumes, true, pred), Settings()).voxel
    assert pred[voxel] == 1


def test_files_that_changed(tmp_path: Path, volumes: dict[str, Any]) -> None:
    path = tmp_path / "r.nii"
    path.write_bytes(b"12345")
    case = phantom("a", 0, reference=str(path), prediction=str(path), inputs={"reference": {"size": 4}})
    assert "it has changed since it was scored" in checked(run_of(case)).text
    entry = {"size": 5, "sha256": hashlib.sha256(b"54321").hexdigest()}
    case = phantom("a", 0, reference=str(path), prediction=str(path), inputs={"reference": entry})
    assert "it has changed since it was scored" in checked(run_of(case)).text  # though it is as large


def scored_beside(folder: Path, suffix: str = ".nii.gz", **options: Any) -> tuple[Path, Run]:
    """Score two files by relative paths in a folder; return that of the results."""
    nibabel = pytest.importorskip("nibabel")
    for name, labels in zip(("r", "p"), phantom_pair((30, 40, 20), 4, foreground=0.3), strict=True):
        image = (nibabel.Nifti1Pair if suffix == ".img" else nibabel.Nifti1Image)(labels, np.eye(4))
        nibabel.save(image, folder / f"{name}{suffix}")
    run = evaluate_folder(f"r{suffix}", f"p{suffix}", resamples=50, **options)
    run = Run(run.settings, run.records, {**run.facts, "working_folder": str(folder)})
    run.save(folder / "out")
    return folder / "out", run


@pytest.mark.parametrize("suffix", [".nii.gz", ".img"])
def test_pictures_from_another_folder(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out, _ = scored_beside(tmp_path, suffix)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = write_report(out).read_text()
    assert "no picture" not in text
    assert text.count("<figcaption>Disagreement</figcaption>") == 3


def test_pictures_where_run_and_files_were_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    scored_beside(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    assert "no picture" not in write_report("out").read_text()
    Path("p.nii.gz").unlink()
    found = Page(write_report("out").read_text())
    wanted = f"p.nii.gz: there is no such file, neither in {tmp_path}/here, where the run was made, nor in the folder in which"
    assert f"There is no picture of this case: {wanted}" in found.text


def test_files_that_are_gone(tmp_path: Path) -> None:
    inputs = {"reference": {"size": 4, "sha256": None}, "prediction": {"size": 4, "sha256": None}}
    text = checked(run_of(phantom("a", 0, inputs=inputs))).text
    assert (
        "gone.nii.gz: there is no such file in the folder in which this report was written, and the run does not"
        in text
    )
    case = phantom("a", 0, inputs=inputs, reference=str(tmp_path / "gone.nii.gz"))
    assert f"{tmp_path}/gone.nii.gz: there is no such file any more" in checked(run_of(case)).text


def test_a_page_of_earlier_results_is_removed(tmp_path: Path) -> None:
    run = run_of(phantom("a", 0), phantom("b", 1))
    assert remove_stale_report(tmp_path) is None
    run.save(tmp_path)
    assert remove_stale_report(tmp_path) is None
    path = write_report(tmp_path)
    Run(run.settings, run.records, {"times": {"seconds": 5.0}}).save(tmp_path)
    assert remove_stale_report(tmp_path) is None
    assert path.is_file()
    run_of(phantom("a", 0), phantom("b", 2)).save(tmp_path)
    note = remove_stale_report(tmp_path)
    assert note == f"{path} showed earlier results, and is removed: fastseg report {tmp_path} writes it again"
    assert not path.exists()
    path.write_text("<title>My diary</title>")
    assert remove_stale_report(tmp_path) is None
    assert path.is_file()


@pytest.mark.parametrize(
    "changed", [{"metrics": ("iou",)}, {"confidence": 0.9}, {"names": {1: "liver"}}, {"gates": [1]}]
)
def test_a_page_of_other_settings_is_removed(tmp_path: Path, changed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(phantom("a", 0)).save(tmp_path)
    path = write_report(tmp_path, overlays=False)
    facts = {name: changed[name] for name in ("gates",) if name in changed}
    run_of(phantom("a", 0), facts=facts, **{name: changed[name] for name in changed.keys() - facts}).save(tmp_path)

    def fail(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fail)
        assert (
            remove_stale_report(tmp_path) == f"{path} shows earlier results, and cannot be removed: Permission denied"
        )
    assert "is removed" in str(remove_stale_report(tmp_path))


def test_real_files(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    true, pred = phantom_pair((30, 40, 20), 4, foreground=0.3)
    paths = [str(tmp_path / name) for name in ("r.nii.gz", "p.nii.gz")]
    for path, labels in zip(paths, (true, pred), strict=True):
        nibabel.save(nibabel.Nifti1Image(labels, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    found = overlays.views(scored("a", true, pred, reference=paths[0], prediction=paths[1]), Settings())
    assert found.axes == ("x", "y", "z")
    assert found.errors == (true != pred).sum()
    z = found.planes[0]
    assert z.index == found.voxel[2]
    assert (z.true != z.pred).sum() == (true != pred)[:, :, z.index].sum()


@pytest.mark.parametrize("colours", [{1: "#102030", 70000: "#ffffff"}, {}, dict.fromkeys(range(1, 400), "#010203")])
def test_png(colours: dict[int, str]) -> None:
    pixels = np.array([[0, 1, 70000], [1, 1, 5]])
    uri = pictures.png(pixels, colours)
    from matplotlib.image import imread

    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    import io

    found = np.rint(imread(io.BytesIO(data)) * 255).astype(int)
    for pixel, value in zip(found.reshape(-1, found.shape[-1]), pixels.reshape(-1), strict=True):
        expected = [*bytes.fromhex(colours[value][1:]), 255] if value in colours else [0, 0, 0, 0]
        assert pixel.tolist() == expected
    assert zlib.crc32(data) > 0


def test_colours_of_classes_differ() -> None:
    colours = [pictures.class_colour(place) for place in range(150)]
    assert len(set(colours)) == 150
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)


#: What people see who lack a kind of cone, in linear RGB (Machado, Oliveira and Fernandes, 2009), after what the others see.
SIGHTS = np.array([
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
])  # fmt: skip


def seen(colours: Sequence[str]) -> Any:
    """Return where colours lie in Oklab (Ottosson, 2020), times 100, as each kind of people sees them: (4, N, 3)."""
    rgb = np.array([[*bytes.fromhex(colour[1:])] for colour in colours]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    axes = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]
    simulated = np.clip(linear @ SIGHTS.transpose(0, 2, 1), 0, 1)
    return 100 * np.cbrt(simulated @ np.transpose(cones)) @ np.transpose(axes)


def test_colours_of_disagreement_are_those_of_no_class() -> None:
    errors = seen(list(pictures.ERRORS.values()))
    classes, pages = seen([pictures.class_colour(place) for place in range(16)]), seen(["#f6f7f9", "#191d23"])
    wrong = errors[:, 1:, None]
    distance = np.linalg.norm(wrong - classes[:, None], axis=-1)
    assert distance[0].min() > 14
    assert distance.min() > 9
    assert np.linalg.norm(wrong - pages[:, None], axis=-1).min() > 11
    among = np.linalg.norm(wrong - errors[:, None], axis=-1)
    assert among[among > 0].min() > 12


# ---- In a browser
def column(tab: Any, number: int) -> Sequence[str]:
    rows = tab.locator("#cases tbody tr:not([hidden])")
    return rows.evaluate_all(f"rows => rows.map(row => row.cells[{number}].textContent)")


@pytest.mark.browser
def test_in_a_browser(tmp_path: Path, volumes: dict[str, Any], chromium: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    true, pred = phantom_pair((24, 24, 24), 3, foreground=0.3)
    records = [phantom(f"case {n}", n) for n in (1, 2, 10, 11)]
    run = run_of(
        *records, of_arrays(volumes, true, pred, id=SCRIPT), failed("broken"), names={1: IMAGE}, metrics=("dice", "iou")
    )
    path = tmp_path / "report.html"
    path.write_text(page.render(run, title=SCRIPT), "utf-8")
    problems: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            tab = browser.new_page()
            tab.on("console", lambda message: problems.append(message.text))
            tab.on("pageerror", lambda error: problems.append(str(error)))
            tab.on("requestfailed", lambda request: problems.append(request.url))
            tab.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
            requests: list[str] = []
            tab.on("request", lambda request: requests.append(request.url))
            tab.goto(path.as_uri())

            # Hostile names are text
            assert tab.locator("h1").text_content() == SCRIPT
            assert tab.locator("#cases th bdi", has_text=SCRIPT).count() == 1
            assert tab.locator("svg text", has_text="onerror").count() + tab.locator("svg title").count() >= 4
            assert tab.locator("img").count() == 0

            # A click sorts: numbers by their values, names as people count, what is undefined last
            header = tab.locator("#cases thead th").nth(2)
            header.locator("button").click()
            ascending = column(tab, 2)
            assert header.get_attribute("aria-sort") == "ascending"
            assert ascending[-1] == "–"
            assert [float(text) for text in ascending[:-1]] == sorted(float(text) for text in ascending[:-1])
            header.locator("button").press("Enter")
            descending = column(tab, 2)
            assert header.get_attribute("aria-sort") == "descending"
            assert descending == [*ascending[:-1][::-1], "–"]
            tab.locator("#cases thead th button").first.click()
            assert header.get_attribute("aria-sort") is None
            assert [name for name in column(tab, 0) if "case" in name] == ["case 1", "case 2", "case 10", "case 11"]

            # The filter
            tab.fill("#filter", "CASE scored 1")
            assert column(tab, 0) == ["case 1", "case 10", "case 11"]
            assert tab.locator("#filtered").text_content() == "3 of 6 cases"
            tab.fill("#filter", "")
            assert len(column(tab, 0)) == 6

            # The heat map's scale, by keyboard
            assert [tab.locator(f"#heat-{kind}").is_visible() for kind in ("linear", "log")] == [True, False]
            tab.locator("#scale-linear").focus()
            tab.keyboard.press("ArrowRight")
            assert [tab.locator(f"#heat-{kind}").is_visible() for kind in ("linear", "log")] == [False, True]

            # Pictures are painted, links lead to them, and nothing is wider than a phone
            tab.locator("#cases a", has_text=SCRIPT).click()
            assert tab.locator("article:target .plane svg image").count() == 9
            tab.set_viewport_size({"width": 360, "height": 700})
            assert tab.evaluate("document.documentElement.scrollWidth") <= 360
            tab.emulate_media(media="print", color_scheme="dark")
            assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        finally:
            browser.close()
    assert problems == []
