"""Tables of pairs: what they may say, and what is wrong with them, by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.empty_cases import folder, plain

from fastseg.runs.cases.find import Case, Cases, CasesError, find_cases


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


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_cells_may_stand_between_commas_semicolons_or_tabs(tabled: Path, mark: str, encoding: str) -> None:
    rows = [["case", "reference", "prediction"], ["é", "gt/a.nii", "pred/1.nii"], ["b;,", "gt/é.png", "pred/2.nii"]]
    text = "\r\n".join(mark.join(f'"{cell}"' for cell in row) for row in rows)
    found = table(tabled, text.encode(encoding)).cases
    assert table(tabled, f"sep={mark}\r\n{text}".encode(encoding)).cases == found
    assert [(case.id, Path(case.reference).name, Path(case.prediction or "").name) for case in found] == [
        ("b;,", "é.png", "2.nii"),
        ("é", "a.nii", "1.nii"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["line 1: COLUMNS []"]),
        ("reference|prediction\na|b", ["line 1: COLUMNS ['reference|prediction']"]),
        (
            'reference;prediction\n"gt"/a.nii;pred/1.nii\n',
            ["line 2: expected fields between semicolons, found: ';' expected after '\"'"],
        ),
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
        with pytest.raises(
            ValueError, match="pairs: expected either pairs or two folders, perhaps with a pattern; found both"
        ):
            find_cases(**{"reference": None, "prediction": None, "pairs": "x.csv", **options})  # type: ignore[arg-type]
    monkeypatch.setattr("fastseg.runs.cases.tables._MAX_BYTES", 1 << 20)
    with pytest.raises(CasesError, match="expected at most 1 MiB, found a larger file"):
        table(tabled, "x" * ((1 << 20) + 1))
    assert len(table(tabled, "reference,prediction\ngt/a.nii,gt/../gt/a.nii").cases) == 1  # which is said, no more
