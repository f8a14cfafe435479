"""Memory between plugrad and other libraries, on every backend of the host: NumPy, PyTorch, JAX, and bfloat16, which
NumPy does not exchange.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.errors import ExchangeError
from plugrad.reference.backend import NumpyBackend

NARROW = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]
DTYPES = ["bool", "int8", "int32", "int64", "uint8", "uint16", "float16", "float32", "float64", "complex64", *NARROW]
LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "steps": lambda x: x[:, ::2],
    "0-d": lambda x: x[1, 1],
    "no elements": lambda x: x[:0],
}
CASES = [("numpy", name) for name in DTYPES] + [("cpu", name) for name in DTYPES[:6] + ["float32", "float64"]]
"""Devices with the dtypes that they store."""
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
cases = pytest.mark.parametrize(("device", "dtype"), CASES, indirect=["device"])


@pytest.fixture(params=["numpy", "cpu"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The default device meanwhile."""
    with pg.device(request.param):
        yield request.param


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed: its side of DLPack is not tested")


def made(dtype: str, layout: Any = LAYOUTS["contiguous"]) -> pg.Tensor:
    values = np.arange(12).reshape(4, 3) % 7
    return layout(pg.asarray(values.astype(pg.as_dtype(dtype)), copy=True))


def address(x: pg.Tensor) -> int:
    return x.numpy().ctypes.data


class Relay:
    """An object that is no tensor and hands out a tensor's memory."""

    def __init__(self, x: pg.Tensor, **asked: Any) -> None:
        self.x, self.asked = x, asked

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()

    def __dlpack__(self, **asked: Any) -> Any:
        return self.x.__dlpack__(**(self.asked or asked))


# -- on every backend


@layouts
@cases
def test_round_trip_without_a_copy(dtype: str, layout: Any, device: str) -> None:
    x = made(dtype, layout)
    y = pg.from_dlpack(Relay(x))
    assert y.dtype == x.dtype and y.shape == x.shape and y.numpy().tobytes() == x.numpy().tobytes()
    assert address(y) == address(x) or not x.size


@pytest.mark.parametrize(("device", "dtype"), [*[CASES[i] for i in (7, 10)], CASES[-1]], indirect=["device"])
def test_what_went_out_never_changes(dtype: str, device: str) -> None:
    for layout in LAYOUTS.values():
        x = made(dtype)
        kept = layout(x)
        y, before = pg.from_dlpack(Relay(kept)), kept.tolist()
        del kept
        for _ in range(2):
            x += 1.0
            x[0] = 5.0
        assert y.tolist() == before


VIEWS = {
    **LAYOUTS,
    "flipped": lambda x: x[:, ::-1],
    "view of a view": lambda x: x[1:].T,
    "astype": lambda x: x.astype(x.dtype),
    "reshaped": lambda x: x.reshape((2, 6)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize(
    "export",
    [lambda t: t.numpy(), np.asarray, lambda t: np.from_dlpack(t, copy=False)],
    ids=["numpy", "array", "dlpack"],
)
def test_every_way_out_keeps_its_value(view: Any, export: Any, device: str) -> None:
    x = pg.asarray(np.arange(12.0).reshape(4, 3), copy=True)
    kept = view(x)
    start = address(x)
    out, before = export(kept), kept.tolist()
    assert not out.size or start <= out.ctypes.data < start + 96, "a copy was not needed"
    del kept  # only what went out may protect the memory now
    x += 1.0
    x[...] = 9.0
    assert out.tolist() == before


def test_an_alias_of_a_leaf_keeps_its_value(device: str) -> None:
    x = pg.ones(3).requires_grad_()
    y = x.astype(x.dtype)
    x.requires_grad_(False)
    x += 1.0
    assert y.tolist() == [1.0] * 3 and x.tolist() == [2.0] * 3


def test_between_the_hosts_backends_without_a_copy() -> None:
    x = pg.asarray(np.arange(3.0), device="numpy", copy=True)
    y = pg.from_dlpack(x, device="cpu")
    assert y.device == "cpu" and address(y) == address(x)
    x += 1.0
    y[0] = 5.0
    assert y.tolist() == [5.0, 1.0, 2.0] and x.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("device", "dtype"), [CASES[10], CASES[-1]], indirect=["device"])
def test_a_copy_is_the_consumers_own(device: str, dtype: str) -> None:
    x = made(dtype)
    for asked in ({}, {"copy": True}, {"copy": True, "max_version": (1, 0)}):
        y = pg.from_dlpack(Relay(x, stream=None, **asked))
        assert address(y) != address(x) and y.tolist() == x.tolist()
    assert address(pg.from_dlpack(Relay(x, copy=False))) == address(x)
    assert address(pg.from_dlpack(x, copy=True)) != address(x)


def test_capsules_are_consumed_once() -> None:
    x = pg.ones(3, device="numpy").astype("bfloat16")
    take = pg.plugins.component("dlpack", "take")
    capsule = x.__dlpack__(max_version=(1, 0))
    array, code, bits = take(capsule)
    assert (array.dtype, code, bits) == (np.uint16, 4, 16) and not array.flags.writeable
    with pytest.raises(ExchangeError, match="consumed before"):
        take(capsule)
    with pytest.raises(ExchangeError, match="not a capsule"):
        take(3)


@pytest.mark.parametrize("device", ["numpy"], indirect=True)
def test_capsules_keep_and_free_their_memory(device: str) -> None:
    """Consumed or not, with the producer gone first or last."""
    x = pg.ones((64, 64)).astype("bfloat16")
    value = x.val
    before = sys.getrefcount(value)
    for _ in range(2000):
        x.T.__dlpack__(max_version=(1, 0))
        x.__dlpack__(copy=False)
        y = pg.from_dlpack(Relay(x[::2]))
    del x
    gc.collect()
    assert y.tolist() == [[1.0] * 64] * 32
    del y
    gc.collect()
    assert sys.getrefcount(value) == before - 1  # the handle's


class Described:
    """A value that says where its memory is, as one on a GPU would."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        data = array.ctypes.data, True
        words = {"shape": array.shape, "strides": array.strides, "typestr": array.dtype.str, "version": 3}
        self.__cuda_array_interface__ = {**words, "data": data, "stream": 1}

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class DescribedBackend(NumpyBackend):
    name = "described"
    waits = 0

    def dlpack(self, value: Any) -> Any:
        return Described(value)

    def synchronize(self, device: str) -> None:
        DescribedBackend.waits += 1


def test_memory_described_by_an_interface_goes_out() -> None:
    dispatch.add_backend(DescribedBackend())
    x = pg.asarray(np.arange(6.0).reshape(2, 3), device="described", copy=True)
    expected = x.T.tolist()
    waits = DescribedBackend.waits
    out = np.from_dlpack(x.T)
    assert DescribedBackend.waits == waits + 1 and out.tolist() == expected and not out.flags.writeable
    x.__dlpack__(stream=-1, max_version=(1, 0))
    assert DescribedBackend.waits == waits + 1
    x += 1.0
    assert out.tolist() == expected
    with pytest.raises(ExchangeError, match="copy=False"):
        x.__dlpack__()


# -- PyTorch


@layouts
@cases
def test_torch(dtype: str, layout: Any, device: str) -> None:
    torch = library("torch")
    x = made(dtype, layout)
    there = torch.from_dlpack(x)
    assert str(there.dtype) == f"torch.{dtype}" and tuple(there.shape) == x.shape
    assert there.data_ptr() == address(x) or not x.size
    kind = torch.complex128 if dtype == "complex64" else torch.float64
    assert there.to(kind).tolist() == x.numpy().astype(str(kind).removeprefix("torch.")).tolist()
    back = pg.from_dlpack(there)
    assert back.dtype == x.dtype and back.numpy().tobytes() == x.numpy().tobytes()
    assert address(back) == there.data_ptr() or not x.size


def test_torch_keeps_its_memory_and_its_gradients(device: str) -> None:
    torch = library("torch")
    there = torch.arange(3.0)
    for x in (pg.from_dlpack(there), pg.asarray(there)):
        assert x.device == device and address(x) == there.data_ptr()
        x += 1.0
        x[0] = 9.0
        assert there.tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(BufferError):
        pg.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="grad"):
        pg.asarray(torch.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(pg.ones(2).requires_grad_())


# -- JAX


@layouts
@pytest.mark.parametrize(("device", "dtype"), [case for case in CASES if "64" not in case[1]], indirect=["device"])
def test_jax(dtype: str, layout: Any, device: str) -> None:
    jax = library("jax")
    x = made(dtype, layout)
    there = importlib.import_module("jax.numpy").from_dlpack(x)
    assert isinstance(there, jax.Array) and there.dtype == x.dtype and there.shape == x.shape
    for back in (pg.from_dlpack(there), pg.asarray(there)):
        assert back.dtype == x.dtype and back.numpy().tobytes() == x.numpy().tobytes()
        assert address(back) == there.unsafe_buffer_pointer() or not x.size


def test_jax_arrays_are_never_written(device: str) -> None:
    there = importlib.import_module("jax.numpy").arange(3.0) if library("jax") else None
    x = pg.from_dlpack(there)
    x += 1.0
    assert there.tolist() == [0.0, 1.0, 2.0] and x.tolist() == [1.0, 2.0, 3.0]
