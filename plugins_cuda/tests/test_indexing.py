"""Gather and scatter-add against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from device_lab import KERNELS, LAYOUTS, REFERENCE, agree, call, compared, dtypes_of, get, laid_out, put, values

from plugrad_cuda.text import STORED

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_gather_and_scatter_add(axis: int, shape: tuple[int, ...]) -> None:
    n = (3, 4, 5)[axis]
    i = np.random.default_rng(6).integers(-n, n, shape)
    for dtype in STORED:
        for layout in LAYOUTS:
            host, device = laid_out(values(dtype, (3, 4, 5), 18, positive=True), layout)
            compared("gather", dtype)((host, i), (device, put(i)), f"{layout} {axis} {shape}", axis=axis)
    where = laid_out(i, "reversed")
    for dtype in dtypes_of("scatter_add"):
        for layout in LAYOUTS:
            taken = (3, 4, 5)[:axis] + shape + (3, 4, 5)[axis + 1 :]
            x, (hv, dv) = (
                values(dtype, (3, 4, 5), 19, positive=True),
                laid_out(values(dtype, taken, 20, positive=True), layout),
            )
            got = get(call(KERNELS, "scatter_add", put(x), where[1], dv, axis=axis))
            agree(got, call(REFERENCE, "scatter_add", x, i, hv, axis=axis), f"{dtype} {layout}", True, scale=4)
