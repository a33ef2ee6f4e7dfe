"""The colours of labels: distinct for everybody, and always the same."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.palette import CONTRAST, FROM_ERRORS, FROM_GREYS, GREYS, PANELS, WRONG, contrast, distances, palette

from fastseg.report import pictures, write_report
from fastseg.report.colours import COLOURS
from fastseg.runs import evaluate_folder

#: FreeSurfer's labels: parts of the brain, and the cortex of either side.
FREESURFER = [*range(2, 86), *range(1001, 1036), *range(2001, 2036)]


@pytest.fixture(scope="module")
def apart() -> Any:
    """How far apart the colours lie in Oklab, times 100, as each kind of people sees them; none from itself."""
    found = distances(COLOURS, COLOURS)
    found[:, range(256), range(256)] = np.inf
    return found


@pytest.mark.slow
def test_the_colours_are_what_the_script_makes() -> None:
    assert palette() == COLOURS, "run tests/support/palette.py, and put what it prints into fastseg/report/colours.py"
    assert len(set(COLOURS)) == 256
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in COLOURS)


# As the docstring of fastseg.report.colours has them; about 2 is just noticed.
@pytest.mark.parametrize(
    ("first", "most", "colour_blind"),
    [(8, 18, 8.7), (16, 12.5, 6.2), (32, 8.5, 4.3), (64, 5.5, 2.9), (128, 3.9, 1.9), (256, 2.7, 1.3)],
)
def test_the_first_colours_are_the_farthest_apart(apart: Any, first: int, most: float, colour_blind: float) -> None:
    among = apart[:, :first, :first].min((1, 2))
    assert among[0] > most
    assert among[1:].min() > colour_blind


def test_labels_beside_each_other_differ_more(apart: Any) -> None:
    near = np.array([apart[:, place, place + 1 : place + 9].min(1) for place in range(255)]).min(0)
    assert near[0] > 5.8
    assert near[1:].min() > 2.9


def test_no_colour_is_that_of_something_else() -> None:
    for others, (most, anybody) in ((WRONG, FROM_ERRORS), (GREYS, FROM_GREYS)):
        away = distances(COLOURS, others).min((1, 2))
        assert away[0] > most
        assert away.min() > anybody


def test_all_colours_are_seen_on_the_page() -> None:
    style = resources.files("fastseg.report").joinpath("report.css").read_text("utf-8")
    backs = re.findall("--(?:panel|back): (#[0-9a-f]{6})", style)
    assert {*PANELS} < {*backs}
    assert contrast(COLOURS, backs).min() > CONTRAST
    assert distances(COLOURS, backs).min() > 8.5


def test_a_label_has_one_colour_whatever_others_there_are() -> None:
    every = pictures.class_colours(range(1, 257))
    assert [*every.values()] == [*COLOURS]
    assert pictures.class_colours([200, 3, -7, 10**12]).items() >= {3: COLOURS[2], 200: COLOURS[199]}.items()
    assert [*pictures.class_colours([200, 3, -7])] == [200, 3, -7]
    assert pictures.class_colours([]) == {}


@pytest.mark.parametrize(
    ("label", "place"), [(257, 0), (512, 255), (-1, 254), (-255, 0), (2**63, 255), (-(2**63), 255)]
)
def test_labels_beyond_the_colours_begin_again(label: int, place: int) -> None:
    assert pictures.class_colour(label) == COLOURS[place]
    assert pictures.class_colours([label]) == {label: COLOURS[place]}


def test_labels_that_would_share_a_colour_do_not() -> None:
    colours = pictures.class_colours(FREESURFER)
    assert len(set(colours.values())) == len(FREESURFER)
    assert pictures.class_colours(FREESURFER[::-1]) == colours
    assert pictures.class_colours([257, 1, 513, 2]) == dict(
        zip([257, 1, 513, 2], [COLOURS[place] for place in (2, 0, 3, 1)], strict=True)
    )
    assert pictures.class_colours([256, 512]) == {256: COLOURS[255], 512: COLOURS[0]}


def test_of_more_labels_than_colours_each_has_one() -> None:
    colours = pictures.class_colours(range(-300, 700))
    assert len(colours) == 1000
    assert set(colours.values()) == set(COLOURS)
    assert colours[700 - 1] == COLOURS[(700 - 2) % 256]


def test_a_class_has_one_colour_on_all_pages(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    found = []
    for labels in ([5, 19], range(1, 21)):
        folder = tmp_path / str(len(labels))
        volume = np.repeat(np.array(labels, np.uint8), 4).reshape(1, 2, -1)
        for kind in ("references", "predictions"):
            (folder / kind).mkdir(parents=True)
            np.save(folder / kind / "case.npy", volume)
        evaluate_folder(folder / "references", folder / "predictions", folder / "results", metrics="dice")
        page = write_report(folder / "results").read_text("utf-8")
        legend = page[page.index('aria-label="Classes"') :].partition("</ul>")[0]
        found.append({int(name): fill for fill, name in re.findall(r'fill="(#\w+)".*?<bdi>(\d+)</bdi>', legend)})
    few, many = found
    assert few == {label: COLOURS[label - 1] for label in (5, 19)}
    assert many == {label: COLOURS[label - 1] for label in range(1, 21)}
