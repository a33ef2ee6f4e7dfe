"""Instances on the page: the table, what was missed and invented, and sizes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.instance_cases import lesions
from support.reports import IMAGE, Page, checked, run_of

from fastseg.report import overlays, plots, write_report
from fastseg.runs import Run, evaluate_folder

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a run with instances; its only case has a name that is a formula in spreadsheets."""
    for side, mask in zip(("true", "pred"), lesions(), strict=True):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "=a.npy", mask)
    evaluate_folder(tmp_path / "true", tmp_path / "pred", tmp_path / "out", instances="1", match="iou>=0.6")
    return tmp_path / "out"


def section(page: Page) -> str:
    """Return the text of the page's section."""
    return page.text[page.text.index("Instances\n") : page.text.index("Cases\n", page.text.index("Instances\n"))]


def test_what_was_missed_and_invented_is_listed(folder: Path) -> None:
    html = write_report(folder, overlays=False).read_text("utf-8")
    text = section(Page(html))
    assert "match by IoU ≥ 0.6 (matching greedy, convention fastseg)" in text
    with (folder / "instances.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = html[html.index('class="unmatched"') :].partition("</table>")[0].split("<tr>")[2:]
    wanted = sorted(
        (row["kind"], row["true_voxels"] or row["pred_voxels"], float(row["centroid_0"]))
        for row in rows
        if row["kind"] != "matched"
    )
    found = [line.replace("<td>", "|").replace("</td>", "").split("|") for line in lines]
    assert sorted((kind, size, float(place.split(",")[0])) for *_, kind, size, place in found) == wanted
    assert all("<bdi>=a</bdi>" in line for line in lines)
    sizes = [int(size) for *_, size, _ in found]
    assert sizes == sorted(sizes, reverse=True)
    assert html.count('<use href="#instances-0-') == len(rows)
    found = Run.load(folder).instances
    assert found is not None
    scores = found.to_dict()["scores"]["1"]
    assert f"{scores['matched']}{scores['missed']}{scores['invented']}{scores['recall']:.4f}" in text
    assert scores["missed"] + scores["invented"] == len(lines)


def test_a_list_of_other_instances_is_not_shown(folder: Path) -> None:
    page = write_report(folder, overlays=False)
    (folder / "instances.csv").write_text("case,region\n")
    text = section(Page(write_report(folder, overlays=False).read_text("utf-8")))
    assert "instances.csv beside the run is gone, or was changed" in text
    (folder / "instances.csv").unlink()
    text = section(Page(write_report(folder, overlays=False).read_text("utf-8")))
    assert "instances.csv beside the run is gone, or was changed" in text
    assert page.exists()


def test_names_are_text(folder: Path) -> None:
    run = Run.load(folder)
    assert run.instances is not None
    how = replace(run.settings.instances, regions={IMAGE: (1,)}, match="centre", connectivity=6, min_voxels=5)
    records = [replace(each, instances={IMAGE: each.instances["1"]}) for each in run.records]
    text = section(checked(replace(run, settings=replace(run.settings, instances=how), records=tuple(records))))
    assert "the centre of the prediction, which lies in the true one" in text
    assert "6 neighbours, at least 5 voxels" in text
    assert text.count(IMAGE) >= 3
    assert "Instances" not in checked(run_of()).text


def test_what_was_missed_and_invented_is_framed(folder: Path) -> None:
    html = write_report(folder).read_text("utf-8")
    assert "missed or invented instances cross these planes" in html
    run = Run.load(folder)
    rows = [row for row in run.records[0].instances["1"].rows or () if row["kind"] != "matched"]
    views = overlays.views(run.records[0], run.settings)
    seen = 0
    for plane in views.planes:
        for row in rows:
            place = plane.place_of(row["box"])
            crossed = row["box"][plane.axis][0] <= plane.index < row["box"][plane.axis][1]
            assert (place is not None) == crossed
            if place is not None:
                left, top, width, height = place
                down, across = (k for k in range(3) if k != plane.axis)
                assert width == row["box"][across][1] - row["box"][across][0]
                assert height == row["box"][down][1] - row["box"][down][0]
                inside = (plane.pred if row["kind"] == "invented" else plane.true)[
                    round(top) : round(top + height), round(left) : round(left + width)
                ]
                assert inside.any()
                seen += 1
    assert html.count("data-instance=") == 3 * seen > 0


def test_the_page_of_other_instances_goes(folder: Path) -> None:
    """Each run tells results of before from its own."""
    page, notes = write_report(folder, overlays=False), list[str]()
    paths = folder.parent / "true", folder.parent / "pred", folder
    evaluate_folder(*paths, instances="1", match="iou>=0.6", note=notes.append)
    assert page.exists()
    evaluate_folder(*paths, instances="1", match="centre", note=notes.append)
    assert not page.exists()
    assert sum("showed earlier results" in note for note in notes) == 1


@pytest.mark.parametrize("sizes", [[], [1.0], [0.003, 25.0, 4e6]])
def test_sizes(sizes: list[float]) -> None:
    drawing = plots.size_plot("k", "title", {"#4a8fd0": (np.array(sizes), np.ones(len(sizes)))}, "ml")
    assert drawing.count("<use ") == len(sizes)
    assert "size in ml" in drawing
