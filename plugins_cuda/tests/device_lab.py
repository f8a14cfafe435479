"""A bench for tests of kernels: values in every layout on host and device, and comparison with the reference."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import plugrad  # noqa: F401 - the ops register on import
from plugrad.dtypes import DTYPES as ALL_DTYPES
from plugrad.dtypes import SHORT
from plugrad.reference.backend import NumpyBackend
from plugrad_cuda import expressions, runtime
from plugrad_cuda.array import DeviceArray
from plugrad_cuda.backend import CudaBackend
from plugrad_cuda.text import STORED

KERNELS = CudaBackend.kernels
INTO = CudaBackend.into
REFERENCE = NumpyBackend.kernels
DTYPES = {name: ALL_DTYPES[SHORT.index(name)] for name in STORED}
ROUGH = {"exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "pow", "nn.sigmoid", "nn.silu"}
"""Functions that differ between mathematical libraries in the last digits."""

SHAPES = [(), (5,), (3, 4), (2, 3, 4), (0, 3), (2, 1103)]
LAYOUTS = ["contiguous", "transposed", "sliced", "reversed", "broadcast"]


def put(array: np.ndarray) -> DeviceArray:
    return runtime.of("0").upload(array)


def get(value: DeviceArray) -> np.ndarray:
    return CudaBackend.to_host(None, value)  # type: ignore[arg-type]


def call(table: Any, name: str, *values: Any, **attrs: Any) -> Any:
    kernel = table[name]
    return (kernel.fn if hasattr(kernel, "fn") else kernel)(*values, **attrs)


def laid_out(array: np.ndarray, layout: str) -> tuple[np.ndarray, DeviceArray]:
    """The same values on the host and, in that layout, on the device."""
    if layout == "transposed":
        return array, call(KERNELS, "permute", put(array.T.copy()), axes=tuple(reversed(range(array.ndim))))
    if layout == "sliced":
        wide = np.zeros([2 * n + 1 for n in array.shape], array.dtype)
        wide[tuple(slice(1, None, 2) for _ in array.shape)] = array
        where = {"start": (1,) * array.ndim, "size": array.shape, "step": (2,) * array.ndim}
        return array, call(KERNELS, "slice", put(wide), **where)
    if layout == "reversed":
        flipped = array[tuple(slice(None, None, -1) for _ in array.shape)].copy()
        start = tuple(max(n - 1, 0) for n in array.shape)
        return array, call(KERNELS, "slice", put(flipped), start=start, size=array.shape, step=(-1,) * array.ndim)
    if layout == "broadcast" and array.ndim and array.shape[0]:
        array = np.broadcast_to(array[:1], array.shape)
        return array, call(KERNELS, "broadcast_to", put(array[:1].copy()), shape=array.shape)
    return array, put(array)


def values(dtype: str, shape: tuple[int, ...], seed: int = 0, positive: bool = False) -> np.ndarray:
    """Values with all the corners of the dtype among them, where there is room."""
    rng = np.random.default_rng([seed, len(shape), sum(shape)])
    kind, target = expressions.kind(dtype), DTYPES[dtype]
    if kind == "b":
        return rng.integers(0, 2, shape).astype(target)
    if kind in "iu":
        info = np.iinfo(target)
        found = rng.integers(0 if positive or kind == "u" else -9, 10, shape).astype(target)
        corners = [info.min, info.max, 0, 1] if not positive else []
    else:
        found = rng.normal(size=shape).astype(target) * 3
        found = np.abs(found) + target.type(0.1) if positive else found
        corners = [] if positive else [0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -1.0]
    flat = found.reshape(-1)
    if flat.size > 2 * len(corners) + 2 and corners:
        flat[1 : 1 + len(corners)] = corners
        flat[-1] = corners[seed % len(corners)]
    return found


def agree(got: np.ndarray, wanted: Any, what: str, rough: bool = False, scale: float = 1.0) -> None:
    wanted = np.asarray(wanted)
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), what
    if not rough or wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted, err_msg=what)
    else:
        tolerance = {4: 2e-6, 8: 1e-14}[wanted.dtype.itemsize] * scale
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance, err_msg=what)


def compared(name: str, dtype: str) -> Callable[..., None]:
    """Runs the op on device and host and compares."""

    def run(hosts: tuple[Any, ...], devices: tuple[Any, ...], what: str, **attrs: Any) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = DEFINED[name](*hosts) if name in DEFINED else call(REFERENCE, name, *hosts, **attrs)
        before = [get(d) for d in devices if isinstance(d, DeviceArray)]
        got = get(call(KERNELS, name, *devices, **attrs))
        agree(got, wanted, f"{name} {dtype} {what}", name in ROUGH)
        after = [get(d) for d in devices if isinstance(d, DeviceArray)]
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{name} {dtype} {what} wrote an operand")
        return got

    return run


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-x))).astype(x.dtype)


DEFINED: dict[str, Any] = {
    "nn.relu": lambda x: np.maximum(x, 0),
    "nn.relu_bwd": lambda g, y: np.where(y > 0, g, 0).astype(g.dtype),
    "nn.sigmoid": _sigmoid,
    "nn.silu": lambda x: (x * _sigmoid(x)).astype(x.dtype),
}


def dtypes_of(name: str, *usual: str) -> list[str]:
    """The dtypes of a kernel; of ops that are the same text for all integers, only some."""
    own = KERNELS[name].dtypes.split()  # type: ignore[union-attr]
    return [d for d in own if d in (usual or ("b1", "i4", "i8", "u4", "f4", "f8"))]


def in_threads(count: int, work: Callable[[int], Any]) -> None:
    """Run ``work(k)`` for every k below ``count``, all at the same time; an exception of theirs is raised."""
    start = threading.Barrier(count)

    def begin(k: int) -> None:
        start.wait()
        work(k)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(begin, range(count)))


def has_cuda_python() -> bool:
    """Whether cuda-core and cuda-bindings are installed."""
    return importlib.util.find_spec("cuda") is not None and all(
        importlib.util.find_spec(f"cuda.{name}") is not None for name in ("core", "bindings")
    )
