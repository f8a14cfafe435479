"""What the tests share: the backend, kernels called on NumPy arrays with their layout kept, arrays of every layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plugrad.dtypes import as_dtype
from plugrad_cpu import view
from plugrad_cpu.backend import CpuBackend

Call = Callable[..., Any]


@pytest.fixture(scope="session")
def backend() -> CpuBackend:
    """The backend."""
    return CpuBackend()


@pytest.fixture(scope="session")
def call(backend: CpuBackend) -> Call:
    """``call(op, *arrays, **attrs)``: the kernel on views that keep the arrays' strides; arrays out."""

    def run(op: str, *arrays: Any, **attrs: Any) -> Any:
        values = [view.over_array(a) if isinstance(a, np.ndarray) else a for a in arrays]
        before = [a.tobytes() if isinstance(a, np.ndarray) else None for a in arrays]
        result = backend.kernels[op].fn(*values, **attrs)
        for array, content in zip(arrays, before, strict=True):
            assert content is None or array.tobytes() == content, f"{op} wrote to an operand"
        results = result if isinstance(result, tuple) else (result,)
        outs = [settled(r) if isinstance(r, view.View) else np.asarray(r) for r in results]
        return tuple(outs) if isinstance(result, tuple) else outs[0]

    return run


def settled(value: view.View) -> np.ndarray:
    """The array on a view, which must know its own size and contiguity: later kernels rely on them."""
    array = np.asarray(value)
    assert value.is_contiguous == array.flags.c_contiguous, f"{value!r} says contiguous: {value.is_contiguous}"
    assert value.nbytes == array.nbytes
    return array


@pytest.fixture(scope="session")
def into(backend: CpuBackend) -> Call:
    """``into(op, k, *arrays, **attrs)``: the in-place form with operand k as the result; its new content."""

    def run(op: str, k: int, *arrays: Any, **attrs: Any) -> Any:
        values = [view.over_array(np.array(a, order="K")) for a in arrays]
        assert backend.into[op](values[k], *values, **attrs) is None
        return np.asarray(values[k])

    return run


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same elements under another layout."""
    if layout == "contiguous" or array.ndim == 0:
        return array
    if layout == "transposed":
        return np.asfortranarray(array)
    if layout == "swapped":
        return np.ascontiguousarray(np.moveaxis(array, 0, -1)).transpose(-1, *range(array.ndim - 1))
    if layout == "sliced":
        wide = np.zeros(tuple(2 * n + 3 for n in array.shape), array.dtype)
        wide[tuple(slice(1, 1 + 2 * n, 2) for n in array.shape)] = array
        return wide[tuple(slice(1, 1 + 2 * n, 2) for n in array.shape)]
    if layout == "flipped":
        return np.ascontiguousarray(np.flip(array))[(slice(None, None, -1),) * array.ndim]
    raise ValueError(layout)


LAYOUTS = ("contiguous", "transposed", "swapped", "sliced", "flipped")
INTS = tuple(np.dtype(t) for t in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"))
FLOATS = (np.dtype("f4"), np.dtype("f8"))
COMPLEX = (np.dtype("c8"), np.dtype("c16"))
COMPUTED = (np.dtype("?"), *INTS, *FLOATS)
STORED = (*COMPUTED, *COMPLEX, *map(as_dtype, ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")))


def sample(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, low: int = -9, high: int = 9
) -> np.ndarray:
    """Small values of a dtype, signs and repetitions included."""
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind == "c":
        return np.asarray(rng.normal(size=shape) * 3 + rng.normal(size=shape) * 3j).astype(dtype)
    if dtype.kind not in "iu":
        return np.asarray(rng.normal(size=shape) * 3).astype(dtype)
    return rng.integers(0 if dtype.kind == "u" else low, high, size=shape).astype(dtype)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20240607)


class Kit:
    """The helpers above, for tests: ``kit.laid_out``, ``kit.LAYOUTS``, ``kit.sample``."""

    laid_out = staticmethod(laid_out)
    sample = staticmethod(sample)
    LAYOUTS, INTS, FLOATS, COMPLEX = LAYOUTS, INTS, FLOATS, COMPLEX
    COMPUTED, STORED = COMPUTED, STORED


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    """The helpers of this file."""
    return Kit


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``layout``, ``stored``, ``computed``, ``number`` and ``floating`` arguments run over all layouts and dtypes."""
    lists: dict[str, tuple[Any, ...]] = {
        "layout": LAYOUTS,
        "stored": STORED,
        "computed": COMPUTED,
        "number": (*INTS, *FLOATS),
        "floating": FLOATS,
    }
    for name, values in lists.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, ids=str)
