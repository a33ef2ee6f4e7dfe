"""COCO's JSON in runs: a case is a picture."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.coco import annotated, compressed, results, write
from support.command_line import call
from support.mask_cases import dice, masks

from fastseg.runs import Run, evaluate_folder
from fastseg.runs.cases.find import CasesError
from fastseg.runs.scoring import keys

NAMES, SHAPE = ("person", "dog", "kite"), (13, 21)


@pytest.fixture
def pictures() -> tuple[Any, Any]:
    pairs = {name: masks(seed, NAMES, SHAPE) for seed, name in enumerate(("zebra", "a", "b"))}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


def expected(true: Any, pred: Any) -> Any:
    return np.array([dice(true[name], pred[name], NAMES) for name in sorted(true)])


def test_two_files_of_pictures(pictures: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    true, pred = pictures
    one = write(tmp_path / "one.json", annotated(true, NAMES))
    other = write(tmp_path / "other.json", annotated(dict(sorted(pred.items())), NAMES, compressed))
    run = evaluate_folder(one, other, tmp_path / "out", metrics="dice")
    assert [record.id for record in run.records] == ["a", "b", "zebra"]
    np.testing.assert_allclose(run.values("dice"), expected(true, pred))
    assert str(Run.load(tmp_path / "out")) == str(run)
    code, out, err = call(capsys, monkeypatch, "evaluate", one, other, "--metrics", "dice", "--fail-under", "dice=0.99")
    assert (code, "3 of 3 cases scored" in out, "gate failed: dice is" in err) == (1, True, True), out + err


def test_a_file_of_many_pictures_is_hashed_once(pictures: Any, tmp_path: Path, monkeypatch: Any) -> None:
    hashed: list[str] = []
    pieces = keys._pieces
    monkeypatch.setattr(keys, "_pieces", lambda path: hashed.append(path) or pieces(path))
    one = write(tmp_path / "one.json", annotated(pictures[0], NAMES))
    run = evaluate_folder(one, one, metrics="dice", threads=1)
    assert hashed == [str(one)]
    assert {record.inputs["reference"]["sha256"] for record in run.records} == {
        hashlib.sha256(one.read_bytes()).hexdigest()
    }


def test_results_belong_to_annotations_by_ids(pictures: Any, tmp_path: Path) -> None:
    true, pred = pictures
    one = write(tmp_path / "one.json", annotated(true, NAMES))
    listed = [each for each in results(pred, NAMES) if each["image_id"] != 101]  # nothing was found in the second one
    other = write(tmp_path / "results.json", listed)
    run = evaluate_folder(one, other, metrics="dice", threshold=0.5)
    pred["a"] = dict.fromkeys(NAMES, np.zeros(SHAPE, bool))
    np.testing.assert_allclose(run.values("dice"), expected(true, pred))
    write(other, [*listed, {**listed[0], "image_id": 7}])
    with pytest.raises(CasesError, match=r"results\.json::7: no reference belongs to it"):
        evaluate_folder(one, other, metrics="dice")


def test_beside_a_folder_of_label_maps(pictures: Any, tmp_path: Path) -> None:
    true, _ = pictures
    one = write(tmp_path / "one.json", annotated(true, NAMES))
    (tmp_path / "maps").mkdir()
    pred: dict[str, dict[str, Any]] = {}
    for seed, name in enumerate(true):
        labels = np.random.default_rng(seed).integers(0, 4, SHAPE).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / "maps" / f"{name}.png")
        pred[name] = {of: labels == label for label, of in enumerate(NAMES, 1)}
    run = evaluate_folder(one, tmp_path / "maps", metrics="dice", labels=dict(enumerate(NAMES, 1)))
    np.testing.assert_allclose(run.values("dice"), expected(true, pred))
    run = evaluate_folder(
        one, tmp_path / "maps", metrics="dice", labels=dict(enumerate(NAMES, 1)),
        pattern=[r"val/(?P<case>[ab])\.jpg", r"(?P<case>[ab])\.png"],
    )  # fmt: skip
    np.testing.assert_allclose(run.values("dice"), expected(true, pred)[:2])


def test_pictures_that_are_missing(pictures: Any, tmp_path: Path) -> None:
    true, pred = pictures
    one = write(tmp_path / "one.json", annotated(true, NAMES))
    other = write(tmp_path / "other.json", annotated({"a": pred["a"], "c": pred["b"]}, NAMES))
    with pytest.raises(CasesError) as caught:
        evaluate_folder(one, other)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == ["b", "zebra", "prediction"]
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(CasesError, match=r"reference: .*broken\.json: expected COCO's JSON"):
        evaluate_folder(tmp_path / "broken.json", one)


def test_ids_meet_file_names_that_are_filled_up_with_zeros(pictures: Any, tmp_path: Path) -> None:
    true, pred = pictures
    found = annotated(true, NAMES)
    for image in found["images"]:
        del image["file_name"]  # so that its id is all that it is called
    one = write(tmp_path / "one.json", found)
    listed = write(tmp_path / "listed.json", results(pred, NAMES))
    maps, values = tmp_path / "maps", dict(zip(NAMES, (1, 11, 21), strict=True))
    maps.mkdir()
    own = {}
    for number, (picture, of) in enumerate(pred.items(), 100):
        labels = np.zeros(SHAPE, np.uint8)
        for name, value in values.items():
            labels[of[name]] = value
        own[picture] = {name: labels == value for name, value in values.items()}
        Image.fromarray(labels).save(maps / f"{number:012}.png")
    said: Any = {"labels": {value: name for name, value in values.items()}, "metrics": "dice"}
    run = evaluate_folder(one, maps, **said)
    assert [record.id for record in run.records] == [f"{number:012}" for number in (100, 101, 102)]
    np.testing.assert_allclose(run.values("dice"), [dice(true[name], own[name], NAMES) for name in true])
    # Results have numbers for categories, too: the labels that have the names.
    run = evaluate_folder(maps, listed, **said)
    assert [record.id for record in run.records] == [f"{number:012}" for number in (100, 101, 102)]
    np.testing.assert_allclose(run.values("dice"), [dice(own[name], pred[name], NAMES) for name in true])
    (maps / "0100.png").write_bytes((maps / "000000000100.png").read_bytes())
    with pytest.raises(CasesError, match="100: no prediction"):  # which of the two it is nobody knows
        evaluate_folder(one, maps, **said)


def test_results_of_none_of_the_classes_are_an_error(pictures: Any, tmp_path: Path) -> None:
    listed = write(tmp_path / "listed.json", results(pictures[1], NAMES))
    maps = tmp_path / "maps"
    maps.mkdir()
    for number in (100, 101, 102):
        Image.fromarray(np.ones(SHAPE, np.uint8)).save(maps / f"{number}.png")
    run = evaluate_folder(maps, listed, labels={2: "person"}, metrics="dice")
    assert "expected masks of person, found only 1, 11, 21" in (run.failed[0].reason or "")
