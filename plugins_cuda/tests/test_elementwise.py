"""Elementwise kernels against the reference, over dtypes, layouts and sizes; scalars, casts, results in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device_lab import (
    DTYPES,
    INTO,
    KERNELS,
    LAYOUTS,
    REFERENCE,
    SHAPES,
    agree,
    call,
    compared,
    dtypes_of,
    get,
    laid_out,
    put,
    values,
)

from plugrad_cuda import elementwise, expressions, runtime
from plugrad_cuda.text import STORED

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.mark.parametrize("name", expressions.UNARY)
def test_one_operand(name: str) -> None:
    for dtype in dtypes_of(name):
        run = compared(name, dtype)
        for shape in SHAPES:
            a = values(dtype, shape, positive=name in ("log", "log1p", "sqrt"))
            for layout in LAYOUTS if shape in ((3, 4), (2, 3, 4), (2, 1103)) else LAYOUTS[:1]:
                host, device = laid_out(a, layout)
                run((host,), (device,), f"{shape} {layout}")


@pytest.mark.parametrize("name", [*expressions.BINARY, *expressions.COMPARISONS])
def test_two_operands(name: str) -> None:
    for dtype in dtypes_of(name):
        run = compared(name, dtype)
        for shape in SHAPES:
            a, b = values(dtype, shape, 1, name == "pow"), values(dtype, shape, 2)
            if name.startswith("shift"):
                b = np.abs(b) % 40
            for layout in LAYOUTS if shape in ((3, 4), (2, 1103)) else LAYOUTS[:1]:
                x, y = laid_out(a, layout), laid_out(b, "contiguous")
                run((x[0], y[0]), (x[1], y[1]), f"{shape} {layout}")
                run((y[0], x[0]), (y[1], x[1]), f"{shape} {layout} second") if name != "pow" else None


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_division_with_infinities_and_zeros(name: str) -> None:
    for dtype in dtypes_of(name, "f4", "f8"):
        x = np.array([np.inf, -np.inf, 2.0, -2.0, 0.0, -0.0, 7.5, np.nan], DTYPES[dtype])
        a, b = np.repeat(x, x.size), np.tile(x, x.size)
        got, expected = get(call(KERNELS, name, put(a), put(b))), call(REFERENCE, name, a, b)
        np.testing.assert_array_equal(got, expected)
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("name", ["add", "sub", "less", "maximum", "mul"])
@pytest.mark.parametrize(
    "shapes", [((3, 1), (4,)), ((2, 3, 4), (3, 1)), ((), (5,)), ((1,), (0, 3)), ((4, 1, 2), (1, 3, 1))]
)
def test_operands_broadcast(name: str, shapes: Any) -> None:
    for dtype in dtypes_of(name, "i4", "f4"):
        a, b = [values(dtype, shape, k) for k, shape in enumerate(shapes)]
        compared(name, dtype)((a, b), (put(a), put(b)), f"{shapes}")
        compared(name, dtype)((b, a), (put(b), put(a)), f"{shapes} the other way")


@pytest.mark.parametrize("name", ["add", "div", "pow", "equal", "maximum", "remainder"])
def test_a_scalar_in_place_of_an_operand(name: str) -> None:
    for dtype in dtypes_of(name):
        a = values(dtype, (3, 4), 3, name == "pow")
        scalar: Any = {"b": True, "f": 1.5}.get(expressions.kind(dtype), 3)
        typed = DTYPES[dtype].type(scalar)
        compared(name, dtype)((a, typed), (put(a), scalar), "scalar second")
        compared(name, dtype)((typed, a), (scalar, put(a)), "scalar first")


def test_scalars_that_do_not_fit() -> None:
    x = put(np.ones(3, np.float32))
    assert get(call(KERNELS, "add", x, 1e300)).tolist() == [np.inf] * 3
    assert get(call(KERNELS, "add", x, -1e300)).tolist() == [-np.inf] * 3
    assert np.isnan(get(call(KERNELS, "add", x, float("nan")))).all()
    assert np.signbit(get(call(KERNELS, "mul", x, -0.0))).all()
    assert call(KERNELS, "add", put(np.ones(3, np.int32)), 1 << 40) is NotImplemented
    assert call(KERNELS, "add", put(np.ones(3, np.uint32)), -1) is NotImplemented


@pytest.mark.parametrize("layout", LAYOUTS)
def test_where(layout: str) -> None:
    c = values("b1", (3, 4), 5)
    for dtype in dtypes_of("where"):
        x, y = laid_out(values(dtype, (3, 4), 6), layout), laid_out(values(dtype, (4,), 7), "contiguous")
        compared("where", dtype)((c, x[0], y[0]), (put(c), x[1], y[1]), layout)
        compared("where", dtype)((c[:1], y[0], x[0]), (put(c[:1]), y[1], x[1]), layout)


@pytest.mark.parametrize("target", STORED)
def test_casts(target: str) -> None:
    for source in STORED:
        a = values(source, (3, 20), 8)
        if expressions.kind(source) == "f":
            a = np.nan_to_num(a, nan=0.0, posinf=100.0, neginf=-100.0)
            if expressions.kind(target) == "u":
                a = np.abs(a)
        for layout in ("contiguous", "transposed"):
            host, device = laid_out(a, layout)
            compared("cast", source)((host,), (device,), f"to {target} {layout}", dtype=DTYPES[target])


def test_a_cast_of_nan_to_bool_is_true() -> None:
    nan = np.array([np.nan, 0.0, -0.0, 0.5], np.float32)
    assert get(call(KERNELS, "cast", put(nan), dtype=np.dtype(bool))).tolist() == [True, False, False, True]


def test_only_aligned_operands_are_read_sixteen_bytes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misaligned access is a fault on a GPU, which the emulated driver does not see."""
    device, seen = runtime.of("0"), []
    launch = device.launch

    def spied(op: str, kernel: Any, *args: Any) -> None:
        seen.append(next(name for name, known in device._kernels.items() if known is kernel))
        launch(op, kernel, *args)

    monkeypatch.setattr(device, "launch", spied)
    x, y = put(np.arange(5000, dtype=np.float32)), put(np.ones(4999, np.float32))
    for start, lanes in ((4, 4), (1, 1), (0, 4), (2, 1)):
        a = call(KERNELS, "slice", x, start=(start,), size=(4900,), step=(1,))
        b = call(KERNELS, "slice", y, start=(0,), size=(4900,), step=(1,))
        seen.clear()
        call(KERNELS, "add", a, b), call(KERNELS, "add", b, a)
        call(KERNELS, "exp", a), call(KERNELS, "mul", a, 2.0)
        INTO["sub"](a, b, b), INTO["sub"](b, b, a), INTO["sub"](b, a, b), INTO["neg"](a, b)
        assert [name[-3:] for name in seen] == [f"_x{lanes}"] * 8, start


# -- in place


@pytest.mark.parametrize("name", [n for n in INTO if n not in ("slice_update", "scatter_add", "where")])
def test_results_in_given_memory(name: str) -> None:
    """Into memory of its own, and into each operand."""
    count = 1 if name in expressions.UNARY else 2
    for dtype in dtypes_of(name, "b1", "i4", "f4"):
        for shape in ((3, 4), (2, 1103)):
            hosts = [values(dtype, shape, 21 + k, name in ("log", "log1p", "sqrt", "pow")) for k in range(count)]
            if name.startswith("shift"):
                hosts[1] = np.abs(hosts[1]) % 40
            wanted = get(call(KERNELS, name, *map(put, hosts)))
            for target in range(-1, count):
                devices = [put(h) for h in hosts]
                out = put(np.zeros_like(hosts[0])) if target < 0 else devices[target]
                assert INTO[name](out, *devices) is None
                np.testing.assert_array_equal(get(out), wanted, err_msg=f"{name} {dtype} into {target}")


def test_where_and_updates_in_given_memory() -> None:
    c, x, y = values("b1", (3, 4), 24), values("f4", (3, 4), 25), values("f4", (3, 4), 26)
    for target in (1, 2):
        devices = [put(c), put(x), put(y)]
        INTO["where"](devices[target], *devices)
        np.testing.assert_array_equal(get(devices[target]), np.where(c, x, y))
    where = {"start": (0, 3), "size": (3, 2), "step": (1, -2)}
    wanted = call(REFERENCE, "slice_update", x, y[:, :2], **where)
    device, v = put(x), put(y[:, :2].copy())
    INTO["slice_update"](device, device, v, **where)
    np.testing.assert_array_equal(get(device), wanted)
    out = put(np.zeros_like(x))
    INTO["slice_update"](out, put(x), v, **where)
    np.testing.assert_array_equal(get(out), wanted)
    i = np.array([1, 1, -3])
    rows = np.ones((3, 4), np.float32)
    wanted = call(REFERENCE, "scatter_add", np.abs(rows), i, rows, axis=0)
    device = put(rows)
    assert INTO["scatter_add"](device, device, put(i), put(rows), axis=0) is None
    np.testing.assert_array_equal(get(device), wanted)
    assert INTO["scatter_add"](put(np.ones(3, np.int8)), None, None, None, axis=0) is NotImplemented


def test_a_result_in_strided_memory() -> None:
    base = put(np.zeros((4, 6), np.float32))
    out = call(KERNELS, "slice", base, start=(3, 0), size=(2, 3), step=(-2, 2))
    INTO["add"](out, put(np.ones((2, 3), np.float32)), put(np.full((2, 3), 2, np.float32)))
    wanted = np.zeros((4, 6), np.float32)
    wanted[3::-2, ::2] = 3
    np.testing.assert_array_equal(get(base), wanted)


def test_positions_of_64_bits_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that need them are too large for a test, so all are made to."""
    from plugrad_cuda import reduction

    for module in (elementwise, reduction):
        monkeypatch.setattr(module, "needs_64", lambda *args: True)
    for op in (*elementwise.OPS.values(), *reduction.OPS.values()):
        monkeypatch.setattr(op, "_plans", {})
    a = values("f4", (3, 5, 4), 27, positive=True)
    for layout in LAYOUTS:
        host, device = laid_out(a, layout)
        compared("add", "f4")((host, a), (device, put(a)), layout)
        for axis in ((0,), (1, 2)):
            got = get(call(KERNELS, "sum", device, axis=axis, keepdims=False))
            agree(got, host.sum(axis=axis), layout, True, scale=4)
