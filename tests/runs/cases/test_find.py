"""Cases: what belongs together is found whatever it is called, and everything that is wrong is said at once."""

from __future__ import annotations

import json
import os
import pickle
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from support.empty_cases import ONE_OF_THEM, find, folder, refused

from fastseg.labels.names import shown
from fastseg.runs.cases.find import Case, CasesError, find_cases


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
    assert len(problems) == 1  # and not one for each case besides
    assert problems[0].endswith(f"{wanted}, whose paths match '(?P<case>z)'; found none among 1 others: b.nii")


def test_two_files_are_one_case(tmp_path: Path) -> None:
    folder(tmp_path, ["truth é.nii.gz", "pred_0000.npz", "a.zarr/", "mask.nii"])
    one, other = str(tmp_path / "truth é.nii.gz"), str(tmp_path / "pred_0000.npz")
    assert find_cases(one, other) == ((Case("truth é", one, other, None),), ())
    assert find_cases(f"{one}::/labels", other).cases[0][:2] == ("truth é", f"{one}::/labels")
    assert find_cases(f"{tmp_path}/a.zarr/", other).cases[0].id == "a"
    assert find_cases(one, other, roi=tmp_path / "mask.nii").cases[0].roi == str(tmp_path / "mask.nii")
    masks = folder(tmp_path / "masks", ["truth é.nii"])
    assert find_cases(one, other, roi=masks).cases[0].roi == f"{masks}/truth é.nii"
    with pytest.raises(ValueError, match="pattern: expected two folders, found two files"):
        find_cases(one, other, pattern="(?P<case>.*)")
    assert find_cases(one, one).cases == (Case("truth é", one, one, None),)


def test_arguments_that_are_no_folders(tmp_path: Path) -> None:
    gt, file = folder(tmp_path / "gt", ["a.nii"]), str(tmp_path / "gt/a.nii")
    for arguments, expected in {
        (gt, f"{tmp_path}/no\n"): [rf"prediction: '{tmp_path}/no\n': there is no such folder or file"],
        (f"{tmp_path}/no", f"{tmp_path}/no"): [
            f"{name}: {tmp_path}/no: there is no such folder or file" for name in ("reference", "prediction")
        ],
        (file, f"{tmp_path}/no.nii"): [f"prediction: {tmp_path}/no.nii: there is no such folder or file"],
        (file, gt): [f"reference: {file}: expected a folder, as {gt} is one; found a file"],
        (gt, file): [f"prediction: {file}: expected a folder, as {gt} is one; found a file"],
        (gt, "\0"): [r"prediction: '\x00': there is no such folder or file"],
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
