"""dtypes are NumPy dtype objects (plus those of ml_dtypes); inside the core each has a small integer code, and
promotion is a table of codes.

Promotion follows the Python Array API (2025.12): within a kind the wider wins, and there is no way from a signed
integer and ``uint64`` to a common integer. Beyond the standard, a bool or integer with a float gives that float, and
float16 with bfloat16 gives float32. ``promotion("strict")`` keeps to the standard's table.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from .errors import DTypeError
from .state import state, within

# short name, dtype. The position is the code; the order inside a kind is the order of width.
_TABLE: tuple[tuple[str, np.dtype], ...] = (
    ("b1", np.dtype(np.bool_)),
    ("i1", np.dtype(np.int8)),
    ("i2", np.dtype(np.int16)),
    ("i4", np.dtype(np.int32)),
    ("i8", np.dtype(np.int64)),
    ("u1", np.dtype(np.uint8)),
    ("u2", np.dtype(np.uint16)),
    ("u4", np.dtype(np.uint32)),
    ("u8", np.dtype(np.uint64)),
    ("f2", np.dtype(np.float16)),
    ("bf2", np.dtype(ml_dtypes.bfloat16)),
    ("f4", np.dtype(np.float32)),
    ("f8", np.dtype(np.float64)),
    ("c8", np.dtype(np.complex64)),
    ("c16", np.dtype(np.complex128)),
    ("f1e4", np.dtype(ml_dtypes.float8_e4m3fn)),
    ("f1e5", np.dtype(ml_dtypes.float8_e5m2)),
)
SHORT: tuple[str, ...] = tuple(s for s, _ in _TABLE)
DTYPES: tuple[np.dtype, ...] = tuple(d for _, d in _TABLE)
CODE: dict[np.dtype, int] = {d: i for i, d in enumerate(DTYPES)}
B1, I1, I2, I4, I8, U1, U2, U4, U8, F2, BF2, F4, F8, C8, C16, F1E4, F1E5 = range(len(_TABLE))

# Kinds: "b" bool, "i" signed, "u" unsigned, "f" float, "c" complex, "s" storage only (float8: casts and movement, no
# arithmetic).
KIND: str = "biiiiuuuuffffccss"
GROUPS: dict[str, frozenset[int]] = {
    "bool": frozenset({B1}),
    "int": frozenset(range(I1, U8 + 1)),
    "uint": frozenset(range(U1, U8 + 1)),
    "float": frozenset(range(F2, F8 + 1)),
    "complex": frozenset({C8, C16}),
    "real": frozenset(range(I1, F8 + 1)),
    "inexact": frozenset(range(F2, C16 + 1)),
    "numeric": frozenset(range(I1, C16 + 1)),
    "ordered": frozenset(range(B1, F8 + 1)),
    "arithmetic": frozenset(range(B1, C16 + 1)),
    "any": frozenset(range(len(_TABLE))),
}

bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64 = DTYPES[: U8 + 1]
float16, bfloat16, float32, float64, complex64, complex128, float8_e4m3fn, float8_e5m2 = DTYPES[F2:]

_PYTHON: dict[type, np.dtype] = {bool: bool_, int: int64, float: float32, complex: complex64}


def parse(text: str) -> frozenset[int]:
    """Codes named by a space-separated list of short names ("f4 f8"), full names or groups ("float").

    >>> sorted(parse("f4 float64")) == [F4, F8]
    True
    """
    codes: set[int] = set()
    for word in text.split():
        if word in GROUPS:
            codes |= GROUPS[word]
        elif word in SHORT:
            codes.add(SHORT.index(word))
        else:
            codes.add(CODE[as_dtype(word)])
    return frozenset(codes)


def as_dtype(dtype: Any) -> np.dtype:
    """The NumPy dtype for a dtype, a name, or a Python type (``float`` is float32, ``int`` is int64).

    >>> as_dtype("bfloat16").name, as_dtype(float).name
    ('bfloat16', 'float32')
    """
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    if isinstance(dtype, str) and hasattr(ml_dtypes, dtype):
        dtype = getattr(ml_dtypes, dtype)
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"dtype: {dtype!r} is not a dtype; use one of {', '.join(d.name for d in DTYPES)}") from error
    if found not in CODE:
        raise DTypeError(f"dtype: {found} is not supported; use one of {', '.join(d.name for d in DTYPES)}")
    return DTYPES[CODE[found]]


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


PROMOTE: tuple[tuple[int, ...], ...] = tuple(
    tuple(_promoted(a, b) for b in range(len(_TABLE))) for a in range(len(_TABLE))
)


def promote(name: str, a: int, b: int) -> int:
    """The common code of two codes, for the op called ``name``; raises DTypeError where there is none."""
    code = PROMOTE[a][b]
    if code < 0 or (state().strict and ((a != b and "b" in KIND[a] + KIND[b]) or _crosses(a, b))):
        raise DTypeError(f"{name}: no promotion between {DTYPES[a]} and {DTYPES[b]}; cast one of them with .astype()")
    return code


def _crosses(a: int, b: int) -> bool:
    """Whether the two kinds meet only in plugrad's extension of the standard's table."""
    integers = "biu"
    mixed = (KIND[a] in integers) != (KIND[b] in integers)
    return mixed or {a, b} == {F2, BF2}


def promotion(mode: str) -> within:
    """Within the block and thread, ``"strict"`` allows only the promotions of the Array API, ``"default"`` more."""
    if mode not in ("strict", "default"):
        raise ValueError(f"promotion: mode {mode!r} is unknown; use 'strict' or 'default'")
    return within(strict=mode == "strict")


_RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3, "s": 2}


def scalar_fits(scalar: Any, code: int) -> bool:
    """Whether a Python scalar keeps the dtype of the tensor it meets (the weak-scalar rule of the Array API).

    >>> scalar_fits(2, F4), scalar_fits(2.0, I4)
    (True, False)
    """
    need = 0 if isinstance(scalar, bool) else 1 if isinstance(scalar, int) else 2 if isinstance(scalar, float) else 3
    return KIND[code] != "s" and _RANK[KIND[code]] >= need


def real_code(code: int) -> int:
    """The code of the real part: complex64 gives float32."""
    return {C8: F4, C16: F8}.get(code, code)
