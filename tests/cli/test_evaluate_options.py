"""What `fastseg evaluate --help` says: every option, once, below a heading; and what metrics are asked for together."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import pytest
from support.command_line import call

from fastseg.cli import cli
from fastseg.cli.evaluate_options import GROUPS
from fastseg.cli.instances import INSTANCE_OPTIONS
from fastseg.metrics.registry import all_metrics

OPTIONS = [each for each in cli.commands["evaluate"].params if isinstance(each, click.Option)]
HEADINGS = [*GROUPS, "Instances", "Help"]


def headings(text: str) -> dict[str, list[str]]:
    """Return the options that stand below each heading, in order and as often as they do."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if (title := line.removesuffix(":")) in HEADINGS and line.endswith(":"):
            assert title not in found
            found[title] = []
        elif found and (option := re.match(r"  (-\S.*?)(?:  |$)", line)):
            found[[*found][-1]] += re.findall(r"--[\w-]+", option[1])
    return found


def test_each_option_stands_once_below_a_heading(capsys: Any, monkeypatch: Any) -> None:
    code, out, _ = call(capsys, monkeypatch, "evaluate", "--help")
    assert code == 0
    found = headings(out)
    assert [*found] == HEADINGS
    assert found["Help"] == ["--help"]
    assert sorted(found["Instances"]) == sorted(f"--{name.replace('_', '-')}" for name in INSTANCE_OPTIONS)
    shown = sorted(name for names in found.values() for name in names)
    there = [name for each in OPTIONS for name in (*each.opts, *each.secondary_opts) if name.startswith("--")]
    assert shown == sorted([*there, "--help"])
    assert len(set(shown)) == len(shown) > 30


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.opts[-1])
def test_each_says_what_happens_without_it(option: click.Option) -> None:
    record = option.get_help_record(click.Context(cli.commands["evaluate"]))
    assert record is not None
    assert "default" in record[1]


@pytest.mark.parametrize("metrics", ["all,hd95", "hd95,all"])
def test_all_and_others(pair: Any, capsys: Any, monkeypatch: Any, metrics: str) -> None:
    arguments = ["evaluate", *pair, "--metrics", metrics]
    code, out, err = call(capsys, monkeypatch, *arguments)
    assert code == 0
    assert err == ""
    titles = [line.split() for line in out.splitlines() if line.startswith("class ")]
    assert len(titles) > 1  # so many columns are blocks below one another, so that hd95 may be in the last
    assert sum("hd95" in line for line in titles) == 1
    found = json.loads(call(capsys, monkeypatch, *arguments, "--json", "-")[1])
    assert {*found["mean"], *found["overall"]} == {*all_metrics(), "hd95"}
    assert found["classes"]["1"]["hd95"] >= 0
