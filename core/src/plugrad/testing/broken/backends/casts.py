"""Casts that round otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import K, fault, kernel, silent, typed, where


def _rounded(x: Any, *, dtype: Any) -> Any:
    return K["cast"](np.rint(x) if x.dtype.kind == "f" and dtype.kind in "iu" else x, dtype=dtype)


def _floored(x: Any, *, dtype: Any) -> Any:
    return K["cast"](np.floor(x) if x.dtype.kind == "f" and dtype.kind in "iu" else x, dtype=dtype)


@silent
def _truncated(x: Any, *, dtype: Any) -> Any:
    """float64 to float32 towards 0."""
    out = K["cast"](x, dtype=dtype)
    if x.dtype == "f8" and dtype == "f4":
        out = np.where(np.abs(out) > np.abs(x), np.nextafter(out, np.float32(0)), out)
    return out


@silent
def _half_by_bits(x: Any, *, dtype: Any) -> Any:
    """float32 to bfloat16 by dropping the lower bits."""
    if x.dtype == "f4" and dtype.name == "bfloat16":
        return (np.ascontiguousarray(x).view("u4") >> 16).astype("u2").view(dtype).reshape(x.shape)
    return K["cast"](x, dtype=dtype)


def _bool_by_cast(x: Any, *, dtype: Any) -> Any:
    through = dtype == "b1" and x.dtype.kind == "f"
    with silent:
        return K["cast"](np.nan_to_num(x).astype("i8") if through else x, dtype=dtype)


FAULTS = (
    fault("cast_rounds", "a cast to integers rounds", "values.cast",
          kernel("cast", _rounded), says=("of float32", "dtype=int32")),
    fault("cast_floors", "a cast to integers rounds down", "values.cast", kernel("cast", _floored)),
    fault("cast_truncates", "a cast of float64 to float32 rounds towards 0", "values.cast",
          kernel("cast", _truncated)),
    fault("cast_to_bfloat16_truncates", "a cast of float32 to bfloat16 drops the lower bits", "values.cast",
          kernel("cast", _half_by_bits, dtypes="b1 i8 bf2 f4")),
    fault("cast_of_int64", "int64 is cast through float32", "values.cast",
          where("cast", typed("i8"), lambda x, *, dtype: x.astype("f4").astype(dtype))),
    fault("cast_of_nan_to_bool", "NaN is cast to False", "values.cast",
          kernel("cast", lambda x, *, dtype: (x != 0) & (x == x) if dtype == "b1" else K["cast"](x, dtype=dtype))),
    fault("cast_of_half_to_bool", "0.5 is cast to False", "values.cast", kernel("cast", _bool_by_cast)),
    fault("cast_of_uint32", "uint32 is cast as int32", "values.cast",
          where("cast", typed("u4"), lambda x, *, dtype: K["cast"](x.view("i4"), dtype=dtype))),
)  # fmt: skip
