"""Gates: what they say, when a run passes them, and the JUnit file that a CI server reads."""

from __future__ import annotations

import csv
import io
import math
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from fastseg import count_labels
from fastseg.runs import CaseRecord, Run, Settings
from fastseg.runs.outputs.csv_tables import classes_csv
from fastseg.runs.results.gates import (
    Gate,
    _told_apart as told_apart,
    check_classes,
    check_gates,
    junit_xml,
    parse_gate,
)


def record(name: str, true: list[int], pred: list[int]) -> CaseRecord:
    counts = count_labels(np.array(true), np.array(pred), labels=[0, 1, 2, 3])
    return CaseRecord.with_counts(counts, id=name, status="scored", reference=name, prediction=name)


RECORDS = (record("a", [0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 0, 2]), record("b", [0, 1, 2, 2], [0, 1, 2, 0]))
NAMES = {1: "liver", 2: "left: kidney"}
FAILED = CaseRecord("c\x00\ud800", "failed", "c", "c", reason="bad <gzip>\x1b")
MISSING = CaseRecord("d", "missing", "d", None)


def run(*more: CaseRecord, **settings: Any) -> Run:
    return Run(Settings(**{"labels": (0, 1, 2, 3), "names": NAMES, **settings}), (*RECORDS, *more))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dice=0.8", ("dice", None, 0.8, True)),
        (" dice >= .8 ", ("dice", None, 0.8, True)),
        ("liver:dice=0.9", ("dice", "liver", 0.9, True)),
        ("(1, 2):iou=1", ("iou", "(1, 2)", 1.0, True)),
        ("left: kidney:f1>=0", ("f1", "left: kidney", 0.0, True)),
        ("a=b<=c:dice=0.5", ("dice", "a=b<=c", 0.5, True)),
        ("false_positive_rate=0.1", ("false_positive_rate", None, 0.1, False)),
        ("1:miss_rate<=1e-3", ("miss_rate", "1", 0.001, False)),
        ("cohen_kappa=-0.5", ("cohen_kappa", None, -0.5, True)),
        ("Dice=0.8", ("dice", None, 0.8, True)),
        ("Liver:IoU=0.8", ("iou", "Liver", 0.8, True)),
        ("1+2:F1=0.8", ("f1", "1+2", 0.8, True)),
    ],
)
def test_what_a_gate_says(text: str, expected: tuple[Any, ...]) -> None:
    assert parse_gate(text) == Gate(text, *expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected METRIC=NUMBER or CLASS:METRIC=NUMBER, found ''"),
        ("dice", "expected METRIC=NUMBER"),
        ("dice>0.5", "expected METRIC=NUMBER"),
        ("=0.5", "found '' in"),
        ("liver:=0.5", "found '' in"),
        (":dice=0.5", "expected a class before the colon"),
        ("dise=0.5", "expected one of the metrics accuracy, .*found 'dise'"),
        ("Dise=0.5", "found 'Dise' in 'Dise=0.5'"),
        ("dice==0.5", "found 'dice='"),
        ("dice=", "expected a number from 0 to 1, found ''"),
        ("dice=80", "expected a number from 0 to 1, found '80'"),
        ("dice=nan", "found 'nan'"),
        ("dice=0,8", "found '0,8'"),
        ("false_positive_rate=-1", "found '-1'"),
        ("dice<=0.5", "higher values of dice are better; expected >=, found"),
        ("false_positive_rate>=0.5", "lower values of false_positive_rate are better; expected <=, found"),
        ("relative_volume_difference=0.1", "neither higher nor lower values are better"),
        ("prevalence=0.1", "neither higher nor lower values are better"),
        ("liver:accuracy=0.9", "one number for all classes; expected no class"),
    ],
)
def test_what_is_no_gate(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^gate: .*{message}"):
        parse_gate(text)


def check(run: Run, text: str) -> tuple[bool, str]:
    (result,) = check_gates(run, [parse_gate(text)])
    assert type(result.passed) is bool
    return result.passed, result.message


def test_the_runs_one_number_and_those_of_classes() -> None:
    mean = run().mean("dice")
    assert check(run(), f"dice={mean!r}") == (True, f"dice is {mean:.6g}, expected at least {mean:.6g}")
    above = float(np.nextafter(mean, 1))
    assert check(run(), f"dice={above!r}")[0] is False
    liver, kidney = run().class_values("dice")[1:3].tolist()
    for name in ("liver", "1", " 1 "):
        assert check(run(), f"{name}:dice={liver!r}")[0]
        assert not check(run(), f"{name}:dice={float(np.nextafter(liver, 1))!r}")[0]
    assert check(run(), f"left: kidney:dice={kidney!r}")[0]
    rate = run().mean("false_negative_rate")
    assert check(run(), f"miss_rate={rate!r}") == (True, f"miss_rate is {rate:.6g}, expected at most {rate:.6g}")
    assert not check(run(), f"miss_rate={float(np.nextafter(rate, 0))!r}")[0]
    assert check(run(), f"accuracy={run().mean('accuracy')!r}")[0]
    assert not check(run(), "accuracy=1")[0]


def test_the_convention_decides() -> None:
    assert math.isnan(run(convention="nnunet").mean("dice"))  # nobody has class 3
    passed, message = check(run(convention="nnunet"), "dice=0")
    assert (passed, message) == (False, "dice is undefined under convention nnunet; expected at least 0")


def test_an_undefined_number_passes_no_gate() -> None:
    assert check(run(), "3:dice=0") == (False, "dice of 3 is undefined under convention fastseg; expected at least 0")
    assert check(run(), "3:miss_rate=1")[0] is False


def test_a_run_without_cases_passes_no_gate() -> None:
    for nothing in (Run(Settings(), ()), Run(Settings(convention="monai"), (FAILED, MISSING))):
        assert check(nothing, "dice=0") == (False, "dice: no case was scored; expected at least 0")
        assert check(nothing, "liver:dice=0") == (False, "dice of liver: no case was scored; expected at least 0")


def test_a_class_that_is_not_there() -> None:
    expected = "there is no class 'spleen'; expected one of: 0, liver (1), left: kidney (2), 3"
    assert check(run(), "spleen:dice=0") == (False, expected)
    regions = run(regions={"whole": (1, 2), "core": (2,)})
    value = float(regions.class_values("dice")[0])
    for name in ("whole", "(1, 2)", "(1,2)", "1+2", "1 + 2"):
        assert check(regions, f"{name}:dice={value!r}")[0]
    assert check(regions, "2:dice=0")[0]
    assert check(regions, "1:dice=0")[1] == "there is no class '1'; expected one of: whole (1+2), core (2)"


def test_names_of_several_classes_and_names_like_labels() -> None:
    twins = run(names={1: "kidney", 2: "kidney"})
    assert check(twins, "kidney:dice=0") == (False, "'kidney' is the name of 2 classes; expected a label")
    assert check(twins, "1:dice=0")[0]
    crossed = run(names={1: "2", 2: "1"})  # a name goes before a label
    (result,) = check_gates(crossed, [parse_gate("2:specificity=0")])
    assert result.value == crossed.class_values("specificity")[1] != crossed.class_values("specificity")[2]


def test_a_name_that_is_the_label_of_another_class_without_a_name() -> None:
    both = run(names={1: "2"}, labels=None)
    expected = "'2' is a label, and the name of 1 too; expected 1, or a name that 2 is given"
    assert check(both, "2:dice=0") == (False, expected)
    assert check(both, "1:dice=0")[0]
    assert {(row["class"], row["label"]) for row in csv.DictReader(io.StringIO(classes_csv(both).decode()))} >= {
        ("2", "1"), ("2", "2"),
    }  # fmt: skip
    with pytest.raises(ValueError, match="^gate: '2' is a label, and the name of 1 too"):
        check_classes([parse_gate("2:dice=0")], run(names={1: "2"}).settings)


@pytest.mark.parametrize(
    ("value", "bound", "texts"),
    [
        (0.7999999, 0.8, ("0.7999999", "0.8")), (2 / 3, 0.5, ("0.666667", "0.5")), (0.8, 0.8, ("0.8", "0.8")),
        (float(np.nextafter(0.8, 0)), 0.8, ("0.7999999999999999", "0.8")),
        (float(np.nextafter(0.3, 1)), 0.3, ("0.30000000000000004", "0.3")),
        (float(np.nextafter(0.3, 1)), 0.3000000000000003, ("0.30000000000000004", "0.3000000000000003")),
    ],
)  # fmt: skip
def test_numbers_that_differ_do_not_read_alike(value: float, bound: float, texts: tuple[str, str]) -> None:
    assert told_apart(value, bound) == texts


def test_classes_are_checked_before_anything_is_scored() -> None:
    def checked(name: str, **settings: Any) -> None:
        check_classes([parse_gate("dice=0.5"), parse_gate(f"{name}:dice=0.5")], Settings(**settings))

    declared = {"labels": (0, 1, 2), "names": NAMES}
    for name in ("liver", "1", "0", "left: kidney"):
        checked(name, **declared)
    for name in ("whole", "1+2", "(1, 2)"):
        checked(name, regions={"whole": (1, 2)})
    for name in ("liver", "7", "-1"):
        checked(name, names=NAMES)
    with pytest.raises(ValueError, match="no class '255'; expected a label; found"):
        checked("255", ignore=(255,))
    with pytest.raises(ValueError, match="no class 'livr'"):
        check_classes([parse_gate("7:dice=0.5"), parse_gate("livr:dice=0.5")], Settings())
    with pytest.raises(
        ValueError, match=r"^gate: there is no class 'livr'; expected one of: 0, .*found 'livr:dice=0.5'"
    ):
        checked("livr", **declared)
    with pytest.raises(ValueError, match="there is no class '3'"):
        checked("3", **declared)
    with pytest.raises(ValueError, match=r"there is no class '1'; expected one of: whole \(1\+2\)"):
        checked("1", regions={"whole": (1, 2)}, names=NAMES)
    with pytest.raises(
        ValueError, match=r"no class 'livr'; expected a label or one of: liver \(1\), left: kidney \(2\);"
    ):
        checked("livr", names=NAMES)
    with pytest.raises(ValueError, match="no class 'livr'; expected a label; found"):
        checked("livr")


def test_failed_and_missing_cases_fail_no_gate() -> None:
    assert check(run(FAILED, MISSING), "dice=0.1")[0]


def test_junit() -> None:
    scored = run(FAILED, MISSING)
    results = check_gates(scored, [parse_gate(text) for text in ("dice=0.1", "liver:dice=1", "3:dice=0.5")])
    data = junit_xml(scored, results, suite="my <suite>\x00")
    assert data == junit_xml(scored, results, suite="my <suite>\x00")
    assert data.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n<testsuites ")
    assert data.endswith(b"</testsuites>\n")
    assert b"\n  <testsuite " in data
    root = ElementTree.fromstring(data)
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == ["my <suite>\ufffd.gates", "my <suite>\ufffd.cases"]
    counts = [[suite.get(name) for name in ("tests", "failures", "errors", "skipped")] for suite in (root, *root)]
    assert counts == [["5", "2", "2", "0"], ["3", "2", "0", "0"], ["2", "0", "2", "0"]]
    gates, cases = root
    assert [case.get("name") for case in gates] == ["dice=0.1", "liver:dice=1", "3:dice=0.5"]
    assert [len(case) for case in gates] == [0, 1, 1]
    assert gates[1][0].get("message") == gates[1][0].text == results[1].message
    assert [case.get("name") for case in cases] == ["c\ufffd\ufffd", "d"]
    assert cases[0][0].tag == "error"
    assert cases[0][0].get("message") == "bad <gzip>\ufffd"
    assert cases[1][0].get("message") == "no prediction"


def test_junit_of_missing_predictions_that_are_skipped_or_scored() -> None:
    skipped = ElementTree.fromstring(junit_xml(run(MISSING, missing="skip"), []))
    assert [skipped.get(name) for name in ("tests", "errors", "skipped")] == ["1", "0", "1"]
    counts = count_labels([0, 1], [9, 9], labels=[0, 1, 2, 3], unknown="count")
    worst = CaseRecord.with_counts(counts, id="d", status="missing", reference="d", prediction=None)
    assert ElementTree.fromstring(junit_xml(run(worst, missing="worst"), [])).get("tests") == "0"


def test_junit_of_nothing() -> None:
    root = ElementTree.fromstring(junit_xml(Run(Settings(), ()), []))
    assert [suite.get("tests") for suite in (root, *root)] == ["0", "0", "0"]
