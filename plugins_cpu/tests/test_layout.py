"""Movement as arithmetic on strides, against NumPy's own views; loop nests of groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad_cpu.layout import Layout, contiguous, moved
from plugrad_cpu.nest import nest, packed

F4 = np.dtype("float32")


def seen(memory: np.ndarray, x: Layout) -> np.ndarray:
    """What a layout shows of memory."""
    at = memory[x.offset // 4 :]
    return np.lib.stride_tricks.as_strided(at, x.shape, x.strides) if x.size else np.zeros(x.shape, F4)


def move(rng: Any, x: Layout) -> tuple[str, dict[str, Any]]:
    """A movement op that fits."""
    n = len(x.shape)
    pick = int(rng.integers(4))
    if pick == 0:
        return "permute", {"axes": tuple(map(int, rng.permutation(n)))}
    if pick == 1:
        return "broadcast_to", {"shape": (2, *x.shape) if rng.random() < 0.3 else x.shape}
    if pick == 2:
        step = tuple([int(rng.choice([1, 1, 2, -1, -2])) for _ in x.shape])
        size = tuple(
            [
                int(rng.integers(0 if rng.random() < 0.05 else 1, (d - 1) // abs(k) + 2)) if d else 0
                for d, k in zip(x.shape, step, strict=True)
            ]
        )
        start = tuple([(d - 1 if k < 0 else 0) if d else 0 for d, k in zip(x.shape, step, strict=True)])
        return "slice", {"start": start, "size": size, "step": step}
    size = x.size
    parts = [d for d in (1, 2, 3, 4, 6) if size and size % d == 0]
    first = int(rng.choice(parts)) if parts else 0
    rest = size // first if first else 1
    return "reshape", {"shape": (first, rest) if rng.random() < 0.5 else (rest, 1, first)}


@pytest.mark.parametrize("seed", range(200))
def test_chains_of_movement(seed: int, kit: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = [(4, 6), (2, 3, 4), (12,), (1, 6, 2), ()][seed % 5]
    memory = np.arange(np.prod(shape, dtype=int) + 5, dtype=F4)
    x, array = contiguous(3, 8, shape, F4), memory[2 : 2 + int(np.prod(shape))].reshape(shape)
    for _ in range(6):
        op, attrs = move(rng, x)
        if op == "reshape" and 0 in x.shape:
            break
        wanted = kit.evaluate_one(op, array, **attrs)
        y = moved(op, x, attrs)
        if op == "reshape":
            assert (y is not None) == np.shares_memory(array.view().reshape(attrs["shape"]), memory)
        if y is None:
            break
        assert y.base == 3 and y.shape == wanted.shape
        np.testing.assert_array_equal(seen(memory, y), wanted)
        array = seen(memory, y)
        assert y.contiguous == array.flags.c_contiguous or y.size == 0
        x = y


def test_span_and_order() -> None:
    x = contiguous(0, 64, (4, 5), F4)
    assert x.span == (64, 144) and x.order == (0, 1)
    turned = moved("permute", x, {"axes": (1, 0)})
    assert turned is not None and turned.order == (1, 0) and turned == contiguous(0, 64, (5, 4), F4).ordered((1, 0))
    back = moved("slice", x, {"start": (3, 4), "size": (4, 5), "step": (-1, -1)})
    assert back is not None and back.span == x.span and back.order is None and back.offset == 64 + 76
    some = moved("slice", x, {"start": (1, 1), "size": (2, 2), "step": (2, 3)})
    assert some is not None and some.span == (64 + 24, 64 + 24 + 40 + 12 + 4) and some.order is None


@pytest.mark.parametrize("shape", [(5,), (1,), (3, 1, 4), (40, 50), (2, 3000), (6000, 3), (7, 9, 11, 2)], ids=str)
def test_pieces_cover_the_nest(shape: tuple[int, ...]) -> None:
    flat = packed(shape, 4)
    found = nest(shape, [flat, (0,) * len(shape)], 4)
    assert len(found.shape) == 1 and found.shape[0] == np.prod(shape)
    bias = (0,) * (len(shape) - 1) + (4,)
    found = nest(shape, [flat, bias], 4)
    assert np.prod(found.shape) == np.prod(shape)
    rows = found.shape[found.axis]
    assert sum(found.pieces[:1] * (rows // found.rows)) + sum(found.pieces[1:]) == rows
    assert found.inner == np.prod(found.shape[found.axis + 1 :]) and found.rows * found.inner <= 1024
