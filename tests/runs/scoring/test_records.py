"""What is kept of a case: its line of JSON, and what is sent between processes."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields

import numpy as np
import pytest
from support.example_runs import example, hostile

from fastseg import surface_distances
from fastseg.runs import CaseRecord
from fastseg.runs.scoring.surface_text import plain_surfaces

TABLES = '"pairs":[],"unknown":[]'
MEASURED = surface_distances([[0, 1, 1, 0]], [[0, 0, 1, 0]], spacing=(1, 0.1), surface="surfel")
RECORDS = [*example().records, *hostile().records, CaseRecord(TABLES, "failed", TABLES, None, reason=f"{{{TABLES}}}")]
RECORDS.append(CaseRecord("measured", "scored", "a", "b", surfaces=MEASURED))


@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_a_record_comes_back_from_its_line_and_from_another_process(record: CaseRecord) -> None:
    plain = {field.name: getattr(record, field.name) for field in fields(record)}
    plain |= {"pairs": record.pairs.tolist(), "unknown": record.unknown.tolist()}
    if (surfaces := plain.pop("surfaces")) is not None:  # else lines are as they were before there were any
        plain["surfaces"] = plain_surfaces(surfaces)
    assert plain.pop("instances") == {}
    assert record.to_json() == json.dumps(plain, separators=(",", ":"), allow_nan=False)
    for again in (CaseRecord.from_json(record.to_json()), pickle.loads(pickle.dumps(record, -1))):
        for name, value in vars(record).items():
            found = getattr(again, name)
            assert type(found) is type(value), name
            if isinstance(value, np.ndarray):
                assert (found.dtype, found.shape, found.flags.writeable) == (value.dtype, value.shape, True)
            np.testing.assert_array_equal(found, value)
        assert list(vars(again)) == list(vars(record))
