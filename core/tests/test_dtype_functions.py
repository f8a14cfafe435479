"""finfo, iinfo, isdtype, can_cast, result_type and the constants."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("name", FLOATS)
def test_finfo(name):
    info, wanted = pg.finfo(getattr(pg, name)), np.finfo(name)
    for field in ("eps", "max", "min", "smallest_normal"):
        value = getattr(info, field)
        assert type(value) is float and value == float(getattr(wanted, field))
    assert type(info.bits) is int and info.bits == wanted.bits and info.dtype == np.dtype(name)
    assert pg.finfo(pg.zeros(2, dtype=name)) == info == pg.finfo(name)


def test_finfo_of_complex_and_of_low_precision():
    assert pg.finfo("complex64") == pg.finfo("float32") and pg.finfo(pg.asarray([1j])).dtype == np.float32
    info = pg.finfo(pg.bfloat16)
    assert (info.bits, info.eps, info.dtype) == (16, 2.0**-7, np.dtype(ml_dtypes.bfloat16))
    assert info.max == float(ml_dtypes.finfo(ml_dtypes.bfloat16).max) and type(info.max) is float
    for bad in ("int32", "bool"):
        with pytest.raises(DTypeError, match="finfo: .* is not a floating dtype"):
            pg.finfo(bad)


@pytest.mark.parametrize("name", INTEGERS)
def test_iinfo(name):
    info, wanted = pg.iinfo(name), np.iinfo(name)
    assert (info.bits, info.max, info.min, info.dtype) == (wanted.bits, wanted.max, wanted.min, np.dtype(name))
    assert [type(v) for v in info[:3]] == [int] * 3
    assert pg.iinfo(pg.ones(1, dtype=name)) == info
    with pytest.raises(DTypeError, match="iinfo: float32 is not an integer dtype"):
        pg.iinfo(pg.float32)


KINDS = {
    "bool": ["bool"],
    "signed integer": INTEGERS[:4],
    "unsigned integer": INTEGERS[4:],
    "integral": INTEGERS,
    "real floating": [*FLOATS, "bfloat16"],
    "complex floating": ["complex64", "complex128"],
    "numeric": [*INTEGERS, *FLOATS, "bfloat16", "complex64", "complex128"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_isdtype(kind):
    names = ["bool", *KINDS["numeric"]]
    assert [n for n in names if pg.isdtype(getattr(pg, n), kind)] == [n for n in names if n in KINDS[kind]]
    assert pg.isdtype(pg.bool, (kind, pg.bool)) and not pg.isdtype(pg.bool, ())


def test_isdtype_of_dtypes():
    assert pg.isdtype(pg.int8, pg.int8) and not pg.isdtype(pg.int8, pg.uint8)
    assert pg.isdtype("float8_e5m2", "real floating") and pg.isdtype("float8_e5m2", "numeric")
    assert pg.isdtype(pg.float32, (pg.int8, "complex floating", np.float32))
    with pytest.raises(ValueError, match="isdtype: 'float' is not a kind"):
        pg.isdtype(pg.int8, "float")


@pytest.mark.parametrize(("a", "b"), list(itertools.product([*INTEGERS, *FLOATS], repeat=2)))
def test_result_type_is_what_an_addition_gives(a, b):
    x, y = pg.ones(1, dtype=a), pg.ones(1, dtype=b)
    try:
        wanted = (x + y).dtype
    except DTypeError:
        for call in (pg.result_type, pg.can_cast):
            if call is pg.result_type:
                with pytest.raises(DTypeError, match="result_type: no promotion"):
                    call(x, y)
            else:
                assert not call(x, y.dtype)
        return
    assert pg.result_type(x, y) == pg.result_type(x.dtype, y) == pg.result_type(a, b) == wanted
    assert pg.can_cast(x, y.dtype) == pg.can_cast(x.dtype, y.dtype) == (wanted == y.dtype)


@pytest.mark.parametrize("scalar", [True, 2, 2.5, 1j])
@pytest.mark.parametrize("name", ["bool", "int8", "uint64", "float16", "bfloat16", "float64", "complex64"])
def test_python_scalars_are_weak(name, scalar):
    x = pg.ones(1, dtype=name)
    wanted = (x + scalar).dtype
    assert pg.result_type(x, scalar) == pg.result_type(scalar, x.dtype) == wanted


def test_result_types_of_many():
    assert pg.result_type(pg.int8, 1, 1.5, pg.float64) == np.float64
    assert (
        pg.result_type(2, 1.5) == np.float32
        and pg.result_type(3) == np.int64
        and pg.result_type(1.5, 1j) == np.complex64
    )
    assert pg.result_type(np.float64(1.0), pg.float32) == np.float64  # NumPy's scalars are not weak
    assert pg.result_type(np.float32, float) == np.float32
    with pytest.raises(ValueError, match="result_type: needs"):
        pg.result_type()
    with pg.promotion("strict"):
        assert not pg.can_cast(pg.int8, pg.float32) and pg.can_cast(pg.int8, pg.int16)
    assert pg.can_cast(pg.int8, pg.float32) and not pg.can_cast(pg.float32, pg.int8)


def test_constants():
    assert (pg.e, pg.inf, pg.pi, pg.newaxis) == (math.e, math.inf, math.pi, None) and math.isnan(pg.nan)
    assert pg.zeros(3)[:, pg.newaxis].shape == (3, 1)
