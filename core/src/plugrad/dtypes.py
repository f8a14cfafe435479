"""dtypes are NumPy dtype objects (plus those of ml_dtypes); inside the core each has a small integer code, and
promotion is a table of codes.

Promotion follows the Python Array API (2025.12): within a kind the wider wins, and there is no way from a signed
integer and ``uint64`` to a common integer. Beyond the standard, a bool or integer with a float gives that float, and
float16 with bfloat16 gives float32. ``promotion("strict")`` keeps to the standard's table.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from .errors import DTypeError, shown
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
        return DTYPES[CODE[np.dtype("None" if dtype is None else dtype)]]  # for NumPy None means float64
    except (TypeError, KeyError, ValueError, SyntaxError, RecursionError) as error:
        known = ", ".join(d.name for d in DTYPES)
        raise DTypeError(f"dtype: {shown(dtype)} is not a dtype that plugrad supports; use one of {known}") from error


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
    if not isinstance(mode, str) or mode not in ("strict", "default"):
        raise ValueError(f"promotion: mode {shown(mode)} is unknown; use 'strict' or 'default'")
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


# -- questions about dtypes


class FloatInfo(NamedTuple):
    """The limits of a floating dtype, as Python numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


class IntInfo(NamedTuple):
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def _of(x: Any) -> np.dtype:
    """The dtype of an array, or the dtype itself."""
    return as_dtype(getattr(x, "dtype", x) if not isinstance(x, type) else x)


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating dtype, or of that of an array; of the real part for complex ones.

    >>> finfo("float16").max, finfo("complex64").dtype.name
    (65504.0, 'float32')
    """
    dtype = DTYPES[real_code(CODE[_of(type)])]
    if KIND[CODE[dtype]] not in "fs":
        raise DTypeError(f"finfo: {dtype} is not a floating dtype; use iinfo() for integers")
    info = ml_dtypes.finfo(dtype)
    eps, most, least, normal = map(float, (info.eps, info.max, info.min, info.smallest_normal))
    return FloatInfo(info.bits, eps, most, least, normal, dtype)


def iinfo(type: Any, /) -> IntInfo:
    """Limits of an integer dtype, or of that of an array.

    >>> iinfo("uint8").max
    255
    """
    dtype = _of(type)
    if KIND[CODE[dtype]] not in "iu":
        raise DTypeError(f"iinfo: {dtype} is not an integer dtype; use finfo() for floating ones")
    info = np.iinfo(dtype)
    return IntInfo(info.bits, int(info.max), int(info.min), dtype)


_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "fs",
    "complex floating": "c",
    "numeric": "iufcs",
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether ``dtype`` is of a kind: another dtype, one of the Array API's names, or any of a tuple of these.

    The names are "bool", "signed integer", "unsigned integer", "integral", "real floating" (float16, bfloat16 and the
    float8 included), "complex floating" and "numeric".

    >>> isdtype(as_dtype("bfloat16"), ("integral", "real floating"))
    True
    """
    if isinstance(kind, tuple):
        return any([isdtype(dtype, one) for one in kind])
    if not isinstance(kind, str):
        return as_dtype(dtype) == as_dtype(kind)
    if kind not in _KINDS:
        raise ValueError(f"isdtype: {kind!r} is not a kind; use a dtype or one of {', '.join(_KINDS)}")
    return KIND[CODE[as_dtype(dtype)]] in _KINDS[kind]


def _weak(x: Any) -> bool:
    """Whether an operand is a Python number, not one of NumPy's."""
    return isinstance(x, (bool, int, float, complex)) and not hasattr(x, "dtype")


def _default(scalar: Any) -> int:
    return next(code for kind, code in PYTHON.items() if isinstance(scalar, kind))


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that operands of these dtypes promote to: arrays, dtypes and Python scalars, which are weak.

    >>> result_type(as_dtype("float32"), as_dtype("int16"), 2.5).name
    'float32'
    """
    if not arrays_and_dtypes:
        raise ValueError("result_type: needs at least one array or dtype")
    scalars = [x for x in arrays_and_dtypes if _weak(x)]
    given = [x for x in arrays_and_dtypes if not _weak(x)]
    codes = [CODE[_of(x)] for x in given] or [_default(scalars[0])]
    code = functools.reduce(functools.partial(promote, "result_type"), codes)
    for scalar in scalars:
        if not scalar_fits(scalar, code):
            code = promote("result_type", code, _default(scalar))
    return DTYPES[code]


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion leads from a dtype, or that of an array, to another: their common dtype is ``to``.

    >>> can_cast("int16", "int32"), can_cast("float64", "float32")
    (True, False)
    """
    a, b = CODE[_of(from_)], CODE[as_dtype(to)]
    return PROMOTE[a][b] == b and not (state().strict and _extended(a, b))
