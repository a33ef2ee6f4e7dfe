"""Cases: what belongs together is found whatever it is called, and everything that is wrong is said at once."""

from __future__ import annotations

import json
import os
import pickle
import socket
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg import volumes
from fastseg.names import shown
from fastseg.runs.cases import Case, Cases, CasesError, find_cases
from fastseg.volumes.base import Format

#: Formats beside those that there are: what the rules say does not hang on which libraries the package reads by.
FORMATS = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz", ".png", ".npz", ".mhd", ".zarr")


#: What messages about several files of one case end in.
ONE_OF_THEM = "; a pattern (--pattern) that only one of them matches tells which it is"


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Format("any", FORMATS, lambda _: False, volumes.Volume)  # type: ignore[arg-type]
    monkeypatch.setattr(volumes, "_formats", lambda: (entry,))
    monkeypatch.setattr(volumes, "_suffixes", volumes._suffixes.__wrapped__)


def folder(path: Path, names: Iterable[str | bytes]) -> str:
    """Write empty files, folders where a name ends in a slash, and return the folder's path."""
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        target = os.path.join(os.fsencode(path), os.fsencode(name))
        if target.endswith(b"/"):
            os.makedirs(target)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            open(target, "wb").close()
    return str(path)


def find(tmp_path: Path, references: Iterable[str], predictions: Iterable[str], **options: object) -> Cases:
    return find_cases(folder(tmp_path / "gt", references), folder(tmp_path / "pred", predictions), **options)  # type: ignore[arg-type]


def refused(tmp_path: Path, references: Iterable[str], predictions: Iterable[str], **options: object) -> list[str]:
    """Return the problems, without the test's folder."""
    with pytest.raises(CasesError) as caught:
        find(tmp_path, references, predictions, **options)
    return plain(caught.value, tmp_path)


def plain(error: CasesError, tmp_path: Path) -> list[str]:
    lines = str(error).split("\n")
    assert [line.strip() for line in lines[1:]] == error.problems
    assert lines[0] == f"the cases: {len(error.problems)} problem{'s'[: len(error.problems) != 1]}"
    assert all(line.isprintable() for line in error.problems)
    return [line.replace(f"{tmp_path}/", "") for line in error.problems]


def test_files_pair_by_their_stems_and_all_else_is_ignored(tmp_path: Path) -> None:
    names = ["b.nii.gz", "a.NII", "dataset.json", "plans.json", "notes.txt", "x.csv", "x.pkl", "x.npz.tmp"]
    found = find(
        tmp_path,
        [*names, ".b.nii.gz", "._a.nii", "deep/c.nii.gz", ".nii"],
        ["a.nii.gz", "b.png", "a.pkl", "summary.json", ".DS_Store", "._b.png"],
    )
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    assert found.extra == ()
    assert found.cases == (
        Case("a", f"{gt}/a.NII", f"{pred}/a.nii.gz", None),
        Case("b", f"{gt}/b.nii.gz", f"{pred}/b.png", None),
    )


def test_folders_may_be_paths_of_any_kind_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "gt", ["a.nii"]), folder(tmp_path / "pred", ["a.nii"])
    monkeypatch.chdir(tmp_path)
    expected = (Case("a", "gt/a.nii", "pred/a.nii", None),)
    assert find_cases(Path("gt"), b"pred").cases == expected  # type: ignore[arg-type]
    assert find_cases("gt/", "pred").cases == expected


NASTY = [
    "\n", "\t", "\r", "\x1b[31m", "\x7f", '"', "'", "<script>alert(1)</script>".replace("/", "\u2215"), "=1+1",
    "-rf", " ", "  ", "\u202e", "\u200f", "\u200b", "\u00a0", "💀", "👩‍⚕️", "é", "e\u0301", "ß", "日本語", "한국어",
    "%s", "{0}", "\\", "\\n", "`id`", "$HOME", ";", "|", "&", "*", "?", "[a]", "#", "~", "@", "+", ",", ":",
    "::", "::inside", "!", "(", "..", ".nii", ".gz", ".nii.gz", "_0000", "0000", "\ufeff", "\u2028", "\x85",
    "\udcff", "caf\udce9", "İ", "\u0130\u0307", "ǆ", "\x01", "NUL", "CON", "None", "nan",
]  # fmt: skip
HOSTILE = sorted(
    {name for nasty in NASTY for name in (f"case{nasty}", f"{nasty}case", f"ca{nasty}se", f"{nasty}{nasty}x")}
    | {"x" * 248, "é" * 124, "💀" * 62}
)


def composed(name: str) -> str:
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return key.encode("utf-8", "backslashreplace").decode()


def test_hostile_names_pair_exactly(tmp_path: Path) -> None:
    once: dict[str, str] = {}
    for name in HOSTILE:
        if not name.startswith("."):
            once.setdefault(composed(name), name)
    names = list(once.values())
    assert len(names) >= 200
    # A prediction called another one's id and _0000 has to stay with the reference that is called so.
    found = find(tmp_path, [f"{name}.nii.gz" for name in names], [f"{name}.nii" for name in names])
    assert len(found.cases) == len(names)
    for case in found.cases:
        assert case.prediction is not None
        stem = os.path.basename(case.reference).removesuffix(".nii.gz")
        assert stem == os.path.basename(case.prediction).removesuffix(".nii")
        assert os.path.isfile(case.reference)
        assert os.path.isfile(case.prediction)
        assert case.id == stem or "\udcff" in stem or "\udce9" in stem
        assert json.loads(json.dumps(case.id)) == case.id
        assert case.id.encode()  # can be written to any file
    assert [case.id for case in found.cases] == sorted(case.id for case in found.cases)


def test_hostile_names_are_escaped_in_messages(tmp_path: Path) -> None:
    problems = refused(tmp_path, [f"{name}.nii" for name in HOSTILE if not name.startswith(".")], ["other\x1b[2J.nii"])
    text = "\n".join(problems)
    assert text.encode()
    for raw in ("\x1b", "\t", "\r", "\u202e", "\u200f", "\udcff", "\x85", "\u2028"):
        assert raw not in text
    assert r"'case\n': no prediction" in problems
    assert r"case\udcff: no prediction" in problems
    assert r"prediction: 'pred/other\x1b[2J.nii': no reference belongs to it" in [
        p.replace(f"{tmp_path}/", "") for p in problems
    ]


ids = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).filter(lambda name: not name.startswith(".") and len(name.encode()) < 200)  # fmt: skip


@given(st.lists(ids, min_size=1, max_size=6, unique_by=composed), st.randoms())
def test_any_names_pair_with_themselves(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], random: object
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    normal = [unicodedata.normalize(random.choice(["NFC", "NFD"]), name) for name in names]  # type: ignore[attr-defined]
    found = find(tmp_path, [f"{name}.nii" for name in names], [f"{name}.nii.gz" for name in normal])
    assert [case.id for case in found.cases] == sorted(names)
    pairs = dict(zip(names, normal, strict=True))
    for case in found.cases:
        assert case.prediction == f"{tmp_path}/pred/{pairs[case.id]}.nii.gz"


def test_ids_that_are_composed_otherwise_are_the_same(tmp_path: Path) -> None:
    nfc, nfd = "Müller é", unicodedata.normalize("NFD", "Müller é")
    assert nfc != nfd
    found = find(tmp_path, [f"{nfd}.nii"], [f"{nfc}.nii"])
    assert found.cases[0][:1] == (nfd,)
    assert str(found.cases[0].prediction).endswith(f"{nfc}.nii")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Case", "case"),
        ("é", "e\u0301"),
        ("ﬁn", "fin"),
        ("STRASSE", "straße"),
        ("case²", "case2"),
        ("caf\\udce9", "caf\udce9"),
    ],
)
@pytest.mark.parametrize("side", ["reference", "prediction"])
def test_ids_that_people_or_file_systems_confuse_are_refused(tmp_path: Path, one: str, other: str, side: str) -> None:
    sides = [[f"{one}.nii"], [f"{one}.nii", f"{other}.nii"]]
    problems = refused(tmp_path, *(sides[::-1] if side == "reference" else sides))
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"{side}: {'gt' if side == 'reference' else 'pred'}: expected one file for each case")
    assert shown(f"{one}.nii") in problems[0]
    assert shown(f"{other}.nii") in problems[0]


def test_across_folders_case_matters_and_is_pointed_out(tmp_path: Path) -> None:
    assert refused(tmp_path, ["case.nii"], ["Case.nii"]) == [
        "case: no prediction (pred/Case.nii differs in case or in compatible characters)",
        "prediction: pred/Case.nii: no reference belongs to it",
    ]


@pytest.mark.parametrize(
    ("references", "predictions", "expected"),
    [
        (["case"], ["case_0000"], {"case": "case_0000"}),
        (["case"], ["case", "case_0000"], {"case": "case"}),
        (["case_0000"], ["case_0000"], {"case_0000": "case_0000"}),
        (["case_0000", "case_0001"], ["case_0000", "case_0001"], {"case_0000": "case_0000", "case_0001": "case_0001"}),
        (["c_0001", "c_0002"], ["c_0001_0000", "c_0002_0000"], {"c_0001": "c_0001_0000", "c_0002": "c_0002_0000"}),
        (["c", "c_0000"], ["c_0000", "c_0000_0000"], {"c": None, "c_0000": "c_0000"}),
        (["c", "c_0000"], ["c", "c_0000_0000"], {"c": "c", "c_0000": "c_0000_0000"}),
        (["é"], ["e\u0301_0000"], {"é": "e\u0301_0000"}),
        (["case"], ["case_000"], {"case": None}),
        (["case"], ["case_00000"], {"case": None}),
        (["case"], ["case_\u0661\u0661\u0661\u0661"], {"case": None}),
        (["case_0000"], ["case"], {"case_0000": None}),
        (["case_0000"], ["case_0001"], {"case_0000": None}),
    ],
)
def test_the_number_of_a_channel(
    tmp_path: Path, references: list[str], predictions: list[str], expected: dict[str, str | None]
) -> None:
    found = find(tmp_path, [f"{n}.nii" for n in references], [f"{n}.nii" for n in predictions], missing="worst")
    assert {case.id: case.prediction and Path(case.prediction).stem for case in found.cases} == expected
    assert [Path(path).stem for path in found.extra] == sorted(set(predictions) - set(expected.values()))


@pytest.mark.parametrize("missing", ["error", "skip", "worst"])
def test_two_channels_are_no_prediction_under_any_policy(tmp_path: Path, missing: str) -> None:
    problems = refused(tmp_path, ["a.nii", "b.nii"], ["a_0000.nii", "a_0001.nii", "b.nii"], missing=missing)
    assert problems == ["prediction: expected one file for a, found pred/a_0000.nii, pred/a_0001.nii" + ONE_OF_THEM]


def test_what_may_be_a_channel_of_another_is_pointed_out(tmp_path: Path) -> None:
    one, numbered = "a.nii", "a_0000.nii"
    assert refused(tmp_path / "1", [one], [one, numbered]) == [
        f"prediction: pred/{numbered}: no reference belongs to it: pred/{one} and pred/{numbered} are both predictions"
        f"{ONE_OF_THEM}"
    ]
    for predicted, lacking in ((one, "a_0000"), (numbered, "a")):
        (problem,) = refused(tmp_path / predicted, [one, numbered], [predicted])
        assert problem.startswith(f"{lacking}: no prediction: gt/a")
        assert problem.endswith(f" are both references{ONE_OF_THEM}")
        assert {f"gt/{one}", f"gt/{numbered}"} <= set(problem.split())
    found = find(tmp_path / "1", [], [], pattern=r"(?P<case>[a-z]+)\.nii")
    assert [case.id for case in found.cases] == ["a"]


def test_missing_and_extra_predictions(tmp_path: Path) -> None:
    references, predictions = ["a.nii", "b.nii", "c.nii"], ["b.nii", "x.nii", "y.nii"]
    assert refused(tmp_path, references, predictions) == [
        "a: no prediction",
        "c: no prediction",
        "prediction: pred/x.nii: no reference belongs to it",
        "prediction: pred/y.nii: no reference belongs to it",
    ]
    for missing in ("skip", "worst"):
        found = find(tmp_path, references, predictions, missing=missing)
        assert [(case.id, case.prediction) for case in found.cases] == [
            ("a", None),
            ("b", f"{tmp_path}/pred/b.nii"),
            ("c", None),
        ]
        assert found.extra == (f"{tmp_path}/pred/x.nii", f"{tmp_path}/pred/y.nii")
    with pytest.raises(ValueError, match="missing: expected 'error', 'skip' or 'worst', found 'ignore'"):
        find_cases("a", "b", missing="ignore")  # type: ignore[arg-type]


def test_nothing_left_to_score_is_an_error_unless_it_is_the_worst(tmp_path: Path) -> None:
    assert refused(tmp_path, ["a.nii"], ["b.nii"], missing="skip") == [
        "prediction: none of the 1 cases has one; extra: pred/b.nii"
    ]
    assert find(tmp_path, ["a.nii"], ["b.nii"], missing="worst").cases[0].prediction is None
    empty = find_cases(str(tmp_path / "gt"), folder(tmp_path / "empty", []), missing="worst")
    assert empty.cases[0].prediction is None


def test_no_case_at_all(tmp_path: Path) -> None:
    wanted = "expected files with the suffix of a known format, such as .nii.gz"
    assert refused(tmp_path / "1", [], ["a.nii"]) == [f"reference: gt: {wanted}; found none, it is empty"]
    names = [f"{n}.txt" for n in range(7)]
    assert refused(tmp_path, names, ["a.nii"])[0].endswith(
        f"gt: {wanted}; found none among 7 others: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, …"
    )
    problems = refused(tmp_path / "2", ["a.nii"], ["b.nii"], pattern=("(?P<case>a).nii", "(?P<case>z)"))
    assert len(problems) == 2
    assert problems[0].endswith(f"{wanted}, whose paths match '(?P<case>z)'; found none among 1 others: b.nii")


def test_volumes_in_subfolders_want_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    references, predictions = ["x/notes.txt", "x/1/a.nii.gz", "y/b.nii.gz"], ["x/1/a.png", "y/b.png"]
    problems = refused(tmp_path, references, predictions)
    hint = "; a pattern (--pattern) finds those in subfolders, such as "
    assert problems[0].endswith(rf"found none among 2 others: x, y{hint}'(?P<case>.+)\.nii\.gz' for y/b.nii.gz")
    found = find(tmp_path, [], [], pattern=(r"(?P<case>.+)\.nii\.gz", r"(?P<case>.+)\.png"))
    assert [case.id for case in found.cases] == ["x/1/a", "y/b"]
    assert hint not in refused(tmp_path / "2", ["x/notes.txt"], predictions)[0]
    monkeypatch.setattr("fastseg.runs.case_folders._GLANCE", 0)
    assert hint not in refused(tmp_path, [], [])[0]


def test_the_layout_of_cityscapes(tmp_path: Path) -> None:
    """With the patterns that the README names."""
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


def test_several_files_of_one_case(tmp_path: Path) -> None:
    predictions = ["a.nii.gz", "a.npz", "a.pkl", "b.npz", "b.nii", "b.png", "c.npz"]
    problems = refused(tmp_path, ["a.nii", "b.nii", "c.nii"], predictions)
    assert problems == ["prediction: pred: expected one file for each case, found for one: b.nii, b.png" + ONE_OF_THEM]
    os.remove(tmp_path / "pred/b.png")
    found = find_cases(tmp_path / "gt", tmp_path / "pred")
    assert [Path(str(case.prediction)).name for case in found.cases] == ["a.nii.gz", "b.nii", "c.npz"]


def test_a_pair_of_header_and_voxels_is_one_file(tmp_path: Path) -> None:
    found = find(
        tmp_path, ["a.hdr", "a.img", "b.img.gz", "b.hdr.gz", "c.img"], ["a.mhd", "a.raw", "b.HDR", "b.IMG", "c.nii"]
    )
    names = [(Path(case.reference).name, Path(str(case.prediction)).name) for case in found.cases]
    assert names == [("a.hdr", "a.mhd"), ("b.hdr.gz", "b.HDR"), ("c.img", "c.nii")]
    problems = refused(tmp_path / "2", ["a.hdr", "a.img", "a.nii"], ["a.nii"])
    assert problems[0].endswith("found for one: a.hdr, a.nii" + ONE_OF_THEM)
    assert refused(tmp_path / "3", ["a.npz", "a.NPZ"], ["a.nii"])[0].endswith(
        "found for one: a.NPZ, a.npz" + ONE_OF_THEM
    )


def test_folders_that_are_volumes(tmp_path: Path) -> None:
    found = find(tmp_path, ["a.zarr/", "b.ZARR/", "c/", "c.txt/"], ["a.zarr/", "b.nii"])
    assert [case.id for case in found.cases] == ["a", "b"]
    assert refused(tmp_path / "2", ["a.nii.gz/"], ["a.nii"]) == [
        "reference: gt/a.nii.gz: expected a file, found a folder"
    ]
    deep = find(
        tmp_path / "3",
        ["x/a.zarr/0/c.nii", "x/y.nii/y.nii"],
        ["x/a.zarr/0/c.nii", "x/y.nii/y.nii"],
        pattern=r"(?P<case>.*)",
    )
    assert [case.id for case in deep.cases] == ["x/a.zarr", "x/y.nii/y.nii"]


def test_links(tmp_path: Path) -> None:
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    folder(gt, ["a.nii"]), folder(pred, ["c.zarr/"]), folder(tmp_path / "store", ["b.nii", "c.zarr/", "pred_a.nii"])
    (gt / "b.nii").symlink_to(tmp_path / "store/b.nii")
    (gt / "c.zarr").symlink_to(tmp_path / "store/c.zarr")
    (gt / "dataset.json").symlink_to(tmp_path / "absent")
    (pred / "a.nii").symlink_to("../store/pred_a.nii")
    (pred / "b.nii").symlink_to("../store/pred_a.nii")
    linked = tmp_path / "linked"
    linked.symlink_to(pred)
    assert [case.id for case in find_cases(gt, linked).cases] == ["a", "b", "c"]
    (gt / "d.nii").symlink_to(tmp_path / "absent")
    (pred / "e\n.nii").symlink_to("e\n.nii")
    with pytest.raises(CasesError) as caught:
        find_cases(gt, pred)
    problems = plain(caught.value, tmp_path)
    assert problems[0] == "reference: gt/d.nii: expected a file, found a link that leads nowhere"
    assert "found a link that cannot be followed: Too many levels of symbolic links" in problems[1]
    assert problems[2] == "d: no prediction"
    assert len(problems) == 4  # nobody's reference: e, too


def test_pipes_and_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "gt", ["a.nii"])
    os.mkfifo(tmp_path / "gt/b.nii")
    os.mkfifo(tmp_path / "gt/pipe")
    monkeypatch.chdir(tmp_path / "gt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("c.nii")
        problems = refused(tmp_path, [], ["a.nii", "b.nii", "c.nii"])
    assert problems == [
        f"reference: gt/{name}.nii: expected a file, found a device, a pipe or a socket" for name in "bc"
    ]


def test_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: str) -> object:
        if str(path).endswith(("pred", "b")):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    problems = refused(tmp_path, ["a/s.nii", "b/s.nii"], ["a/s.nii"], pattern="(?P<case>.)/s.nii")
    assert problems[:2] == [
        "reference: gt/b: cannot be listed: Permission denied",
        "prediction: pred: cannot be listed: Permission denied",
    ]


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
    with pytest.raises(CasesError, match="a: .*/a/gt.png is both reference and prediction"):
        find_cases(both, both, pattern=(r"(?P<case>.*)/gt.png", "(?P<case>.*)/(gt).png"))
    for pattern in (None, "(?P<case>.*)/gt.png", ["(?P<case>.*)/gt.png"]):
        with pytest.raises(CasesError, match="prediction: expected two folders, or a pattern"):
            find_cases(both, f"{both}/../both", pattern=pattern)


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
    (problem,) = refused(tmp_path, ["a.nii"], ["a.nii"], pattern=pattern)
    assert problem.startswith("pattern: expected ")
    assert problem.endswith(expected)


def test_a_pattern_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="pattern: expected one to three regular expressions as str, found 1"):
        find(tmp_path, ["a.nii"], ["a.nii"], pattern=[1])


def test_loops_of_links_are_not_followed(tmp_path: Path) -> None:
    gt = tmp_path / "gt"
    folder(gt, ["a/b/s.nii"]), folder(tmp_path / "elsewhere", ["c/s.nii"])
    (gt / "a/b/up").symlink_to(gt)
    (gt / "a/b/same").symlink_to(gt / "a/b")
    (gt / "a/b/higher").symlink_to(tmp_path)
    (gt / "d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/c/back").symlink_to(gt)
    found = find(tmp_path, [], ["a/b/s.nii", "d/c/s.nii"], pattern="(?P<case>(a/b|d/c))/s.nii")
    assert [case.id for case in found.cases] == ["a/b", "d/c"]
    (gt / "e").symlink_to(tmp_path / "unmounted")
    assert refused(tmp_path, [], [], pattern="(?P<case>(a/b|d/c))/s.nii") == [
        "reference: gt/e: expected a file or a folder, found a link that leads nowhere"
    ]


def test_two_files_are_one_case(tmp_path: Path) -> None:
    folder(tmp_path, ["truth é.nii.gz", "pred_0000.npz", "a.zarr/", "mask.nii"])
    one, other = str(tmp_path / "truth é.nii.gz"), str(tmp_path / "pred_0000.npz")
    assert find_cases(one, other) == ((Case("truth é", one, other, None),), ())
    assert find_cases(f"{one}::/labels", other).cases[0][:2] == ("truth é", f"{one}::/labels")
    assert find_cases(f"{tmp_path}/a.zarr/", other).cases[0].id == "a"
    assert find_cases(one, other, roi=tmp_path / "mask.nii").cases[0].roi == str(tmp_path / "mask.nii")
    masks = folder(tmp_path / "masks", ["truth é.nii"])
    assert find_cases(one, other, roi=masks).cases[0].roi == f"{masks}/truth é.nii"
    with pytest.raises(CasesError, match="pattern: expected two folders, found two files"):
        find_cases(one, other, pattern="(?P<case>.*)")
    with pytest.raises(CasesError, match="is both reference and prediction"):
        find_cases(one, one)


def test_arguments_that_are_no_folders(tmp_path: Path) -> None:
    gt, file = folder(tmp_path / "gt", ["a.nii"]), str(tmp_path / "gt/a.nii")
    for arguments, expected in {
        (gt, f"{tmp_path}/no\n"): [rf"prediction: '{tmp_path}/no\n': expected a folder or a file, found none"],
        (f"{tmp_path}/no", f"{tmp_path}/no"): [
            f"{name}: {tmp_path}/no: expected a folder or a file, found none" for name in ("reference", "prediction")
        ],
        (file, f"{tmp_path}/no.nii"): [f"prediction: {tmp_path}/no.nii: expected a folder or a file, found none"],
        (file, gt): [f"reference: {file}: expected a folder like {gt}, found none"],
        (gt, file): [f"prediction: {file}: expected a folder like {gt}, found none"],
        (gt, "\0"): [r"prediction: '\x00': expected a folder or a file, found none"],
        (gt, None): ["prediction: expected a folder or a file, found none"],
        (None, None): [f"{name}: expected a folder or a file, found none" for name in ("reference", "prediction")],
    }.items():
        with pytest.raises(CasesError) as caught:
            find_cases(*arguments)
        assert caught.value.problems == expected


def test_masks(tmp_path: Path) -> None:
    roi = folder(tmp_path / "roi", ["a.nii", "b_0000.nii", "z.nii", "notes.txt"])
    found = find(tmp_path, ["a.nii.gz", "b.nii.gz"], ["a.nii", "b.nii"], roi=roi)
    assert [case.roi for case in found.cases] == [f"{roi}/a.nii", f"{roi}/b_0000.nii"]
    folder(tmp_path / "roi", ["a.png"])
    for missing in ("error", "worst"):
        problems = refused(tmp_path, ["c.nii"], ["c.nii"], roi=roi, missing=missing)
        assert problems == [
            "roi: roi: expected one file for each case, found for one: a.nii, a.png" + ONE_OF_THEM,
            "c: no mask in roi",
        ]
    assert refused(tmp_path, [], [], roi=f"{roi}/a.nii") == ["roi: roi/a.nii: expected a folder of masks, found a file"]
    assert refused(tmp_path, [], [], roi=tmp_path / "no") == ["roi: no: expected a folder of masks, found none"]
    with_pattern = find(
        tmp_path / "2", ["x/s.nii"], ["x/s.nii"], roi=folder(tmp_path / "r", ["x/s.nii"]), pattern="(?P<case>.*)/s.nii"
    )
    assert with_pattern.cases[0].roi == f"{tmp_path}/r/x/s.nii"


def table(tmp_path: Path, content: str | bytes, **options: object) -> Cases:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return find_cases(None, None, pairs=path, **options)  # type: ignore[arg-type]


@pytest.fixture
def tabled(tmp_path: Path) -> Path:
    folder(tmp_path, ["gt/a.nii", "gt/b, c.nii", "pred/1.nii", "pred/2.nii", "roi/m.nii", "gt/é.png"])
    (tmp_path / "gt/broken.nii").symlink_to("absent")
    return tmp_path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_of_pairs(tabled: Path, end: str) -> None:
    rows = ["reference,prediction", "gt/a.nii,pred/1.nii", "", f'"gt/b, c.nii",{tabled}/pred/2.nii', ""]
    expected = (
        Case("a", f"{tabled}/gt/a.nii", f"{tabled}/pred/1.nii", None),
        Case("b, c", f"{tabled}/gt/b, c.nii", f"{tabled}/pred/2.nii", None),
    )
    assert table(tabled, end.join(rows)).cases == expected
    assert table(tabled, end.join(rows).encode("utf-8-sig")).cases == expected


def test_a_table_with_all_columns(tabled: Path) -> None:
    text = "roi, prediction ,case,reference\nroi/m.nii,pred/1.nii,z,gt/a.nii\nroi/m.nii,pred/2.nii,,gt/é.png::/x/y\n"
    assert table(tabled, text).cases == (
        Case("z", f"{tabled}/gt/a.nii", f"{tabled}/pred/1.nii", f"{tabled}/roi/m.nii"),
        Case("é", f"{tabled}/gt/é.png::/x/y", f"{tabled}/pred/2.nii", f"{tabled}/roi/m.nii"),
    )


def test_masks_of_a_table(tabled: Path) -> None:
    roi = folder(tabled / "masks", ["a.nii"])
    assert table(tabled, "reference,prediction\ngt/a.nii,pred/1.nii", roi=roi).cases[0].roi == f"{roi}/a.nii"
    with pytest.raises(CasesError, match="roi: expected either a folder of masks or a column of pairs, found both"):
        table(tabled, "reference,prediction,roi\ngt/a.nii,pred/1.nii,roi/m.nii", roi=roi)


def test_missing_predictions_of_a_table(tabled: Path) -> None:
    text = "reference,prediction\ngt/a.nii,\n\n'gt/b, c.nii',x\n".replace("'", '"') + "gt/é.png,pred/2.nii\n"
    with pytest.raises(CasesError) as caught:
        table(tabled, text)
    assert plain(caught.value, tabled) == [
        "pairs: pairs.csv, line 2: no prediction",
        "pairs: pairs.csv, line 4: no prediction: x: no such file",
    ]
    for missing in ("skip", "worst"):
        assert [case.prediction is None for case in table(tabled, text, missing=missing).cases] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["line 1: COLUMNS []"]),
        ("reference;prediction\na;b", ["line 1: COLUMNS ['reference;prediction']"]),
        ("\n\nreference\na", ["line 3: COLUMNS ['reference']"]),
        ("reference,prediction,rio\n", ["line 1: COLUMNS ['reference', 'prediction', 'rio']"]),
        ("reference,prediction,reference\n", ["line 1: COLUMNS ['reference', 'prediction', 'reference']"]),
        ("reference,prediction\n", [": expected at least one case below the header, found none"]),
        (
            "reference,prediction\ngt/a.nii\nx,pred/1.nii,\n",
            [
                "line 2: expected 2 columns as in the header, found 1",
                "line 3: expected 2 columns as in the header, found 3",
            ],
        ),
        (
            "reference,prediction\nx\t,pred/1.nii\n,pred/1.nii",
            [r"line 2: reference: 'x\t': no such file", "line 3: reference: expected a path, found an empty cell"],
        ),
        (
            "reference,prediction\ngt/broken.nii,gt/broken.nii",
            [f"line 2: {key}: gt/broken.nii: a link that leads nowhere" for key in ("reference", "prediction")],
        ),
        ("reference,prediction,roi\ngt/a.nii,pred/1.nii,", ["line 2: roi: expected a path, found an empty cell"]),
        (
            "reference,prediction\ngt/a.nii,pred/1.nii\ngt/a.nii,pred/2.nii",
            ["line 3: expected each case once, found a on line 2 too (a column 'case' would tell them apart)"],
        ),
        (
            "reference,prediction,case\ngt/a.nii,pred/1.nii,x\ngt/a.nii,pred/2.nii,X",
            ["line 3: expected each case once, found X on line 2 too"],
        ),
        (
            'reference,prediction\ngt/a.nii,"pred/1.nii\n\n',
            ["line 2: expected fields between commas, found: unexpected end of data"],
        ),
        (
            'reference,prediction\n\n"gt"/a.nii,pred/1.nii\n',
            ["line 3: expected fields between commas, found: ',' expected after '\"'"],
        ),
        (b"reference,prediction\ngt/a.nii,pred/\xe9.nii\n", ["line 2: expected UTF-8, found the byte 0xe9"]),
        ("reference,prediction\ngt/a\0.nii,pred/1.nii\n", [r"line 2: reference: 'gt/a\x00.nii': no such file"]),
    ],
)
def test_what_is_wrong_with_a_table(tabled: Path, text: str | bytes, expected: list[str]) -> None:
    with pytest.raises(CasesError) as caught:
        table(tabled, text)
    columns = "expected the columns reference and prediction, and none but case and roi besides; found"
    found = [line.replace(columns, "COLUMNS") for line in plain(caught.value, tabled)]
    assert found == [f"pairs: pairs.csv{'' if line[0] == ':' else ', '}{line}" for line in expected]


def test_tables_that_cannot_be_had(tabled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, reason in (
        (tabled / "no.csv", "No such file"),
        (tabled, "Is a directory"),
        ("a\0", "embedded null byte"),
    ):
        with pytest.raises(CasesError, match=f"cannot be read: {reason}"):
            find_cases(None, None, pairs=path)
    for options in ({"pattern": "(?P<case>.*)"}, {"reference": "a"}, {"prediction": "a"}):
        with pytest.raises(CasesError, match="pairs: expected either pairs or folders and a pattern, found both"):
            find_cases(**{"reference": None, "prediction": None, "pairs": "x.csv", **options})  # type: ignore[arg-type]
    monkeypatch.setattr("fastseg.runs.case_tables._MAX_BYTES", 1 << 20)
    with pytest.raises(CasesError, match="expected at most 1 MiB, found a larger file"):
        table(tabled, "x" * ((1 << 20) + 1))
    with pytest.raises(CasesError, match="is both reference and prediction"):
        table(tabled, "reference,prediction\ngt/a.nii,gt/../gt/a.nii")


def test_everything_that_is_wrong_is_in_one_error(tmp_path: Path) -> None:
    folder(tmp_path / "gt", ["a.nii", "b.nii", "B.nii", "c.nii"])
    (tmp_path / "gt/d.nii").symlink_to("nowhere")
    problems = refused(
        tmp_path, [], ["d.nii", "c.nii", "c.png", "x.nii", "b.nii"], roi=folder(tmp_path / "roi", ["c.nii"])
    )
    assert problems == [
        "reference: gt/d.nii: expected a file, found a link that leads nowhere",
        "reference: gt: expected one file for each case, found for one: B.nii, b.nii" + ONE_OF_THEM,
        "prediction: pred: expected one file for each case, found for one: c.nii, c.png" + ONE_OF_THEM,
        "a: no mask in roi",
        "d: no mask in roi",
        "a: no prediction",
        "prediction: pred/x.nii: no reference belongs to it",
    ]


def test_errors_survive_a_pickle() -> None:
    error = CasesError(["a", "b"])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "the cases: 2 problems\n  a\n  b"
    assert again.problems == ["a", "b"]


def test_many_files_need_no_stat_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n:05}.nii" for n in range(300)]
    gt, pred = folder(tmp_path / "gt", names), folder(tmp_path / "pred", names)
    calls: list[object] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda *given, **options: (calls.append(given), real(*given, **options))[1])
    assert len(find_cases(gt, pred).cases) == 300
    assert len(calls) < 30
