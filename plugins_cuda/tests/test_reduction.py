"""Reductions and running sums against the reference, over dtypes, layouts and the ways they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from device_lab import KERNELS, LAYOUTS, REFERENCE, agree, call, compared, dtypes_of, get, laid_out, put, values

from plugrad_cuda import expressions, runtime

pytestmark = pytest.mark.usefixtures("cuda")

AXES = [(0,), (1,), (0, 1), (2,), (0, 2), (1, 2), (0, 1, 2), ()]


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reductions(name: str, layout: str) -> None:
    for dtype in dtypes_of(name):
        a = values(dtype, (3, 5, 4), 9, positive=expressions.kind(dtype) == "f" and name in ("sum", "prod"))
        host, device = laid_out(a, layout)
        for axis in AXES:
            for keepdims in (False, True):
                attrs = {"axis": axis, "keepdims": keepdims}
                with np.errstate(all="ignore"):
                    wanted = call(REFERENCE, name, host, **attrs)
                got = get(call(KERNELS, name, device, **attrs))
                agree(got, wanted, f"{name} {dtype} {layout} {attrs}", name in ("sum", "prod"), scale=4)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions_of_extrema(name: str) -> None:
    for dtype in dtypes_of(name):
        for layout in LAYOUTS:
            host, device = laid_out(values(dtype, (3, 5, 40), 10), layout)
            for axis in range(3):
                attrs = {"axis": axis, "keepdims": axis == 1}
                compared(name, dtype)((host,), (device,), f"{layout} {attrs}", **attrs)


SIZES = [
    ((70000,), (0,)),
    ((3, 40000), (1,)),
    ((40000, 3), (0,)),
    ((300, 700), (0,)),
    ((700, 300), (1,)),
    ((20, 90, 30), (0, 2)),
]


@pytest.mark.parametrize(("shape", "axis"), SIZES)
def test_long_reductions_go_in_parts(shape: tuple[int, ...], axis: tuple[int, ...]) -> None:
    a = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    device = put(a)
    launches = runtime.of("0").counters.launches
    got = get(call(KERNELS, "sum", device, axis=axis, keepdims=False))
    assert runtime.of("0").counters.launches - launches in (1, 2)
    wanted = a.astype(np.float64).sum(axis=axis)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6 * np.sqrt(a.size / wanted.size) * 10)
    again = get(call(KERNELS, "sum", device, axis=axis, keepdims=False))
    np.testing.assert_array_equal(got, again)
    if len(axis) == 1:
        a.reshape(-1)[:: a.size // 7] = 50.0
        compared("argmax", "f4")((a,), (put(a),), f"{shape}", axis=axis[0], keepdims=False)


def test_nan_wins_a_maximum_wherever_it_is() -> None:
    for at in (0, 31, 32, 255, 256, 5000, 69999):
        a = np.zeros(70000, np.float32)
        a[at] = np.nan
        x = put(a)
        assert np.isnan(get(call(KERNELS, "max", x, axis=(0,), keepdims=False)))
        assert np.isnan(get(call(KERNELS, "min", x, axis=(0,), keepdims=False)))
        assert get(call(KERNELS, "argmax", x, axis=0, keepdims=False)) == at


def test_reductions_of_nothing() -> None:
    empty = put(np.zeros((0, 3), np.float32))
    assert get(call(KERNELS, "sum", empty, axis=(0,), keepdims=False)).tolist() == [0.0] * 3
    assert get(call(KERNELS, "prod", empty, axis=(0,), keepdims=True)).tolist() == [[1.0] * 3]
    assert get(call(KERNELS, "max", empty, axis=(1,), keepdims=False)).shape == (0,)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 300), (300, 2), (2, 3, 700), (0, 3)])
def test_running_sums(shape: tuple[int, ...]) -> None:
    for dtype in dtypes_of("cumsum", "b1", "i4", "f4"):
        for layout in LAYOUTS[:2] if np.prod(shape) > 100 else LAYOUTS:
            host, device = laid_out(values(dtype, shape, 11, positive=True), layout)
            for axis in range(len(shape)):
                got = get(call(KERNELS, "cumsum", device, axis=axis))
                agree(got, call(REFERENCE, "cumsum", host, axis=axis), f"{dtype} {shape} {layout}", True, scale=20)
