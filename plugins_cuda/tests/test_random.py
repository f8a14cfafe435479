"""Random bits equal to the reference's, and creation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from device_lab import DTYPES, KERNELS, call, compared, get, laid_out, put

from plugrad_cuda import expressions
from plugrad_cuda.backend import CudaBackend
from plugrad_cuda.text import STORED

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.mark.parametrize("shape", [(), (1,), (4,), (5,), (2, 3), (0,), (1030,)])
@pytest.mark.parametrize("lead", [(), (3,), (2, 2)])
def test_random_bits_are_the_reference_s(shape: tuple[int, ...], lead: tuple[int, ...]) -> None:
    key = np.random.default_rng(7).integers(0, 2**32, (*lead, 2), np.uint64).astype(np.uint32)
    for layout in ("contiguous", "transposed", "reversed", "sliced"):
        host, device = laid_out(key, layout)
        compared("random_bits", "u4")((host,), (device,), f"{shape} {lead} {layout}", shape=shape)
    assert get(call(KERNELS, "random_bits", put(np.zeros((0, 2), np.uint32)), shape=shape)).shape == (0, *shape)


def test_the_counter_of_random_bits_has_64_bits() -> None:
    """Words beyond element 2**34 cannot be drawn in a test; the text must carry the high half."""
    from plugrad_cuda import random

    assert "uint64(block) >> 32" in random.entry(1)[1]


@pytest.mark.parametrize("dtype", STORED)
def test_creation(dtype: str) -> None:
    for value in (0, 1, 3):
        got = get(call(KERNELS, "full", shape=(2, 3), dtype=DTYPES[dtype], value=value, device="0"))
        np.testing.assert_array_equal(got, np.full((2, 3), value, DTYPES[dtype]))
    if dtype != "b1":
        for size in (0, 1, 5, 100):
            got = get(call(KERNELS, "iota", size=size, dtype=DTYPES[dtype], device="0"))
            np.testing.assert_array_equal(got, np.arange(size).astype(DTYPES[dtype]))
    if expressions.kind(dtype) == "f":
        for value in (float("nan"), float("-inf"), 1e300):
            got = get(call(KERNELS, "full", shape=(3,), dtype=DTYPES[dtype], value=value, device="0"))
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(got, np.full(3, np.float64(value)).astype(DTYPES[dtype]))


def test_every_kernel_of_the_table_is_tested_somewhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    tables = {*expressions.UNARY, *expressions.BINARY, *expressions.COMPARISONS}
    assert [name for name in CudaBackend.kernels if name not in tables and f'"{name}"' not in text] == []
