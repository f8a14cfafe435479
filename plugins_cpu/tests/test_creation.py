"""full and iota."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.dtypes import as_dtype
from plugrad.errors import ShapeError


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (70, 101)])
@pytest.mark.parametrize("value", [0, 1, 3])
def test_full(shape: Any, value: int, call: Any, stored: Any) -> None:
    got = call("full", shape=shape, dtype=stored, value=value, device="cpu")
    np.testing.assert_array_equal(got, np.full(shape, value, stored))
    assert got.dtype == stored


def test_full_of_special_floats(call: Any, floating: Any) -> None:
    for value in (np.nan, -np.inf, -0.0, 1e-45):
        got = call("full", shape=(5,), dtype=floating, value=value, device="cpu")
        np.testing.assert_array_equal(got, np.full(5, value, floating))
        assert (np.signbit(got) == np.signbit(value)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e5m2", "complex64", "complex128"])
def test_full_of_what_is_stored_only(dtype: str, call: Any) -> None:
    kept = as_dtype(dtype)
    values = [np.nan, -np.inf, -0.0, 1.3, 1e300, *([2.5 - 3j] if kept.kind == "c" else [])]
    for value in values:
        with np.errstate(over="ignore"):
            expected = np.full(5, value, kept)
        got = call("full", shape=(5,), dtype=kept, value=value, device="cpu")
        assert got.dtype == kept
        np.testing.assert_array_equal(got.astype("c16"), expected.astype("c16"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "complex128"])
def test_iota_of_what_is_cast(dtype: str, call: Any) -> None:
    got = call("iota", size=300, dtype=as_dtype(dtype), device="cpu")
    np.testing.assert_array_equal(got, np.arange(300).astype(as_dtype(dtype)))


@pytest.mark.parametrize("size", [0, 1, 100])
def test_iota(size: int, call: Any, number: Any) -> None:
    got = call("iota", size=size, dtype=number, device="cpu")
    np.testing.assert_array_equal(got, np.arange(size, dtype=number))
    assert got.dtype == number


def test_sizes_and_values_that_do_not_fit_raise(call: Any) -> None:
    with pytest.raises(ShapeError):
        call("iota", size=-1, dtype=np.dtype("f4"), device="cpu")
    with pytest.raises(ShapeError):
        call("full", shape=(2**40, 2**40), dtype=np.dtype("f4"), value=0, device="cpu")
    with pytest.raises(OverflowError):
        call("full", shape=(2,), dtype=np.dtype("i1"), value=300, device="cpu")
