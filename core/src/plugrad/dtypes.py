"""dtypes are NumPy dtype objects (plus those of ml_dtypes); inside the core each has a small integer code, and
promotion is a table of codes.

Promotion follows the Python Array API (2025.12): within a kind the wider wins, and there is no way from a signed
integer and ``uint64`` to a common integer. Beyond the standard, a bool or integer with a float gives that float, and
float16 with bfloat16 gives float32. ``promotion("strict")`` keeps to the standard's table.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

from .errors import DTypeError
from .state import state, within

# Short names, most of them NumPy's own. The position of a dtype is its code; the order inside a kind is that of width.
_NAMES = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 bf2 f4 f8 c8 c16 f1e4 f1e5"
SHORT: tuple[str, ...] = tuple(_NAMES.split())
_MORE = {"bf2": ml_dtypes.bfloat16, "f1e4": ml_dtypes.float8_e4m3fn, "f1e5": ml_dtypes.float8_e5m2}
DTYPES: tuple[np.dtype, ...] = tuple(np.dtype(_MORE.get(short, short)) for short in SHORT)
CODE: dict[np.dtype, int] = {d: i for i, d in enumerate(DTYPES)}
B1, I1, I2, I4, I8, U1, U2, U4, U8, F2, BF2, F4, F8, C8, C16, F1E4, F1E5 = range(len(DTYPES))

# Kinds: "b" bool, "i" signed, "u" unsigned, "f" float, "c" complex, "s" storage only (float8: casts and movement, no
# arithmetic). Groups are named for use in declarations.
KIND: str = "biiiiuuuuffffccss"
_GROUPS = (
    "bool=b int=iu uint=u float=f complex=c real=iuf inexact=fc numeric=iufc ordered=biuf arithmetic=biufc any=biufcs"
)
GROUPS: dict[str, frozenset[int]] = {short: frozenset({code}) for code, short in enumerate(SHORT)}
for _group, _, _kinds in (entry.partition("=") for entry in _GROUPS.split()):
    GROUPS[_group] = frozenset(code for code, kind in enumerate(KIND) if kind in _kinds)
"""The codes that a short name or the name of a group stands for."""

bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64 = DTYPES[: U8 + 1]
float16, bfloat16, float32, float64, complex64, complex128, float8_e4m3fn, float8_e5m2 = DTYPES[F2:]

PYTHON: dict[type, int] = {bool: B1, int: I8, float: F4, complex: C8}
"""The codes that Python's own numbers take by default."""


@functools.cache
def parse(text: str) -> frozenset[int]:
    """Codes named by a space-separated list of short names ("f4 f8"), full names or groups ("float").

    >>> sorted(parse("f4 float64")) == [F4, F8]
    True
    """
    return frozenset().union(*[GROUPS.get(word) or {CODE[as_dtype(word)]} for word in text.split()])


def as_dtype(dtype: Any) -> np.dtype:
    """The NumPy dtype for a dtype, a name, or a Python type (``float`` is float32, ``int`` is int64).

    >>> as_dtype("bfloat16").name, as_dtype(float).name
    ('bfloat16', 'float32')
    """
    if isinstance(dtype, type) and dtype in PYTHON:
        return DTYPES[PYTHON[dtype]]
    try:
        return DTYPES[CODE[np.dtype(dtype)]]
    except (TypeError, KeyError) as error:
        known = ", ".join(d.name for d in DTYPES)
        raise DTypeError(f"dtype: {dtype!r} is not a dtype that plugrad supports; use one of {known}") from error


def _promoted(a: int, b: int) -> int:
    """The code two codes promote to, or -1."""
    kinds, codes = {KIND[a], KIND[b]}, {a, b}
    if a == b:
        return a
    if "s" in kinds or (kinds == {"i", "u"} and U8 in codes):
        return -1
    if kinds == {"i", "u"}:  # the signed integer that holds both
        return max(min(codes), max(codes) - U1 + I1 + 1)
    if "c" in kinds:
        return C16 if codes & {F8, C16} else C8
    # the higher kind wins, and within a kind the wider dtype
    return F4 if codes == {F2, BF2} else max(codes, key=lambda code: ("buif".index(KIND[code]), code))


_CODES = range(len(DTYPES))
PROMOTE: tuple[tuple[int, ...], ...] = tuple(tuple(_promoted(a, b) for b in _CODES) for a in _CODES)


def promote(name: str, a: int, b: int) -> int:
    """The common code of two codes, for the op called ``name``; raises DTypeError where there is none."""
    code = PROMOTE[a][b]
    if code < 0 or (state().strict and _extended(a, b)):
        raise DTypeError(f"{name}: no promotion between {DTYPES[a]} and {DTYPES[b]}; cast one of them with .astype()")
    return code


def _extended(a: int, b: int) -> bool:
    """Whether the two meet only in plugrad's extension of the standard's table."""
    mixed = "b" in KIND[a] + KIND[b] or (KIND[a] in "iu") != (KIND[b] in "iu")
    return a != b and (mixed or {a, b} == {F2, BF2})


def promotion(mode: str) -> within:
    """Within the block and thread, ``"strict"`` allows only the promotions of the Array API, ``"default"`` more."""
    if mode not in ("strict", "default"):
        raise ValueError(f"promotion: mode {mode!r} is unknown; use 'strict' or 'default'")
    return within(strict=mode == "strict")


RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3, "s": 2}
"""A kind holds the values of those that rank no higher."""


def scalar_fits(scalar: Any, code: int) -> bool:
    """Whether a Python scalar keeps the dtype of the tensor it meets (the weak-scalar rule of the Array API).

    >>> scalar_fits(2, F4), scalar_fits(2.0, I4)
    (True, False)
    """
    need = 0 if isinstance(scalar, bool) else 1 if isinstance(scalar, int) else 2 if isinstance(scalar, float) else 3
    return KIND[code] != "s" and RANK[KIND[code]] >= need


def real_code(code: int) -> int:
    """The code of the real part: complex64 gives float32."""
    return {C8: F4, C16: F8}.get(code, code)
