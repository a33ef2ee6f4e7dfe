"""The picture and the files of a comparison."""

from __future__ import annotations

import json
import re
import sys
import xml.dom.minidom
from typing import Any

import pytest
from support.compared_runs import RESAMPLES, runs, with_records

from fastseg import cli
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.comparison.plot import plot, write_comparison
from fastseg.runs.outputs.folder import write_outputs


@pytest.mark.parametrize("name", ["x", "structure with a very long name"])
@pytest.mark.parametrize("metrics", [["dice"], ["dice", "iou", "recall", "precision", "specificity"]])
def test_the_picture_is_a_page_wide_at_most(name: str, metrics: list[str]) -> None:
    pair = runs(cases=3, names={k: f"{name} {k}" for k in range(1, 4)})
    image = xml.dom.minidom.parseString(plot(compare_runs(*pair, metrics=metrics, resamples=2))).documentElement
    width, height = (float(image.getAttribute(side).strip("pt")) / 72 for side in ("width", "height"))
    assert width <= 12.01
    assert (height > 5) == (len(metrics) > 1)


def test_the_picture_is_the_same_each_time_and_holds_any_name() -> None:
    names = {0: "$x^2$ \x1b[31m", 1: "左肾 <b> --> ]]> &amp;", 2: "\ud800", 3: "long " * 50}
    a, b = runs(names=names)
    metrics = ["dice", "false_positive_rate", "relative_volume_difference", "support", "iou", "cohen_kappa"]
    comparison = compare_runs(a, b, metrics=metrics, resamples=RESAMPLES, names=("\x00", "$\\frac$"))
    first = plot(comparison)
    assert first == plot(comparison)
    xml.dom.minidom.parseString(first)
    assert "左肾 &lt;b&gt;" in first.decode()
    assert plot(comparison, "png").startswith(b"\x89PNG")


def test_the_picture_leaves_matplotlib_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 30.0, "axes.grid": True}):
        a, b = runs(cases=3)
        comparison = compare_runs(a, b, metrics="dice", resamples=RESAMPLES)
        changed = plot(comparison)
        assert matplotlib.rcParams["font.size"] == 30
    assert changed == plot(comparison)
    assert dict(matplotlib.rcParams) == before


def test_the_picture_grows_with_the_classes() -> None:
    a, b = runs(cases=4, classes=110, voxels=300)
    heights = []
    for labels in (110, 150):
        pair = (with_records(run, *run.records, labels=tuple(range(labels))) for run in (a, b))
        image = plot(compare_runs(*pair, metrics="dice", resamples=50))
        heights.append(float(xml.dom.minidom.parseString(image).documentElement.getAttribute("height").strip("pt")))
    assert heights[0] > 110 * 12
    assert heights[1] - heights[0] == pytest.approx(40 * 0.21 * 72, rel=1e-3)


def test_files(tmp_path: Any) -> None:
    a, b = runs(cases=3)
    comparison = compare_runs(a, b, metrics="dice", resamples=RESAMPLES)
    write_comparison(comparison, tmp_path / "new" / "folder")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert sorted(written) == ["comparison.csv", "comparison.json", "comparison.svg"]
    assert json.loads(written["comparison.json"]) == json.loads(json.dumps(comparison.to_dict()))
    assert written["comparison.csv"].decode() == comparison.to_csv()
    assert written["comparison.svg"] == plot(comparison)


def test_without_matplotlib_all_but_the_picture_is_written(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # which cannot be imported then
    paths = [tmp_path / name for name in ("old", "new")]
    for run, path in zip(runs(cases=3), paths, strict=True):
        write_outputs(run, path)
    comparison = compare_runs(*paths, resamples=RESAMPLES)
    message = re.escape('comparison.svg: drawing needs Matplotlib: pip install "fastseg-metrics[report]"')
    (tmp_path / "comparison.svg").write_text("of an earlier comparison")
    with pytest.raises(ImportError, match=message):
        write_comparison(comparison, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("c*")) == ["comparison.csv", "comparison.json"]
    assert (tmp_path / "comparison.csv").read_text() == comparison.to_csv()

    monkeypatch.setattr(sys, "argv", ["fastseg", "compare", *map(str, paths), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as done:
        cli.main()
    out, err = capsys.readouterr()
    assert done.value.code == 0
    assert "wins/ties/losses" in out
    assert re.fullmatch(f"fastseg: {message}\n", err)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["comparison.csv", "comparison.json"]
