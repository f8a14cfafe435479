"""``CudaBackend``: this package's kernels under the names of the core's ops. Knows no tensor, tape or op object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from plugrad.backend import Backend, Kernel, Spec
from plugrad.errors import BackendUnavailableError
from plugrad.program import Program

from . import (
    bodies,
    contraction,
    creation,
    elementwise,
    executor,
    expressions,
    fusion,
    indexing,
    movement,
    probe,
    random,
    recording,
    reduction,
    runtime,
    scan,
)
from .array import DeviceArray
from .layout import dense
from .text import STORED

ALL = " ".join(STORED)
NUMBERS = " ".join(name for name in STORED if name != "b1")


def _kernels() -> dict[str, Kernel]:
    """The whole table."""
    tables = (expressions.UNARY, expressions.BINARY, expressions.COMPARISONS, expressions.SELECTION)
    table = {
        name: Kernel(elementwise.OPS[name], expressions.dtypes(kinds, ALL), scalars=scalars)
        for kinds_of, scalars in zip(tables, (False, True, True, True), strict=True)
        for name, kinds in kinds_of.items()
    }
    table |= {name: Kernel(op, ALL) for name, op in reduction.OPS.items()}
    moves = ("reshape", "permute", "broadcast_to", "pad", "concat", "slice_update")
    table |= {name: Kernel(getattr(movement, name), ALL) for name in moves}
    return table | {
        "slice": Kernel(movement.slice_, ALL),
        "cast": Kernel(elementwise.cast, ALL),
        "gather": Kernel(indexing.gather, ALL),
        "scatter_add": Kernel(indexing.scatter_add, indexing.ADDED),
        "cumsum": Kernel(scan.cumsum, ALL),
        "matmul": Kernel(contraction.matmul, NUMBERS),
        "full": Kernel(creation.full, ALL),
        "iota": Kernel(creation.iota, NUMBERS),
        "random_bits": Kernel(random.random_bits, "u4"),
        "fused": Kernel(fusion.fused, ALL),
    }


class CudaBackend(Backend):
    """NVIDIA GPUs. Devices are ``"cuda:0"``, ``"cuda:1"``, …; calls may return before the work is done."""

    name = "cuda"
    dtypes = ALL
    is_async = True
    numbered = True
    kernels: Mapping[str, Callable[..., Any] | Kernel | Sequence[Kernel]] = _kernels()
    into: ClassVar[Mapping[str, Callable[..., Any]]] = {
        **elementwise.into_forms(),
        "slice_update": movement.slice_update_into,
        "scatter_add": indexing.scatter_add_into,
    }
    fuses: ClassVar[frozenset[str]] = bodies.FUSES

    def __init__(self) -> None:
        reason = probe.available()
        if reason is not True:
            raise BackendUnavailableError(f"backend 'cuda' is unavailable: {reason}")
        self._devices = tuple(probe.usable_devices())

    def devices(self) -> Sequence[str]:
        """Ordinals of the devices that are new enough."""
        return self._devices

    def from_host(self, array: np.ndarray, device: str) -> DeviceArray:
        """A copy of the array, queued."""
        return runtime.of(device).upload(array)

    def to_host(self, value: DeviceArray) -> np.ndarray:
        """A copy of the value, after waiting for it."""
        return movement.to_host(value)

    def spec(self, value: DeviceArray) -> Spec:
        """Shape and dtype."""
        return Spec(value.shape, value.dtype)

    def from_dlpack(self, obj: Any, device: str) -> Any:
        """A value on the memory of an object of the same device that has ``__cuda_array_interface__``."""
        interface = getattr(obj, "__cuda_array_interface__", None)
        if interface is None or int(obj.__dlpack_device__()[1]) != int(device):
            return NotImplemented
        return runtime.of(device).lent(obj, interface)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, device: str) -> DeviceArray:
        """Uninitialised memory."""
        return runtime.of(device).empty(dense(dtype, shape), "empty")

    def carve(self, block: DeviceArray, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
        """A dense value on the memory of a row of bytes."""
        return DeviceArray(block.runtime, block.buffer, block.pointer + offset, dense(dtype, shape))

    def compile(self, program: Program, device: str) -> Callable[..., tuple[DeviceArray, ...]]:
        """The program as prepared launches and graphs of them; what cannot be recorded stays a call between them."""
        if program.plan is None:
            return NotImplemented
        return executor.Executor(program, recording.Tables(self.kernels, self.into), device)

    def synchronize(self, device: str) -> None:
        """Wait until all queued work of the device is done, and raise its late errors."""
        runtime.of(device).wait("synchronize")
