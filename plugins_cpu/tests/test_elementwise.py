"""Elementwise kernels against NumPy: dtypes, layouts, broadcasting, every length of tail, in place, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from plugrad.dtypes import DTYPES, as_dtype
from plugrad.errors import DTypeError, ShapeError
from plugrad.reference.backend import NumpyBackend
from plugrad_cpu import view
from plugrad_cpu.backend import CpuBackend

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "equal": np.equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "div": np.divide,
    "pow": np.power,
    "remainder": np.remainder,
    "floor_divide": NumpyBackend.kernels["floor_divide"],
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
}
UNARY = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "invert": np.invert,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "conj": np.conj,
    "real": np.real,
    "imag": np.imag,
    "signbit": np.signbit,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
}
EXACT = {*BINARY, "neg", "sign", "invert", "sqrt", "floor", "conj", "real", "imag", "signbit"} - {"pow"}


def codes(op: str) -> list[np.dtype]:
    """The dtypes a kernel declares."""
    return [as_dtype("bfloat16" if word == "bf2" else word) for word in CpuBackend.kernels[op].dtypes.split()]


def check(op: str, got: np.ndarray, expected: np.ndarray) -> None:
    """Equal bits for exact ops, a few ulp for the others; equal dtypes and shapes always."""
    assert got.shape == expected.shape and got.dtype == expected.dtype
    exact = op in EXACT and (got.dtype.kind != "c" or op in ("add", "sub", "neg", "conj"))
    if exact or got.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=8 * np.finfo(got.dtype).eps, atol=np.finfo(got.dtype).tiny)


def reference(op: str, *arrays: np.ndarray) -> np.ndarray:
    """NumPy's result, in the dtype of this backend."""
    with np.errstate(all="ignore"):
        out = np.asarray({**BINARY, **UNARY}[op](*arrays))
    return out if out.dtype.kind == "b" or op in ("abs", "real", "imag") else out.astype(arrays[0].dtype)


@pytest.mark.parametrize(("op", "dtype"), [(op, dtype) for op in BINARY for dtype in codes(op)], ids=str)
def test_binary_in_every_dtype_and_layout(op: str, dtype: np.dtype, call: Any, kit: Any, rng: Any, layout: str) -> None:
    x, y = (kit.sample(rng, (3, 4, 5), dtype) for _ in range(2))
    y = np.abs(y) + 1 if op == "pow" else y
    expected = reference(op, x, y)
    check(op, call(op, kit.laid_out(x, layout), kit.laid_out(y, layout)), expected)
    check(op, call(op, kit.laid_out(x, layout), y), expected)
    check(op, call(op, x, kit.laid_out(y, layout)), expected)


@pytest.mark.parametrize(("op", "dtype"), [(op, dtype) for op in UNARY for dtype in codes(op)], ids=str)
def test_unary_in_every_dtype_and_layout(op: str, dtype: np.dtype, call: Any, kit: Any, rng: Any, layout: str) -> None:
    x = kit.sample(rng, (3, 4, 5), dtype)
    check(op, call(op, kit.laid_out(x, layout)), reference(op, x))


@pytest.mark.parametrize("op", ["add", "less", "maximum"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((), ()), ((), (3,)), ((4, 1), (1, 5)), ((3, 1, 5), (4, 1)), ((1,), (0,)), ((2, 0, 3), (1, 3)),
        ((7,), (2, 3, 7)), ((1, 1), ()), ((5, 1, 1, 2), (1, 6, 3, 1)), ((2, 3), (2, 3)),
    ],
)  # fmt: skip
def test_broadcasting(op: str, call: Any, kit: Any, rng: Any, a: Any, b: Any, number: Any) -> None:
    x, y = kit.sample(rng, a, number), kit.sample(rng, b, number)
    check(op, call(op, x, y), reference(op, x, y))
    check(op, call(op, y, x), reference(op, y, x))


def test_stride_zero_operands(call: Any, kit: Any, rng: Any, number: Any) -> None:
    row, column = kit.sample(rng, (1, 6), number), kit.sample(rng, (5, 1), number)
    x, y = np.broadcast_to(row, (5, 6)), np.broadcast_to(column, (5, 6))
    for a, b in ((x, y), (y, x), (x, x), (y, y), (x.T, y.T)):
        check("sub", call("sub", a, b), reference("sub", a, b))
    check("neg", call("neg", x), reference("neg", x))


@pytest.mark.parametrize("op", ["add", "mul", "less", "maximum", "exp", "log", "tanh", "sqrt"])
def test_every_tail(op: str, call: Any, kit: Any, rng: Any, floating: Any) -> None:
    """Vector loops end in every remainder, and start at every alignment."""
    whole = kit.sample(rng, (2, 80), floating)
    arity = 2 if op in BINARY else 1
    for n in range(70):
        for offset in (0, 1, 3):
            xs = [whole[k, offset : offset + n] for k in range(arity)]
            check(op, call(op, *xs), reference(op, *xs))


@pytest.mark.parametrize("op", ["add", "mul", "equal"])
def test_long_arrays_run_without_the_gil(op: str, call: Any, kit: Any, rng: Any, number: Any) -> None:
    x, y = kit.sample(rng, (101, 99), number), kit.sample(rng, (101, 99), number)
    check(op, call(op, x, y), reference(op, x, y))
    check(op, call(op, x, y[:1]), reference(op, x, y[:1]))
    check(op, call(op, x.T, y.T), reference(op, x.T, y.T))


def test_special_floats(call: Any, floating: Any) -> None:
    v = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, np.finfo(floating).tiny / 4], floating)
    x, y = (a.ravel() for a in np.meshgrid(v, v))
    for op in ("add", "sub", "mul", "div", "maximum", "minimum", "equal", "less", "less_equal", "pow"):
        np.testing.assert_array_equal(call(op, x, y), reference(op, x, y), err_msg=op)
    for op in ("neg", "abs", "sqrt", "sign", "floor", "exp", "log", "tanh"):
        np.testing.assert_allclose(call(op, v), reference(op, v), rtol=1e-6, err_msg=op)
    assert np.signbit(call("neg", np.zeros(1, floating)))[0] and np.signbit(call("tanh", -np.zeros(1, floating)))[0]


def test_division_has_numpys_answers_everywhere(call: Any, kit: Any, rng: Any) -> None:
    for dtype in kit.FLOATS:
        v = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 3, -3, 0.1, -0.1, 1e30, -7.5], dtype)
        x, y = (a.ravel() for a in np.meshgrid(v, v))
        for op in ("remainder", "floor_divide"):
            got, expected = call(op, x, y), reference(op, x, y)
            np.testing.assert_array_equal(got, expected, err_msg=op)
            some = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(got[some]), np.signbit(expected[some]), err_msg=op)
    for dtype in kit.INTS:
        info = np.iinfo(dtype)
        v = np.unique(
            np.array(
                [info.min, info.min + 1, 0, 1, 2, 7, info.max - 1, info.max, max(info.min, -1), max(info.min, -3)],
                dtype,
            )
        )
        x, y = (a.ravel() for a in np.meshgrid(v, v))
        for op in ("remainder", "floor_divide", "shift_left", "shift_right"):
            np.testing.assert_array_equal(call(op, x, y), reference(op, x, y), err_msg=f"{op} {dtype}")
        counts = np.arange(2 * 8 * dtype.itemsize, dtype=dtype)
        for op in ("shift_left", "shift_right"):
            np.testing.assert_array_equal(
                call(op, v[:, None], counts), reference(op, v[:, None], counts), err_msg=f"{op} {dtype}"
            )


def test_integers_wrap_around(call: Any, kit: Any) -> None:
    for dtype in kit.INTS:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = np.array([low, high, 0, 1], dtype)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(call("add", x, x), x + x)
            np.testing.assert_array_equal(call("mul", x, x), x * x)
            np.testing.assert_array_equal(call("neg", x), -x)
            np.testing.assert_array_equal(call("abs", x), np.abs(x))


def test_python_scalars(call: Any, kit: Any, rng: Any, number: Any) -> None:
    x = kit.sample(rng, (3, 5), number)
    two = number.type(2)
    np.testing.assert_array_equal(call("mul", x, 2), x * two)
    np.testing.assert_array_equal(call("sub", 2, x), two - x)
    np.testing.assert_array_equal(call("less", x, 2), x < two)
    np.testing.assert_array_equal(call("where", x < two, x, 2), np.where(x < two, x, two))
    np.testing.assert_array_equal(call("where", x < two, 2, x), np.where(x < two, two, x))


def test_scalars_that_do_not_fit_raise(call: Any) -> None:
    with pytest.raises(OverflowError):
        call("add", np.zeros(3, np.int32), 2**40)
    with pytest.raises(OverflowError):
        call("add", np.zeros(3, np.uint32), -1)


@pytest.mark.parametrize("op", [*BINARY, *UNARY])
def test_in_place_over_each_operand(op: str, backend: Any, into: Any, kit: Any, rng: Any, layout: str) -> None:
    if op not in backend.into:
        assert op in ("equal", "less", "less_equal", "real", "imag", "signbit")
        return
    dtype = next(d for d in (np.dtype("f4"), np.dtype("i4"), np.dtype("c8")) if d in codes(op))
    arrays = [(np.abs(kit.sample(rng, (5, 7), dtype)) + 1).astype(dtype) for _ in range(2 if op in BINARY else 1)]
    expected = reference(op, *arrays)
    for k in range(len(arrays)):
        check(op, into(op, k, *[kit.laid_out(a, layout) for a in arrays]), expected)


def test_in_place_with_broadcast_operands(into: Any, kit: Any, rng: Any, number: Any) -> None:
    x, y = kit.sample(rng, (4, 6), number), kit.sample(rng, (6,), number)
    check("sub", into("sub", 0, x, y), reference("sub", x, y))
    check("sub", into("sub", 1, y, x), reference("sub", y, x))
    check("add", into("add", 0, x, kit.sample(rng, (), number) * 0 + number.type(3)), x + number.type(3))
    with pytest.raises(ShapeError):
        into("add", 1, x, y)


def test_in_place_where(into: Any, kit: Any, rng: Any, stored: Any) -> None:
    c = rng.random((4, 5)) < 0.5
    x, y = kit.sample(rng, (4, 5), stored), kit.sample(rng, (4, 5), stored)
    for k in (1, 2):
        np.testing.assert_array_equal(into("where", k, c, x, y), np.where(c, x, y))


def test_where_in_every_layout(call: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    c = rng.random((3, 4, 5)) < 0.5
    x, y = kit.sample(rng, (3, 4, 5), stored), kit.sample(rng, (3, 4, 5), stored)
    expected = np.where(c, x, y)
    np.testing.assert_array_equal(call("where", kit.laid_out(c, layout), kit.laid_out(x, layout), y), expected)
    np.testing.assert_array_equal(call("where", c, x, kit.laid_out(y, layout)), expected)
    np.testing.assert_array_equal(call("where", c, x[0, 0], y[:, :1]), np.where(c, x[0, 0], y[:, :1]))
    np.testing.assert_array_equal(call("where", c[0, 0, :1], x, y[0]), np.where(c[0, 0, :1], x, y[0]))
    np.testing.assert_array_equal(call("where", c, x[0, 0, 0:1], y[1]), np.where(c, x[0, 0, 0:1], y[1]))


@pytest.mark.parametrize("target", DTYPES, ids=str)
def test_casts_between_all_dtypes(call: Any, kit: Any, rng: Any, stored: Any, layout: str, target: np.dtype) -> None:
    x = kit.sample(rng, (3, 4, 5), stored)
    if target.kind == "u" and stored.kind not in "biu":
        x = np.abs(x).astype(stored)
    expected = NumpyBackend.kernels["cast"](x, dtype=target)
    got = call("cast", kit.laid_out(x, layout), dtype=target)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_a_cast_of_nan_to_bool_is_true(call: Any, floating: Any) -> None:
    assert call("cast", np.array([np.nan, 0, -0.0, 0.5], floating), dtype=np.dtype(bool)).tolist() == [
        True,
        False,
        False,
        True,
    ]


NARROW = tuple(map(as_dtype, ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")))


@pytest.mark.parametrize("narrow", NARROW, ids=str)
def test_every_narrow_float_is_widened_exactly(narrow: np.dtype, call: Any) -> None:
    x = np.arange(2 ** (8 * narrow.itemsize)).astype(f"u{narrow.itemsize}").view(narrow)
    for wide in (np.dtype("f4"), np.dtype("f8")):
        with np.errstate(invalid="ignore"):
            got, expected = call("cast", x, dtype=wide), x.astype(wide)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))
        np.testing.assert_array_equal(call("cast", got, dtype=narrow).astype(wide), expected)


@pytest.mark.parametrize("narrow", NARROW, ids=str)
def test_narrow_floats_are_rounded_to_the_nearest(narrow: np.dtype, call: Any, rng: Any) -> None:
    """Halfway between neighbours goes to the even one; subnormal numbers, overflow and infinity are included."""
    with np.errstate(invalid="ignore"):
        every = np.arange(2 ** (8 * narrow.itemsize)).astype(f"u{narrow.itemsize}").view(narrow).astype("f8")
    every = np.sort(every[np.isfinite(every)])
    halves = ((every[1:] + every[:-1]) / 2).astype("f4")
    spread = (rng.normal(size=20_000) * 2.0 ** rng.integers(-140, 120, 20_000)).astype("f4")
    near = np.concatenate([every[-1:] * k for k in (1.001, 1.03, 1.04, 1.12, 1.13, 1.5, 2.0)])
    near = np.minimum(near, np.finfo(np.float32).max).astype("f4")
    given = [halves, np.nextafter(halves, np.float32(np.inf)), np.nextafter(halves, np.float32(-np.inf))]
    x = np.concatenate([*given, spread, near, -near, np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], "f4")])
    for wide in ("f4", "f8"):
        got = call("cast", x.astype(wide), dtype=narrow).astype("f4")
        expected = NumpyBackend.kernels["cast"](x, dtype=narrow).astype("f4")
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))


@pytest.mark.parametrize("integer", ["i8", "u8"])
def test_long_integers_are_rounded_to_bfloat16_once(integer: str, call: Any) -> None:
    """A little above halfway between neighbours, where a double already stands on it."""
    x = np.array([2**62 + 2**54 + 1, 2**62 + 2**54, 2**62 + 2**54 - 1, 2**53 + 2**45 + 1], integer)
    expected = np.array([2**62 + 2**55, 2**62, 2**62, 2**53 + 2**46], "f8")
    bfloat16 = as_dtype("bfloat16")
    np.testing.assert_array_equal(call("cast", x, dtype=bfloat16).astype("f8"), expected)
    if integer == "i8":
        np.testing.assert_array_equal(call("cast", -x, dtype=bfloat16).astype("f8"), -expected)
        assert call("cast", np.array([-(2**63), 2**63 - 1]), dtype=bfloat16).tolist() == [-(2.0**63), 2.0**63]
    else:
        assert call("cast", np.array([2**64 - 1], "u8"), dtype=bfloat16).tolist() == [2.0**64]


@pytest.mark.parametrize(
    ("op", "x", "y"),
    [
        ("tanh", complex(math.inf, math.nan), complex(1, 0)),
        ("tanh", complex(math.nan, 0), complex(math.nan, 0)),
        ("tanh", complex(math.inf, 2), complex(1, 0)),
        ("tanh", complex(-math.inf, -2), complex(-1, -0.0)),
        ("acos", 0j, complex(math.pi / 2, -0.0)),
        ("acos", complex(-math.inf, math.inf), complex(3 * math.pi / 4, -math.inf)),
        ("asinh", complex(math.inf, math.inf), complex(math.inf, math.pi / 4)),
        ("asinh", complex(-0.0, 0.0), complex(-0.0, 0.0)),
        ("cosh", complex(math.inf, 0), complex(math.inf, 0)),
        ("sqrt", complex(-4.0, -0.0), complex(0, -2)),
        ("sqrt", complex(-math.inf, 1.0), complex(0, math.inf)),
    ],
)
def test_complex_functions_keep_special_values(op: str, x: complex, y: complex, call: Any, kit: Any) -> None:
    for dtype in kit.COMPLEX:
        (got,) = call(op, np.array([x], dtype))
        for part, expected in ((got.real, y.real), (got.imag, y.imag)):
            np.testing.assert_allclose(part, expected, rtol=1e-6)
            assert math.isnan(expected) or np.signbit(part) == np.signbit(expected)


def test_the_sign_bit_of_everything(call: Any, floating: Any) -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -np.nan], floating)
    assert call("signbit", x).tolist() == [False, True] * 4
    assert call("signbit", x[::-2]).tolist() == [True] * 4
    assert call("signbit", x.astype("f2")).tolist() == [False, True] * 4


@pytest.mark.parametrize("op", sorted(set(CpuBackend.into) - {"where", "slice_update", "scatter"}))
def test_in_place_forms_decline_dtypes_without_a_loop(op: str, backend: Any, kit: Any) -> None:
    for dtype in set(kit.STORED) - set(codes(op)):
        x, i = view.from_array(np.ones(3, dtype)), view.from_array(np.arange(3))
        scatter = op.startswith("scatter")
        operands = (x, i, x) if scatter else (x, x) if op in BINARY else (x,)
        attrs = {} if not scatter else {"axis": 0 if op == "scatter_add" else (0,)}
        assert backend.into[op](x, *operands, **attrs) is NotImplemented
        np.testing.assert_array_equal(np.asarray(x), np.ones(3, dtype))


@pytest.mark.parametrize("op", [*BINARY, *UNARY])
def test_undeclared_dtypes_raise(op: str, call: Any, kit: Any) -> None:
    for dtype in set(kit.STORED) - set(codes(op)):
        with pytest.raises(DTypeError, match=f"{op}: not defined for {dtype}"):
            call(op, *[np.ones(3, dtype)] * (2 if op in BINARY else 1))


def test_shapes_and_dtypes_that_do_not_fit_raise(call: Any, into: Any) -> None:
    with pytest.raises(ShapeError, match=r"add: shapes \(2, 3\) and \(4,\) do not broadcast"):
        call("add", np.zeros((2, 3)), np.zeros(4))
    with pytest.raises(DTypeError, match="add: operands are float64 and float32"):
        call("add", np.zeros(3), np.zeros(3, np.float32))
    with pytest.raises(DTypeError, match="exp: not defined for int32"):
        call("exp", np.zeros(3, np.int32))
    with pytest.raises(DTypeError, match="where"):
        call("where", np.zeros(3), np.zeros(3), np.zeros(3))
    with pytest.raises(ShapeError, match="where"):
        call("where", np.zeros(2, bool), np.zeros(3), np.zeros(3))
    with pytest.raises(TypeError):
        call("exp", 3.0)
    with pytest.raises(TypeError):
        call("add", 3.0, 4.0)
    with pytest.raises(TypeError):
        call("add", 3.0, None)
    with pytest.raises(TypeError):
        call("where", np.zeros(3, bool), 3.0, None)
