"""Movement: the same elements, and views where strides can say it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device_lab import KERNELS, LAYOUTS, call, compared, get, laid_out, put, values

from plugrad_cuda import runtime
from plugrad_cuda.text import STORED

pytestmark = pytest.mark.usefixtures("cuda")

MOVES = [
    ("reshape", (2, 3, 4), {"shape": (4, 6)}),
    ("reshape", (2, 3, 4), {"shape": (24,)}),
    ("reshape", (0, 3), {"shape": (3, 0)}),
    ("permute", (2, 3, 4), {"axes": (2, 0, 1)}),
    ("broadcast_to", (3, 1), {"shape": (2, 3, 4)}),
    ("slice", (3, 4), {"start": (2, 1), "size": (2, 2), "step": (-2, 2)}),
    ("slice", (3, 4), {"start": (0, 0), "size": (0, 4), "step": (1, 1)}),
    ("pad", (2, 3), {"low": (1, 0), "high": (0, 2), "interior": (1, 2)}),
    ("pad", (0, 2), {"low": (1, 1), "high": (1, 0), "interior": (1, 0)}),
]


@pytest.mark.parametrize(("name", "shape", "attrs"), MOVES)
def test_movement(name: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    for dtype in STORED:
        for layout in LAYOUTS:
            host, device = laid_out(values(dtype, shape, 14), layout)
            compared(name, dtype)((host,), (device,), layout, **attrs)


def test_movement_makes_views() -> None:
    x = put(np.arange(24.0).reshape(2, 3, 4))
    launches = runtime.of("0").counters.launches
    y = call(KERNELS, "permute", x, axes=(1, 0, 2))
    y = call(KERNELS, "slice", y, start=(2, 1, 0), size=(2, 1, 4), step=(-1, 1, 1))
    y = call(KERNELS, "broadcast_to", call(KERNELS, "reshape", y, shape=(2, 4)), shape=(3, 2, 4))
    assert y.buffer is x.buffer and runtime.of("0").counters.launches == launches
    assert y.offset == 20 and y.strides == (0, -4, 1)
    np.testing.assert_array_equal(get(y), np.broadcast_to(np.arange(24.0).reshape(2, 3, 4)[1, :0:-1], (3, 2, 4)))


def test_concat_and_slice_update() -> None:
    for dtype in STORED:
        a, b, c = values(dtype, (2, 3), 15), values(dtype, (2, 0), 16), values(dtype, (2, 2), 17)
        (ha, da), (hc, dc) = laid_out(a, "transposed"), laid_out(c, "reversed")
        compared("concat", dtype)((ha, b, hc), (da, put(b), dc), "three", axis=1)
        where = {"start": (1, 2), "size": (2, 2), "step": (-1, -2)}
        compared("slice_update", dtype)((ha, hc), (da, dc), "region", **where)
