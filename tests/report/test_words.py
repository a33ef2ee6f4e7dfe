"""Settings, facts and gates in words."""

from __future__ import annotations

import math

import pytest
from support.reports import checked, phantom, run_of

from fastseg.report import origin
from fastseg.runs import Settings

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


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
