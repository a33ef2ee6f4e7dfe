"""The drop-ins of scikit-learn against scikit-learn: values, types, warnings and errors of random arguments."""

from __future__ import annotations

import reprlib
import zlib
from typing import Any

import numpy as np
import pytest
from support import sklearn_cases
from support.drop_ins import TOLERANCE, assert_same_call

host = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn: pip install scikit-learn")
ours = pytest.importorskip("fastseg.adapters.sklearn")


def drawn(name: str, seed: int, *, multilabel: bool) -> tuple[tuple[Any, Any], dict[str, Any]]:
    """Return random arguments of a function."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed, multilabel])
    true, pred, labels = sklearn_cases.indicators(rng) if multilabel else sklearn_cases.columns(rng)
    options = sklearn_cases.options(rng, name, labels, multilabel=multilabel)
    weight = sklearn_cases.weights(rng, len(true))
    return (true, pred), options if weight is None else {**options, "sample_weight": weight}


@pytest.mark.parametrize("multilabel", [False, True], ids=["columns", "indicators"])
@pytest.mark.parametrize("name", sklearn_cases.OPTIONS)
def test_random_arguments(name: str, multilabel: bool) -> None:
    compare(name, range(40), multilabel)


@pytest.mark.slow
@pytest.mark.parametrize("multilabel", [False, True], ids=["columns", "indicators"])
@pytest.mark.parametrize("name", sklearn_cases.OPTIONS)
def test_many_random_arguments(name: str, multilabel: bool) -> None:
    compare(name, range(40, 600), multilabel)


def compare(name: str, seeds: range, multilabel: bool) -> None:
    for seed in seeds:
        args, options = drawn(name, seed, multilabel=multilabel)
        narrow = (
            getattr(options.get("sample_weight"), "dtype", None) == np.float32
        )  # which scikit-learn adds up as such
        rtol = 1e-6 if narrow else TOLERANCE
        try:
            assert_same_call(getattr(host, name), getattr(ours, name), *args, rtol=rtol, **options)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {reprlib.repr(args)}, {reprlib.repr(options)}: {error}") from None
