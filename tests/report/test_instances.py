"""Instances on the page: the table, what was missed and invented, and sizes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from support.instance_cases import lesions
from support.reports import IMAGE, Page, checked, run_of

from fastseg.report import plots, write_report
from fastseg.runs import Run, evaluate_folder
from fastseg.runs.instances import evaluate_instances
from fastseg.runs.outputs.stale_report import run_digest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a run with instances; its only case has a name that is a formula in spreadsheets."""
    for side, mask in zip(("true", "pred"), lesions(), strict=True):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "=a.npy", mask)
    evaluate_folder(tmp_path / "true", tmp_path / "pred", tmp_path / "out")
    evaluate_instances(tmp_path / "true", tmp_path / "pred", "1", match="iou>=0.6").save(tmp_path / "out")
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
    scores = Run.load(folder).facts["instances"]["scores"]["1"]
    assert f"{scores['matched']}{scores['missed']}{scores['invented']}{scores['recall']:.4f}" in text
    assert scores["missed"] + scores["invented"] == len(lines)


def test_a_list_of_other_instances_is_not_shown(folder: Path) -> None:
    page = write_report(folder, overlays=False)
    (folder / "instances.csv").write_text("case,region\n")
    text = section(Page(write_report(folder, overlays=False).read_text("utf-8")))
    assert "instances.csv beside the run is of another run, or was changed" in text
    (folder / "instances.csv").unlink()
    text = section(Page(write_report(folder, overlays=False).read_text("utf-8")))
    assert "instances.csv is not beside the run" in text
    assert page.exists()


def test_names_and_reasons_are_text(folder: Path) -> None:
    told = Run.load(folder).facts["instances"]
    rule = {**told["rule"], "criterion": "centre", "connectivity": 6, "min_voxels": 5}
    scores = {IMAGE: {**told["scores"]["1"], "f1": None}}
    facts = {"instances": {**told, "rule": rule, "scores": scores, "failed": {IMAGE: IMAGE}}}
    text = section(checked(run_of(facts=facts)))
    assert "the centre of the prediction, which lies in the true one" in text
    assert "6 neighbours, at least 5 voxels" in text
    assert text.count(IMAGE) == 3
    assert "Instances" not in checked(run_of()).text


def test_the_page_of_other_instances_goes(folder: Path) -> None:
    """Each of the two writes tells results of before from its own."""
    page, notes = write_report(folder, overlays=False), list[str]()
    digest, same = run_digest(folder), evaluate_instances
    paths = folder.parent / "true", folder.parent / "pred"
    same(*paths, "1", match="iou>=0.6").save(folder, note=notes.append)
    assert page.exists()
    assert run_digest(folder) == digest
    same(*paths, "1", match="centre").save(folder, note=notes.append)
    assert not page.exists()
    assert ["showed earlier results" in note for note in notes] == [True]


@pytest.mark.parametrize("sizes", [[], [1.0], [0.003, 25.0, 4e6]])
def test_sizes(sizes: list[float]) -> None:
    drawing = plots.size_plot("k", "title", {"#4a8fd0": (np.array(sizes), np.ones(len(sizes)))}, "ml")
    assert drawing.count("<use ") == len(sizes)
    assert "size in ml" in drawing
