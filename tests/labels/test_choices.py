"""Choices: what people give becomes settings, and whatever is wrong with it is said by name."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastseg.labels.choices import choose_labels, find_dataset_json
from fastseg.labels.names import MOVED
from fastseg.labels.table_text import LabelTableError
from fastseg.labels.tables import LabelTable
from fastseg.metrics import REGISTRY
from fastseg.runs.scoring.options import read_settings
from fastseg.runs.scoring.settings import Settings

NNUNET = {"labels": {"background": 0, "liver": 1, "tumour": 2}, "file_ending": ".nii.gz"}
REGIONS = {"labels": {"background": 0, "whole tumour": [1, 2, 3], "core": [1, 3], "enhancing": 3, "ignore": 4}}
WHOLE = {"whole tumour": (1, 2, 3), "core": (1, 3), "enhancing": (3,)}


def read(**options: Any) -> Settings:
    of_labels = {name: options.pop(name) for name in inspect.signature(choose_labels).parameters if name in options}
    settings = read_settings(choose_labels(**of_labels), **options)
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    return settings


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps(NNUNET))
    return tmp_path


@pytest.fixture
def regions_json(tmp_path: Path) -> Path:
    path = tmp_path / "brats.json"
    path.write_text(json.dumps(REGIONS))
    return path


def test_without_options_settings_are_the_defaults() -> None:
    assert read() == Settings()
    defaults = {name: entry.default for name, entry in inspect.signature(read_settings).parameters.items()}
    later = ("masks", "channels", "threshold", "surfaces")  # what is known when the files are
    for name in Settings.__dataclass_fields__:
        if name not in ("names", "metrics", *later, *inspect.signature(choose_labels).parameters):
            assert defaults[name] == getattr(Settings(), name)


@pytest.mark.parametrize("where", ["labelsTr", ".", "labelsTr/../labelsTr/", "labelsTr/case.nii.gz"])
def test_the_dataset_json_of_nnunet_is_found(dataset: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = f"{dataset}/dataset.json"
    assert find_dataset_json(dataset / where) == table
    monkeypatch.chdir(dataset / "labelsTr")
    assert find_dataset_json(".") == find_dataset_json("case.nii.gz") == table
    settings = read(labels=table)
    assert settings.labels == (0, 1, 2)
    assert settings.names == {0: "background", 1: "liver", 2: "tumour"}


def test_the_dataset_json_in_the_folder_goes_first(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (dataset / "labelsTr/dataset.json").write_text('{"labels": {"background": 0, "lung": 7}}')
    assert find_dataset_json(dataset / "labelsTr") == f"{dataset}/labelsTr/dataset.json"
    assert find_dataset_json(None) is None
    assert find_dataset_json(tmp_path_factory.mktemp("empty") / "x.nii") is None


@pytest.mark.parametrize("content", ["{}", '{"name": "of another program"}'])
def test_a_dataset_json_without_labels_is_of_another_program(dataset: Path, content: str) -> None:
    (dataset / "labelsTr/dataset.json").write_text(content)
    assert find_dataset_json(dataset / "labelsTr") == f"{dataset}/dataset.json"


@pytest.mark.parametrize("content", ['{"labels": {"a": 1,}}', '{"labels": []}', "[1]", "", "\xff"])
def test_a_dataset_json_that_cannot_be_used_is_an_error(dataset: Path, content: str) -> None:
    (dataset / "labelsTr/dataset.json").write_text(content, "latin-1")
    with pytest.raises(LabelTableError, match=r"^labels: .*labelsTr/dataset\.json"):
        read(labels=find_dataset_json(dataset / "labelsTr"))


def test_tables_of_nnunet_declare_and_others_name(tmp_path: Path, dataset: Path) -> None:
    assert read(labels=dataset / "dataset.json").labels == (0, 1, 2)
    (tmp_path / "first.json").write_text('{"labels": {"5": "liver"}}')
    assert read(labels=str(tmp_path / "first.json")).labels == (0, 5)
    (tmp_path / "names.txt").write_text("1 liver\n1001 cortex\n")
    named = read(labels=tmp_path / "names.txt")
    assert (named.labels, named.names) == (None, {1: "liver", 1001: "cortex"})
    assert read(labels={1: "liver", 1001: "cortex"}) == named
    assert read(labels=LabelTable(named.names, {}, None, "text")) == named
    assert read(labels=tmp_path / "names.txt", num_classes=2).labels == (0, 1)


def test_labels_that_are_declared() -> None:
    assert read(num_classes=3).labels == (0, 1, 2)
    assert read(labels=[3, 0, -1]).labels == (3, 0, -1)
    assert read(labels=range(2)).labels == (0, 1)


def test_regions_and_the_ignored_label_of_nnunet(regions_json: Path) -> None:
    settings = read(labels=regions_json)
    assert settings.labels == (0, 1, 2, 3)
    assert settings.ignore == (4,)
    assert settings.regions == WHOLE
    assert list(settings.regions) == list(WHOLE)
    assert read(labels=regions_json, ignore=2).ignore == (2,)
    assert read(labels=regions_json, ignore=()).ignore == ()
    assert read(labels=regions_json, regions={}).regions == {}
    assert read(labels=regions_json, regions={"a": 3}).regions == {"a": (3,)}


@pytest.mark.parametrize(
    "regions",
    [
        {"whole tumour": [1, 2, 3], "core": (1, 3, 1)},
        "whole tumour=1,2,3;core=1,3",
        " whole tumour = 1, 2 ,+3 ; core=1,3; ",
    ],
)
def test_regions_as_people_give_them(tmp_path: Path, regions: Any) -> None:
    expected = {"whole tumour": (1, 2, 3), "core": (1, 3)}
    assert read(regions=regions).regions == expected
    assert read(regions=regions, num_classes=4).regions == expected
    (tmp_path / "a=1.json").write_text(json.dumps({"whole tumour": [1, 2, 3], "core": [1, 3]}))
    for path in (tmp_path / "a=1.json", str(tmp_path / "a=1.json")):
        assert read(regions=path).regions == expected


def test_regions_of_a_file(tmp_path: Path, regions_json: Path) -> None:
    assert read(regions=regions_json).regions == WHOLE
    named = read(labels={1: "left kidney", 2: "right kidney"}, regions="kidneys=left kidney, right kidney;one=1")
    assert named.regions == {"kidneys": (1, 2), "one": (1,)}
    (tmp_path / "labels.json").write_text('{"labels": [1, 2], "one": 3}')
    assert read(regions=tmp_path / "labels.json").regions == {"labels": (1, 2), "one": (3,)}
    assert read(regions="a=b=1").regions == {"a=b": (1,)}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("core=1", "expected JSON such as"),
        ("{}", "expected at least one region"),
        ('{"labels": {"background": 0, "liver": 1}}', "expected at least one region"),
        ('{"a": [1], "a": [2]}', "expected 'a' once"),
        ('{"a": []}', ": expected at least one label for 'a', found none"),
        ('{"a": [1.5]}', "'a': expected an integer, found 1.5"),
        ('{"a": "12"}', "'a': expected integers, found str"),
        ('{"a": {"b": 1}}', "'a': expected integers, found dict"),
        ('{"a": [true]}', "'a': expected an integer, found True"),
        ('{" ": [1]}', "expected a name for the labels [1], found ' '"),
        ('{"a": [9]}', "expected labels among the declared ones, 0, 1, 2, 3, for 'a'; found [9] too"),
    ],
)
def test_what_is_wrong_with_regions_of_a_file(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "regions.json"
    path.write_text(content)
    with pytest.raises((ValueError, TypeError)) as caught:
        read(regions=path, num_classes=4)
    assert str(caught.value).startswith(f"regions: {path}")
    assert expected in str(caught.value)


def test_metrics() -> None:
    everything = tuple(dict.fromkeys(metric.name for metric in REGISTRY.values()))
    assert read(metrics="all").metrics == read(metrics=["all"]).metrics == everything
    assert read(metrics=" f1, jaccard,dice,").metrics == ("dice", "iou")
    assert read(metrics=["mcc", "recall", "sensitivity"]).metrics == ("matthews_corrcoef", "recall")


def test_prediction_labels_become_a_mapping(tmp_path: Path, dataset: Path) -> None:
    (tmp_path / "theirs.txt").write_text("1 tumour\n2 liver\n3 spleen\n")
    settings = read(labels=dataset / "dataset.json", prediction_labels=tmp_path / "theirs.txt")
    assert settings.map_prediction == {1: 2, 2: 1, 3: MOVED}
    assert settings.names == {0: "background", 1: "liver", 2: "tumour", MOVED: "spleen"}
    assert settings.labels == (0, 1, 2)
    same = read(labels={1: "a", 2: "b"}, prediction_labels={1: "a", 2: "b", 3: "c"})
    assert same.map_prediction == {3: MOVED}
    moved = read(labels={1: "a"}, prediction_labels={1: "b"})
    assert moved.map_prediction.keys() == {1}
    assert moved.names == {1: "a", moved.map_prediction[1]: "b"}


def test_a_code_of_the_prediction_never_stands_for_a_declared_label_without_a_name(regions_json: Path) -> None:
    settings = read(labels=regions_json, prediction_labels={0: "background", 1: "spleen", 3: "enhancing"})
    assert 1 in settings.map_prediction
    assert settings.map_prediction[1] not in (0, 1, 2, 3)


def test_mappings(tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("1 2\n3 -> 3\n")
    assert read(map_prediction=tmp_path / "map.txt").map_prediction == {1: 2}
    assert read(map_prediction={1: 2, 3: 3}).map_prediction == {1: 2}
    assert read(map_prediction="255=1, 7 = 3").map_prediction == {255: 1, 7: 3}
    for wrong in ("255=x", "1=2,1=3"):
        with pytest.raises(LabelTableError, match="^map_prediction: "):
            read(map_prediction=wrong)


def test_other_values_are_kept() -> None:
    given = {
        "convention": "monai", "background": False, "geometry": "warn", "reorient": True, "unknown": "count",
        "missing": "worst", "activation": "softmax", "channel_axis": -1, "resamples": 10, "confidence": 0.9, "seed": 3,
    }  # fmt: skip
    settings = read(axes="ZYX", ignore=[255, 0, 255], **given)
    assert {name: getattr(settings, name) for name in given} == given
    assert (settings.axes, settings.ignore) == ("zyx", (0, 255))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": "no.txt"}, LabelTableError, "labels: no.txt: no such file"),
        ({"labels": {1: 2}}, TypeError, "labels: expected a name for the label 1, found 2"),
        ({"labels": {1: " "}}, TypeError, "labels: expected a name for the label 1, found ' '"),
        ({"labels": {"1": "a"}}, TypeError, "labels: expected an integer, found '1'"),
        ({"labels": [0, 0]}, ValueError, "labels: expected each label once, found [0] more than once"),
        ({"labels": []}, ValueError, "labels: expected 1 to 4096 labels, found 0"),
        ({"labels": [1.5]}, TypeError, "labels: expected an integer, found 1.5"),
        ({"labels": [0], "num_classes": 1}, ValueError, "labels: expected either num_classes or labels, found both"),
        ({"num_classes": 0}, ValueError, "num_classes: expected 1 to 4096, found 0"),
        ({"num_classes": "3"}, TypeError, "num_classes: expected an integer, found '3'"),
        (
            {"labels": {1: "a", 2: "b", 3: "a"}},
            ValueError,
            "labels: expected another name for each label, found 'a' for 1 and 3",
        ),
        (
            {"labels": {1: "0"}, "num_classes": 2},
            ValueError,
            "labels: expected another name for each label, found '0' for 0 and 1",
        ),
        (
            {"prediction_labels": {1: "a"}},
            ValueError,
            "prediction_labels: expected names of the reference's labels too",
        ),
        (
            {"prediction_labels": [1], "labels": {1: "a"}},
            TypeError,
            "prediction_labels: expected names of labels or the path",
        ),
        ({"prediction_labels": "no", "labels": {1: "a"}}, LabelTableError, "prediction_labels: no: no such file"),
        ({"prediction_labels": {1: "a"}, "map_prediction": {1: 2}}, ValueError, "map_prediction: expected either"),
        ({"map_prediction": "no"}, LabelTableError, "map_prediction: no: no such file"),
        (
            {"map_prediction": [1]},
            TypeError,
            "map_prediction: expected a mapping of labels to labels or a path, found [1]",
        ),
        ({"map_prediction": {1: "2"}}, TypeError, "map_prediction: expected an integer, found '2'"),
        ({"regions": "no.json"}, LabelTableError, "regions: no.json: no such file"),
        ({"regions": [1]}, TypeError, "regions: expected a dict, a path or text such as 'core=1,3', found [1]"),
        ({"regions": {"a": []}}, ValueError, "regions: expected at least one label for 'a', found none"),
        ({"regions": {"": [1]}}, TypeError, "regions: expected a name for the labels [1], found ''"),
        ({"regions": {"a": "1"}}, TypeError, "regions: 'a': expected integers, found str"),
        (
            {"regions": {"a": [7, 1]}, "num_classes": 3},
            ValueError,
            "regions: expected labels among the declared ones, 0, 1, 2, for 'a'; found [7] too",
        ),
        ({"regions": "a=1;a=2"}, ValueError, "regions: expected name=1,2,3;name=1,3 with each name once, found 'a=2'"),
        ({"regions": "=1"}, ValueError, "regions: expected name=1,2,3;name=1,3 with each name once, found '=1'"),
        ({"regions": "a=1;b"}, ValueError, "regions: expected name=1,2,3;name=1,3 with each name once, found 'b'"),
        (
            {"regions": "a=1,x"},
            LabelTableError,
            "regions: 'a=1,x', members: expected a label that is a 64-bit integer, found 'x'",
        ),
        (
            {"regions": "a="},
            LabelTableError,
            "regions: 'a=', members: expected a label that is a 64-bit integer, found ''",
        ),
        ({"ignore": 1.5}, TypeError, "ignore_index: expected an integer, found 1.5"),
        ({"ignore": "1"}, TypeError, "ignore_index: expected integers, found str"),
        ({"metrics": "dice,nonsense"}, ValueError, "metrics: expected some of"),
        ({"metrics": ""}, ValueError, "metrics: expected at least one name, found ''"),
        ({"metrics": []}, ValueError, "metrics: expected at least one name, found []"),
        ({"metrics": [1]}, TypeError, "metrics: expected names, in a sequence or separated by commas, found [1]"),
        ({"metrics": 1}, TypeError, "metrics: expected names"),
        ({"convention": "mine"}, ValueError, "convention: expected 'fastseg', "),
        ({"convention": None}, ValueError, "convention: expected "),
        ({"background": 1}, ValueError, "background: expected None, False or True, found 1"),
        ({"geometry": "skip"}, ValueError, "geometry: expected 'error', 'warn' or 'ignore', found 'skip'"),
        ({"reorient": None}, ValueError, "reorient: expected False or True, found None"),
        ({"axes": ""}, ValueError, "axes: expected another letter for each axis, such as 'zyx', found ''"),
        ({"axes": "zz"}, ValueError, "axes: expected another letter for each axis"),
        ({"axes": "z,y"}, ValueError, "axes: expected another letter for each axis"),
        ({"axes": 3}, TypeError, "axes: expected a letter for each axis, such as 'zyx', found 3"),
        ({"unknown": True}, ValueError, "unknown: expected 'raise' or 'count', found True"),
        ({"missing": "worse"}, ValueError, "missing: expected 'error', 'skip' or 'worst', found 'worse'"),
        ({"activation": "relu"}, ValueError, "activation: expected None, 'softmax', 'sigmoid' or 'none', found 'relu'"),
        ({"channel_axis": 0.5}, TypeError, "channel_axis: expected an integer, found 0.5"),
        ({"channel_axis": [1]}, TypeError, "channel_axis: expected an integer, found [1]"),
        ({"resamples": 0}, ValueError, "resamples: expected an integer of at least 1, found 0"),
        ({"resamples": True}, TypeError, "resamples: expected an integer, found True"),
        ({"confidence": 1}, ValueError, "confidence: expected a number between 0 and 1, found 1"),
        ({"confidence": float("nan")}, ValueError, "confidence: expected a number between 0 and 1, found nan"),
        ({"confidence": "0.5"}, TypeError, "confidence: expected a number, found '0.5'"),
        ({"seed": -1}, ValueError, "seed: expected an integer of at least 0, found -1"),
    ],
)
def test_what_is_wrong_is_said_by_name(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        read(**options)
    assert str(caught.value).startswith(message)


def test_equal_names_do_not_matter_where_regions_are_scored() -> None:
    assert read(labels={1: "a", 2: "a"}, regions={"both": [1, 2]}).names == {1: "a", 2: "a"}


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, fastseg.runs.scoring.options; print(sorted({'numba', 'nibabel', 'scipy'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
