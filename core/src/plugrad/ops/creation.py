"""Making tensors, and moving them between devices."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import BACKENDS, Place, Spec, device_name, parse_device
from ..dispatch import bind
from ..dtypes import CODE, DTYPES, KIND, as_dtype, complex64, float32, float64, int64, parse
from ..errors import DeviceError, DTypeError, ExchangeError, ShapeError, article, shown
from ..op import Op
from ..plugins import backend_index, default_backend
from ..reference.random import KERNELS
from ..state import state, within
from ..table import check_stored
from ..tensor import FOREIGN, LENT, Tensor, install
from .common import cast, normal_shape
from .dlpack import HOST, HOST_KINDS, host_array, place_of
from .movement import broadcast_to, copy, reshape, stack

# fmt: off
__all__ = [
    "arange", "asarray", "device", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like",
    "get_default_device", "linspace", "ones", "ones_like", "set_default_device", "tensor", "zeros", "zeros_like"
]
# fmt: on

Shape = tuple[int, ...] | None
_default: list[Place] = []


def place(device: str | None) -> Place:
    """Backend and ordinal of a device name, loading the backend if need be. None is the default device."""
    if device is None:
        if (chosen := state().device) is not None:
            return chosen
        if not _default:
            _default.append(place(os.environ.get("PLUGRAD_DEVICE") or default_backend()))
        return _default[0]
    name, ordinal = parse_device(device)
    index = backend_index(name)
    known = BACKENDS[index].devices()
    if ordinal not in known:
        there = ", ".join(f"{name}:{k}" for k in known) or "no devices"
        raise DeviceError(f"device: {device!r} does not exist; {name} has {there}")
    return index, ordinal


def set_default_device(device: str) -> None:
    """Where tensors are made from now on, in every thread, unless a call or a ``with device(...)`` says otherwise."""
    _default[:] = [place(device)]


def get_default_device() -> str:
    """The name of the default device of this thread."""
    return device_name(place(None))


def device(name: str) -> within:
    """Within the block, tensors of this thread are made on the device.

    >>> import plugrad
    >>> with plugrad.device("numpy"):
    ...     plugrad.zeros(1).device
    'numpy'
    """
    return within(device=place(name))


def _from_host(array: np.ndarray, where: Place, name: str = "asarray") -> Tensor:
    be, dev = where
    check_stored(name, CODE[array.dtype], BACKENDS[be])
    return Tensor(BACKENDS[be].from_host(array, dev), be, CODE[array.dtype], array.shape, dev)


# -- ops


class _Full(Op):
    def spec(self, *, shape: tuple[int, ...], value: Any, dtype: Any, device: Any) -> Any:
        return Spec(shape, dtype)

    def decompose(self, *, device: Place, **attrs: Any) -> Tensor:
        """Made by the reference on the host, and copied."""
        return _from_host(KERNELS[self.name](device="0", **attrs), device)


class _Iota(_Full):
    """0, 1, ... size - 1."""

    def spec(self, *, size: int, dtype: Any, device: Any) -> Any:  # type: ignore[override]
        return Spec((size,), dtype)


class _ToDevice(Op):
    """The same values on another device. The cotangent goes back to where the operand was."""

    def run(self, x: Tensor, *, device: Place) -> Tensor:
        return _from_host(BACKENDS[x.be].to_host(x.val), device, "to")

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, device: Place) -> Any:
        return (self(g, device=(xs[0].be, xs[0].dev)),)


FULL, IOTA = _Full("full"), _Iota("iota", dtypes="numeric")
TO_DEVICE = _ToDevice("to_device", elementwise=True, linear=(0,))


def to(x: Tensor, device: str) -> Tensor:
    """``x`` on another device; if it is there already the same handle, so that a write to one is a write to both."""
    where = place(device)
    return x if (x.be, x.dev) == where else bind(TO_DEVICE, (x,), {"device": where})


def to_device(x: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """``to`` under its name in the Array API. There is one queue for each device, so ``stream`` must be None."""
    if stream is not None:
        raise DeviceError(f"to_device: a device has one queue of its own, got stream={shown(stream)}; leave it out")
    return to(x, device)


# -- from Python, NumPy and other libraries


def asarray(obj: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of ``obj``: a tensor, array, scalar or nested list; another library's array, by DLPack or else by
    ``__array__``.

    NumPy arrays and scalars keep their dtype; Python floats become float32, ints int64, complex numbers complex64. In a
    list NumPy's float64 and complex128 scalars count as Python numbers, being subclasses of theirs; with arrays or
    other NumPy scalars in it, a list has the dtype that NumPy gives it. Memory of an array, or of another buffer, is
    borrowed where the backend can (the first write copies); ``copy=True`` copies, ``copy=False`` raises where a copy is
    needed and allows recording as it is.

    >>> asarray([1, 2]).dtype.name, asarray(2.5).dtype.name
    ('int64', 'float32')
    """
    if isinstance(obj, Tensor):
        return _again(obj, dtype, device, copy)
    try:
        if _holds_tensors(obj):
            return _nested(obj, dtype, device)
    except RecursionError:
        raise ShapeError("asarray: cannot make a tensor of a list nested so deeply, or holding itself") from None
    if hasattr(obj, "__dlpack_device__") and hasattr(obj, "__dlpack__") and not isinstance(obj, np.ndarray):
        try:
            return _again(_from_library(obj, device, copy), dtype, None, None if copy else copy)
        except (BufferError, RuntimeError, TypeError):
            if not hasattr(obj, "__array__"):
                raise
    be, dev = place(device)
    array = obj if isinstance(obj, np.ndarray) else _from_python(obj, dtype)
    wanted = as_dtype(array.dtype if dtype is None else dtype)
    kept = array.real if array.dtype.kind == "c" and wanted.kind != "c" else array  # as a cast does
    with np.errstate(all="ignore"):
        new, backend = kept.astype(wanted, copy=False), BACKENDS[be]
    check_stored("asarray", CODE[wanted], backend)
    own = new is not array or (array is not obj and array.base is None and not hasattr(obj, "__array__"))
    if copy is False and new is not array:
        raise ValueError(f"asarray: {array.dtype} to {wanted} on {backend.name} needs a copy, and copy=False was asked")
    return _on(new, (be, dev), copy, own)


def _on(array: np.ndarray, where: Place, copy: bool | None, own: bool = False) -> Tensor:
    """An array on a device: borrowed, unless it is our ``own``, or copied."""
    be, dev = where
    check_stored("asarray", CODE[array.dtype], BACKENDS[be])
    value = NotImplemented if copy else BACKENDS[be].borrow(array, dev)
    if value is not NotImplemented:
        base = None if own else FOREIGN if copy is None else LENT
        return Tensor(value, be, CODE[array.dtype], array.shape, dev, base)
    if copy is False:
        raise ExchangeError(f"asarray: {BACKENDS[be].name} needs a copy of this memory, and copy=False was asked")
    return _from_host(array, where)


def _again(x: Tensor, dtype: Any, device: str | None, copy: bool | None) -> Tensor:
    out = cast(x if device is None else to(x, device), x.dtype if dtype is None else dtype)
    if out is not x and copy is False:
        raise ValueError("asarray: another dtype or device needs a copy, and copy=False was asked")
    return out.copy() if copy and out is x else out


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of any object with ``__dlpack__``, of another library or a tensor, as a constant.

    Without ``device`` it is on the device whose memory ``x`` is in; for the host's memory that is the default device if
    it uses it, else the reference. The memory is borrowed where the backend can: it is never written, the first write
    copies. ``copy=True`` copies; ``copy=False`` raises ExchangeError (a BufferError and a ValueError) where a copy is
    needed. Recorded tensors, and whatever the producer refuses, raise BufferError; an object without the methods
    AttributeError, as the standard has it.

    >>> a = np.arange(3.0)
    >>> x = from_dlpack(a, device="numpy")
    >>> np.shares_memory(x.numpy(), a), x.dtype.name
    (True, 'float64')
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        wrong = f"x is {article(type(x).__name__)}, which does not speak DLPack"
        raise AttributeError(f"from_dlpack: {wrong}; make a tensor of it with plugrad.asarray")
    if isinstance(x, Tensor) and x.followed:
        raise ExchangeError(f"from_dlpack: this {x.describe()} is recorded; call .detach() first")
    if isinstance(x, Tensor) and (device is None or (x.be, x.dev) == place(device)):
        return x.detach().copy() if copy else x.detach()
    memory = place_of(x)
    if device is None and memory[0] in HOST_KINDS:
        default = place(None)
        device = device_name(default if _memory(default) == HOST else (0, "0"))
    return _from_library(x, device, copy)


def _from_library(x: Any, device: str | None, copy: bool | None) -> Tensor:
    """From DLPack; without a device, memory of the host goes to the default device, as NumPy's arrays do."""
    memory = place_of(x)
    if memory[0] in HOST_KINDS:
        return _on(host_array(x, memory, copy), place(device), copy, own=bool(copy))
    where = _near(memory) if device is None else place(device)
    value = NotImplemented if copy else BACKENDS[where[0]].from_dlpack(x, where[1])
    if value is NotImplemented:
        if copy is False:
            raise ExchangeError(f"from_dlpack: memory of {memory} to {device_name(where)} needs a copy: copy=False")
        return _from_host(host_array(x, memory, None), where, "from_dlpack")
    shape, dtype = BACKENDS[where[0]].spec(value)
    return Tensor(value, where[0], CODE[dtype], shape, where[1], FOREIGN if copy is None else LENT)


def _near(memory: Place | tuple[int, int]) -> Place:
    """The device of a loaded backend whose memory that is."""
    for be, backend in enumerate(BACKENDS):
        for ordinal in backend.devices():
            if _memory((be, ordinal)) == memory:
                return be, ordinal
    raise ExchangeError(f"from_dlpack: no loaded backend uses the memory of DLPack device {memory}; name it: device=")


@functools.cache
def _memory(where: Place) -> tuple[int, int] | None:
    """Which memory a device uses, as DLPack numbers it; None where its backend hands out none."""
    backend = BACKENDS[where[0]]
    value = backend.from_host(np.zeros(1, DTYPES[min(parse(backend.dtypes))]), where[1])
    lent = backend.dlpack(value)
    return HOST if isinstance(lent, np.ndarray) else place_of(lent) if hasattr(lent, "__dlpack_device__") else None


def _from_python(obj: Any, dtype: Any = None) -> np.ndarray:
    """Python numbers in their default dtypes, unless one is asked for: then they go there without a detour."""
    try:
        array = np.asarray(obj)
    except (ValueError, TypeError, OverflowError):  # rows of several lengths, or no numbers at all
        array = np.asarray(None)
    if array.dtype == object:
        raise ShapeError(f"asarray: cannot make a tensor of {type(obj).__name__}; rows need equal lengths and numbers")
    typed = any(hasattr(t, "__array__") and not issubclass(t, (float, complex)) for t in _types(obj))
    if dtype is not None or typed or hasattr(obj, "__array__"):
        return array
    usual = {"f": float32, "c": complex64, "i": int64}.get(array.dtype.kind, array.dtype)
    return array.astype(usual, copy=False)


def _types(obj: Any) -> set[type]:
    """The types of the elements of a nested list, or of a single one."""
    if not isinstance(obj, (list, tuple)):
        return {type(obj)}
    found = set(map(type, obj))
    return set().union(*map(_types, obj)) if any(issubclass(t, (list, tuple)) for t in found) else found


def _holds_tensors(obj: Any) -> bool:
    return any(issubclass(t, Tensor) for t in _types(obj))


def _nested(obj: Any, dtype: Any, device: str | None) -> Tensor:
    """A list with tensors in it: stacked, and recorded."""
    from_rows = [asarray(x, dtype=dtype, device=device) for x in obj]
    own = [r.device for r, x in zip(from_rows, obj, strict=True) if _holds_tensors(x)]
    if len(set(own)) > 1:
        raise DeviceError(f"asarray: a list with tensors on {' and '.join(sorted(set(own)))}; say device=")
    return stack([to(r, own[0]) for r in from_rows])


def tensor(obj: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A new tensor of ``obj``, whatever ``asarray`` takes, in memory of its own; with ``requires_grad`` a leaf of the
    tape. Without it, a copy of a recorded tensor is recorded.

    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 4.0]
    """
    source = obj.detach() if requires_grad and isinstance(obj, Tensor) else obj
    out = asarray(source, dtype=dtype, device=device, copy=True)
    return out.requires_grad_() if requires_grad else out


def chosen_dtype(dtype: Any, default: np.dtype = float32) -> np.dtype:
    """The dtype that was asked for, or the default."""
    return default if dtype is None else as_dtype(dtype)


def _filled(shape: tuple[int, ...], value: Any, dtype: np.dtype, where: Place) -> Tensor:
    return bind(FULL, (), {"shape": shape, "dtype": dtype, "value": value, "device": where})


def full(shape: int | Sequence[int], fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor filled with one value, a number or a 0-d tensor (differentiable), of its dtype by default.

    DTypeError for a complex number that is to be real.

    >>> full((2,), 7).tolist()
    [7, 7]
    """
    new = normal_shape("full", shape)
    if isinstance(fill_value, Tensor):
        return copy(broadcast_to(asarray(fill_value, dtype=dtype, device=device), new))
    chosen = as_dtype(_from_python(fill_value).dtype if dtype is None else dtype)
    number = fill_value.item() if isinstance(fill_value, np.generic) else fill_value
    if isinstance(number, complex) and KIND[CODE[chosen]] != "c":
        raise DTypeError(f"full: {number!r} does not fit {chosen.name}; ask for a complex dtype, or give .real")
    if type(number) is not float or chosen.kind != "f":
        np.full((), number, chosen)  # whether it fits, before a graph has it
    return _filled(new, number, chosen, place(device))


def zeros(shape: int | Sequence[int], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of zeros, float32 by default; ShapeError for what is no shape.

    >>> zeros((1, 2)).tolist(), zeros(2, dtype="int64").tolist()
    ([[0.0, 0.0]], [0, 0])
    """
    return _filled(normal_shape("zeros", shape), 0, chosen_dtype(dtype), place(device))


def ones(shape: int | Sequence[int], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of ones, float32 by default; ShapeError for what is no shape.

    >>> ones((2, 1), dtype="int64").tolist()
    [[1], [1]]
    """
    return _filled(normal_shape("ones", shape), 1, chosen_dtype(dtype), place(device))


def empty(shape: int | Sequence[int], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor whose contents do not matter; here, zeros."""
    return zeros(shape, dtype=dtype, device=device)


def _like(x: Tensor, shape: Shape, value: Any, dtype: Any, device: str | None) -> Tensor:
    where = (x.be, x.dev) if device is None else place(device)
    if shape is None:
        shape = x.shape
    elif type(shape) is not tuple:
        shape = normal_shape("full_like", shape)
    return _filled(shape, value, chosen_dtype(dtype, x.dtype), where)


def zeros_like(x: Tensor, shape: Shape = None, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros with the shape, dtype and device of ``x``, unless others are given.

    >>> zeros_like(asarray([1, 2]), (1, 3)).tolist()
    [[0, 0, 0]]
    """
    return _like(x, shape, 0, dtype, device)


def ones_like(x: Tensor, shape: Shape = None, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones with the shape, dtype and device of ``x``, unless others are given.

    >>> ones_like(asarray([1, 2]), dtype="float64").tolist()
    [1.0, 1.0]
    """
    return _like(x, shape, 1, dtype, device)


def full_like(x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """One value, a number or a 0-d tensor, with the shape, dtype and device of ``x``, unless others are given.

    >>> full_like(asarray([1, 2]), 7).tolist()
    [7, 7]
    """
    return full(x.shape, fill_value, dtype=chosen_dtype(dtype, x.dtype), device=x.device if device is None else device)


def empty_like(x: Tensor, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """As ``zeros_like``: contents do not matter."""
    return _like(x, None, 0, dtype, device)


def arange(start: Any, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """``start, start + step, ...`` up to but without ``stop``, 1-d; int64 for integers, else float32. ValueError for a
    step of 0. Differentiable in a ``start`` and ``step`` that are tensors.

    >>> arange(1, 7, 2).tolist()
    [1, 3, 5]
    """
    if stop is None:
        start, stop = 0, start
    given = start, step
    start, stop, step = [v.item() if isinstance(v, (Tensor, np.ndarray)) else v for v in (start, stop, step)]
    whole = all(isinstance(v, (int, np.integer)) for v in (start, stop, step))
    chosen = chosen_dtype(dtype, int64 if whole else float32)
    if step == 0:
        raise ValueError("arange: step is 0; give a positive or negative step")
    n = len(range(int(start), int(stop), int(step))) if whole else max(int(np.ceil((stop - start) / step)), 0)
    if ends := [v for v in given if isinstance(v, Tensor) and v.followed]:
        count = arange(n, dtype=ends[0].dtype, device=ends[0].device)
        return to(cast(count * given[1] + given[0], chosen), device_name(place(device)))
    if (start, step) == (0, 1) and KIND[CODE[chosen]] != "b":
        return bind(IOTA, (), {"size": n, "dtype": chosen, "device": place(device)})
    exact = int64 if whole else float64
    values = np.arange(n, dtype=exact) * exact.type(step) + exact.type(start)
    return asarray(values, dtype=chosen, device=device, copy=True)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: str | None = None, endpoint: bool = True
) -> Tensor:
    """``num`` evenly spaced values from ``start`` to ``stop``, with or without it (``endpoint``), float32 by default,
    complex64 for complex ends; computed in double precision. Differentiable in ends that are tensors.

    >>> linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    ends = [v for v in (start, stop) if isinstance(v, Tensor)]
    if any(v.followed for v in ends):
        part = linspace(0.0, 1.0, num, dtype=ends[0].dtype, device=ends[0].device, endpoint=endpoint)
        chosen = chosen_dtype(dtype, complex64 if any(KIND[v.dt] == "c" for v in ends) else float32)
        return to(cast(start * (1 - part) + stop * part, chosen), device_name(place(device)))
    start, stop = [v.item() if isinstance(v, Tensor) else v for v in (start, stop)]
    values = np.linspace(start, stop, num, endpoint=endpoint)
    usual = complex64 if values.dtype.kind == "c" else float32
    return asarray(values, dtype=chosen_dtype(dtype, usual), device=device, copy=True)


def eye(rows: int, columns: int | None = None, *, k: int = 0, dtype: Any = None, device: str | None = None) -> Tensor:
    """A matrix (square by default) of ones on diagonal ``k`` and zeros elsewhere, float32 by default.

    >>> eye(2, 3, k=1).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows, columns = normal_shape("eye", (rows, rows if columns is None else columns))
    k = max(-rows, min(k, columns))
    row = reshape(arange(rows, device=device), (rows, 1))
    return (row + k == arange(columns, device=device)).astype(chosen_dtype(dtype))


install(to, to_device, zeros_like, ones_like, _convert=staticmethod(asarray))
