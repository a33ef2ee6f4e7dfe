"""Patterns: the id of a case from any part of a path, in subfolders too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.empty_cases import ONE_OF_THEM, find, folder, refused

from fastseg.runs.cases.find import Case, find_cases


def test_the_layout_of_cityscapes(tmp_path: Path) -> None:
    """With the patterns that the guide names."""
    kinds = ("color.png", "instanceIds.png", "labelIds.png", "polygons.json")
    places = ("ulm/ulm_000000_000019", "ulm/ulm_000001_000019", "bonn/bonn_000000_000019")
    references = [f"val/{place}_gtFine_{kind}" for place in places for kind in kinds]
    patterns = (r"(?:.*/)?(?P<case>.+)_gtFine_labelIds\.png", r"(?:.*/)?(?P<case>.+)_leftImg8bit\.png")
    for layout in ("flat", "deep"):
        names = [f"{place}_leftImg8bit.png" for place in places]
        predictions = names if layout == "deep" else [os.path.basename(name) for name in names]
        found = find(tmp_path / layout, references, predictions, pattern=patterns)
        assert [case.id for case in found.cases] == sorted(os.path.basename(place) for place in places)
        for case in found.cases:
            assert case.reference.endswith(f"/{case.id}_gtFine_labelIds.png")
            assert str(case.prediction).endswith(f"/{case.id}_leftImg8bit.png")


def test_a_pattern_matches_whole_paths_and_lists_subfolders(tmp_path: Path) -> None:
    files = [
        "p1/day 1/seg.nii.gz",
        "p2/seg.nii.gz",
        "p2/seg.nii",
        "p2/x_seg.nii.gz",
        ".hidden/seg.nii.gz",
        "seg.nii.gz",
    ]
    found = find(tmp_path, files, ["p1/day 1/seg.nii.gz", "p2/seg.nii.gz"], pattern=r"(?P<case>.*)/seg\.nii\.gz")
    assert [(case.id, case.prediction) for case in found.cases] == [
        (name, f"{tmp_path}/pred/{name}/seg.nii.gz") for name in ("p1/day 1", "p2")
    ]


def test_a_pattern_for_each_folder(tmp_path: Path) -> None:
    references = [
        "val/ulm/ulm_1_gtFine_labelIds.png",
        "val/ulm/ulm_1_gtFine_color.png",
        "val/bonn/bonn_2_gtFine_labelIds.png",
    ]
    predictions = ["ulm_1_leftImg8bit_0000.png", "bonn_2_leftImg8bit.png"]
    patterns = (r".*/(?P<case>.+)_gtFine_labelIds\.png", r"(?P<case>.+)_leftImg8bit(_0000)?\.png")
    found = find(tmp_path, references, predictions, pattern=patterns)
    assert [case.id for case in found.cases] == ["bonn_2", "ulm_1"]
    # One folder for both is one way to lay out files, if the patterns tell them apart.
    both = folder(tmp_path / "both", ["a/gt.png", "a/pred.png", "a/mask.png"])
    found = find_cases(
        both, both, roi=both, pattern=(r"(?P<case>.*)/gt.png", "(?P<case>.*)/pred.png", "(?P<case>.*)/mask.png")
    )
    assert found.cases == (Case("a", f"{both}/a/gt.png", f"{both}/a/pred.png", f"{both}/a/mask.png"),)
    for pattern in ("(?P<case>.*)/gt.png", ["(?P<case>.*)/gt.png"], [r"(?P<case>.*)/gt.png", "(?P<case>.*)/(gt).png"]):
        (case,) = find_cases(both, f"{both}/../both", pattern=pattern).cases
        assert case == Case("a", f"{both}/a/gt.png", f"{both}/../both/a/gt.png", None)


def test_patterns_have_no_rule_for_channels_and_match_names_with_line_ends(tmp_path: Path) -> None:
    found = find(tmp_path, ["a\nb/s.nii"], ["a\nb/s.nii"], pattern="(?P<case>.*)/s.nii")
    assert [case.id for case in found.cases] == ["a\nb"]
    problems = refused(tmp_path / "2", ["a.nii"], ["a_0000.nii"], pattern=r"(?P<case>.*)\.nii")
    assert problems[0] == "a: no prediction"


def test_a_pattern_that_gives_one_id_twice_or_none(tmp_path: Path) -> None:
    problems = refused(
        tmp_path,
        ["x/a.nii", "y/a.nii", "x/b_1.nii"],
        ["a.nii"],
        pattern=r"(.*/)?(?P<case>[ab])(_1)?\.nii",
        missing="worst",
    )
    assert problems == ["reference: gt: expected one file for each case, found for one: x/a.nii, y/a.nii" + ONE_OF_THEM]
    problems = refused(tmp_path / "2", ["a.nii", "b.nii"], ["a.nii"], pattern=r"(?P<case>a)?.*\.nii", missing="worst")
    assert problems == ["reference: gt/b.nii: expected a name for the group 'case' of the pattern, found none"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(.*).nii", "found '(.*).nii': there is no such group"),
        ("(?P<case>.*", r"found '(?P<case>.*': missing ), unterminated subpattern at position 0"),
        (["(?P<case>.*)", "(?P<id>.*)"], "found '(?P<id>.*)': there is no such group"),
        ([], "expected one to three regular expressions, found 0"),
        (["(?P<case>.*)"] * 4, "expected one to three regular expressions, found 4"),
    ],
)
def test_patterns_that_are_none(tmp_path: Path, pattern: object, expected: str) -> None:
    with pytest.raises(ValueError, match="^pattern: expected ") as caught:  # and nothing is said of cases
        find_cases(tmp_path, tmp_path, pattern=pattern)
    assert str(caught.value).endswith(expected)


def test_a_pattern_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="pattern: expected one to three regular expressions as str, found 1"):
        find(tmp_path, ["a.nii"], ["a.nii"], pattern=[1])
