"""What the package can do stands on the page where one looks for it: names, options, formats, conventions, figures."""

from __future__ import annotations

import ast
import inspect
import math
import os
import re
import sys
from pathlib import Path

import click
import pytest
from support.pages import DOCS, MADE, ROOT, pages
from support.volumes_on_disk import write
from tables import excerpt

import fastseg
from fastseg import adapters, losses, patch, phantom
from fastseg.adapters.hosts import HOSTS
from fastseg.cli import cli
from fastseg.metrics import REGISTRY, overlap, parts, surfaces
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.instances import INSTANCE_CONVENTIONS
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pairs import PAIR_METRICS
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS, Empty
from fastseg.phantom import phantom_pair
from fastseg.volumes.open import _formats

REFERENCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "reference").glob("*.rst")))


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of a page's tables by their first."""
    lines = [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


def documented() -> set[str]:
    """Return the names that the reference has: in its tables of contents, or written on a page."""
    listed = re.findall(r"^ {3}(fastseg\.[\w.]+)$", REFERENCE, re.MULTILINE)
    written = re.findall(
        r"^\.\. auto(?:class|data|exception|function|module):: (fastseg[\w.]*)$", REFERENCE, re.MULTILINE
    )
    return {*listed, *written}


def test_the_reference_has_every_public_name() -> None:
    names = {f"fastseg.{name}" for name in dir(fastseg) if name not in ("__version__", "losses")}
    names |= {
        f"fastseg.metrics.{name}"
        for name in ("REGISTRY", "Metric", "get", *overlap.__all__, *parts.__all__, *surfaces.__all__)
    }
    names |= {f"fastseg.losses.{name}" for name in dir(losses) if name.endswith("_with_gradient")}
    names |= {f"fastseg.phantom.{name}" for name in phantom.__all__}
    names |= {f"fastseg.adapters.{name}" for name in adapters.__all__}
    names |= {f"fastseg.patch.{name}" for name in patch.__all__} - {
        "fastseg.patch.undo",
        "fastseg.patch.status",
    }  # methods
    assert documented() >= names
    for name in documented():  # and none that is not there
        module, _, last = name.rpartition(".")
        assert hasattr(sys.modules[module] if module else fastseg, last) or name == "fastseg", name


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_a_guide_says_what_each_option_is_for(command: str) -> None:
    guide = "\n".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "guide").glob("*.md")))
    assert f"fastseg {command}" in guide
    for parameter in cli.commands[command].params:
        if isinstance(parameter, click.Option):
            options = [*parameter.opts, *parameter.secondary_opts]
            assert any(re.search(rf"(?<![\w-]){option}(?![\w-])", guide) for option in options), options


def test_the_readme_has_every_public_name() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("\n## Every name\n")[2].partition("\n## ")[0]
    names = set(re.findall(r"`(\w+)`", table.partition("| --- |")[2].partition("\n\n")[0]))
    assert names - {"fastseg"} == {name for name in dir(fastseg) if name != "__version__"}


def test_every_format_stands_in_the_table_with_its_suffixes_and_what_it_needs() -> None:
    text = page("guide/files.md")
    table = text[text.index("## Formats") :].partition("\n### ")[0]
    for each in _formats():
        for suffix in each.suffixes:
            assert f"`{suffix}`" in table, suffix
    extras = re.search(
        r"^formats = \[\"fastseg-metrics\[(.*)\]\"\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert extras is not None
    for extra in (*extras[1].split(","), "cli"):
        assert f"| `{extra}` |" in table, extra


def test_every_convention_stands_in_the_table_as_it_is() -> None:
    table = rows(page("guide/conventions.md").partition("\n## Surfaces\n")[0])
    assert CONVENTIONS.keys() <= table.keys()
    words = {"classes": "classes, of", "cases": "cases, of", "values": "all values"}
    for name, convention in CONVENTIONS.items():
        neither, only_prediction, mean_over, background = table[name]
        assert background == ("yes" if convention.background else "no")
        assert mean_over.startswith(words[convention.mean_over])
        assert ("summed over all cases" in mean_over) == convention.pooled
        assert ("undefined, so is the mean" in mean_over) == convention.strict
        assert only_prediction.startswith("left out" if convention.left_out == "without truth" else "0")
        assert neither == "left out"


def test_every_convention_of_surfaces_stands_in_the_table_as_it_is() -> None:
    table = rows(page("guide/conventions.md").partition("\n## Surfaces\n")[2])
    assert table.keys() - {"convention=", "---"} == SURFACE_CONVENTIONS.keys()
    words = {math.inf: "∞", 0.0: "0", 1.0: "1", 373.0: "373"}
    columns = ("hausdorff_distance", "hd95", "average_symmetric_surface_distance", "normalized_surface_dice")
    for name, convention in SURFACE_CONVENTIONS.items():
        elements, hd95, assd, nsd, one, both = table[name]
        assert ("surfels" in elements) == any("surfel" in convention.surfaces_for(metric) for metric in columns) or (
            name == "fastseg"
        )
        assert ("edge" in elements) == (convention.border == "extend")
        if hd95 != "—":
            own = convention.options.get("hd95", {})
            assert ("pooled" if own.get("combine") == "pooled" else "larger") in hd95
            assert own.get("interpolation", "linear") in hd95
        for metric, said in zip(columns[2:], (assd, nsd), strict=True):
            if metric in convention.verified:
                assert said.startswith("mean" if convention.options.get(metric) == {"combine": "mean"} else "pooled")
        for said, side in ((one, "one"), (both, "both")):
            if said in ("it raises", "it breaks off"):
                assert all(math.isnan(getattr(convention.empty[metric], side)) for metric in columns)
                continue
            cells = said.split(", ") if ", " in said else [said] * 4
            for metric, cell in zip(columns, cells, strict=True):
                default = Empty(0.0 if metric == columns[3] else math.inf, math.nan)
                value = getattr(convention.empty.get(metric, default), side)
                assert cell == "—" or cell == words.get(value, "undefined"), (name, metric, side)


def test_every_convention_and_option_of_instances_stands_in_the_guide() -> None:
    text = page("guide/instances.md")
    for name in INSTANCE_CONVENTIONS:
        assert re.search(rf"^\|.*`{name}`", text, re.MULTILINE), name
    for name in inspect.signature(fastseg.match_instances).parameters:
        assert re.search(rf"\b{name}\b", text), name


def test_every_convention_of_partitions_stands_in_the_table() -> None:
    names = {name.partition("`")[0] for name in rows(page("guide/partitions.md"))}
    assert PAIR_CONVENTIONS.keys() <= names
    written = REFERENCE + page("guide/partitions.md")
    assert not [name for name in PAIR_METRICS if name not in written]


def test_every_host_stands_in_the_table_with_the_versions_that_were_tested() -> None:
    table = rows(page("guide/drop_ins.md"))
    for name, host in HOSTS.items():
        for version in host.tested:
            assert version in table[name][0], name
    assert "huggingface" in table
    assert table.keys() >= {f'"{name}"' for name in patch.hosts.PATCHED}


def test_every_option_of_the_functions_has_a_row() -> None:
    table = page("guide/label_maps.md")
    for name in ("average", "zero_division", "include_background", "ignore_index", "unknown", "mask", "sample_weight"):
        assert f"| `{name}" in table, name
    overall = {metric.name for metric in REGISTRY.values() if metric.overall is not None}
    assert set(re.findall(r"`(\w+)`", next(cell for cell in rows(table) if cell.startswith("accuracy")))) <= overall


def test_every_setting_of_the_environment_is_said() -> None:
    said = "\n".join(path.read_text(encoding="utf-8") for path in pages())
    for path in (ROOT / "fastseg").rglob("*.py"):
        for name in set(re.findall(r"\bFASTSEG_[A-Z_]+", path.read_text(encoding="utf-8"))):
            assert name in said, name


def test_the_files_of_a_run_are_those_of_the_table(tmp_path: Path) -> None:
    for folder, labels in zip(("true", "pred"), phantom_pair((8, 8, 8), 3, foreground=0.3), strict=True):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "case.nii.gz", labels)
    fastseg.evaluate_folder(tmp_path / "true", tmp_path / "pred", tmp_path / "results")
    table = rows(page("guide/folders.md"))
    assert {name for name in os.listdir(tmp_path / "results") if not name.startswith(".")} == {
        name for name in table if "." in name
    }


def test_the_readme_is_short_and_its_figures_are_those_of_the_page() -> None:
    readme, figures = (ROOT / "README.md").read_text(encoding="utf-8"), page("benchmarks/figures.md")
    assert len(readme.splitlines()) <= 180
    assert excerpt(readme, figures) == readme
    speed = re.search(r"counted at (0\.\d+) of the speed", readme)
    assert speed is not None
    assert f"| phantom 512³, uint8, K=14 | {speed[1]}×" in figures


def test_a_page_of_figures_names_its_machine() -> None:
    for name in ("figures", "shapes"):
        assert re.search(
            r"^Machine: .*\d threads of \d+ processors.*Python 3", page(f"benchmarks/{name}.md"), re.MULTILINE
        )


def test_every_page_written_by_hand_is_in_a_table_of_contents() -> None:
    for path in pages():
        if path.is_relative_to(DOCS) and path != DOCS / "index.md":
            above = path.parent if path.name != "index.md" else path.parent.parent
            listed = path.stem if path.name != "index.md" else f"{path.parent.name}/index"
            indexes = [
                each.read_text(encoding="utf-8") for each in (above / "index.md", DOCS / "index.md") if each.exists()
            ]
            if above == DOCS / "metrics":  # whose table a build makes
                indexes.append(
                    "\n".join(re.findall(r'"(\w+)", \*\(name for', (DOCS / "ext/metric_pages.py").read_text()))
                )
            assert any(re.search(rf"^(?:\w+/)?{listed}$", text, re.MULTILINE) for text in indexes), path


def test_links_of_pages_lead_to_files_that_are_there() -> None:
    """Those to pages that a build makes are checked by it, but for the README's, which is read without one."""
    for path in pages():
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            found = (path.parent / target).resolve()
            made = path.is_relative_to(DOCS) and found.relative_to(DOCS).as_posix().startswith(MADE)
            assert made or found.exists(), (path, target)


def test_the_extensions_are_documented_and_typed() -> None:
    for path in (DOCS / "ext").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert node.returns is not None, f"{path.name}: {node.name}"
