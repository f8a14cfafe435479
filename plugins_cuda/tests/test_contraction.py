"""Matrix products of every layout, tile and dtype."""

from __future__ import annotations

import numpy as np
import pytest
from device_lab import KERNELS, LAYOUTS, agree, call, dtypes_of, get, laid_out, put, values

pytestmark = pytest.mark.usefixtures("cuda")

PRODUCTS = [
    ((1, 1), (1, 1)),
    ((3, 4), (4, 2)),
    ((17, 40), (40, 33)),
    ((2, 3, 4), (2, 4, 5)),
    ((3, 1, 2, 4), (5, 4, 3)),
    ((3, 0), (0, 2)),
    ((0, 3), (3, 2)),
    ((1, 70), (70, 1)),
    ((2, 5), (3, 5, 2)),
    ((100, 20), (20, 90)),
]


@pytest.mark.parametrize(("a", "b"), PRODUCTS)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    for dtype in dtypes_of("matmul", "i4", "u1", "f4", "f8"):
        x, y = values(dtype, a, 12, positive=True), values(dtype, b, 13, positive=True)
        for left in LAYOUTS:
            for right in LAYOUTS if left in ("contiguous", "transposed") else LAYOUTS[:1]:
                (hx, dx), (hy, dy) = laid_out(x, left), laid_out(y, right)
                got = get(call(KERNELS, "matmul", dx, dy))
                agree(got, np.matmul(hx, hy), f"{dtype} {a} @ {b} {left} {right}", True, scale=8)


@pytest.mark.parametrize("tile", ["large", "middle", "small"])
def test_every_tile(tile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from plugrad_cuda import contraction

    monkeypatch.setattr(contraction, "_tile", lambda *args: tile)
    monkeypatch.setattr(contraction, "_plans", {})
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 150, 37)).astype(np.float32), rng.normal(size=(37, 140)).astype(np.float32)
    agree(get(call(KERNELS, "matmul", put(a), put(b))), a @ b, tile, True, scale=8)


def test_larger_tiles_for_larger_products() -> None:
    from plugrad_cuda.contraction import _tile

    assert [_tile(n, n, 1, "f4") for n in (64, 1024, 4096)] == ["small", "small", "large"]
    assert _tile(128, 128, 100, "f4") == "middle"
    assert _tile(4096, 4096, 1, "f8") == "middle"
    assert _tile(4096, 8, 1000, "f4") == "small"
