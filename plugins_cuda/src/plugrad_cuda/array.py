"""The backend's value: a view of device memory. Movement makes new views of the same memory; nothing here computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .layout import Layout, layout_of

if TYPE_CHECKING:
    from .runtime import Runtime


class DeviceArray:
    """Elements in device memory: ``buffer`` keeps the allocation, ``pointer`` is the address of element 0.

    The memory is freed in stream order when the last view of it goes, so that work that is queued may still use it.
    """

    __slots__ = ("buffer", "layout", "pointer", "runtime")

    def __init__(self, runtime: Runtime, buffer: Any, pointer: int, layout: Layout) -> None:
        self.runtime = runtime
        self.buffer = buffer
        self.pointer = pointer
        self.layout = layout

    @property
    def shape(self) -> tuple[int, ...]:
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype:
        return self.layout.dtype

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements."""
        return self.layout.strides

    @property
    def offset(self) -> int:
        """Elements between the start of the allocation and element 0."""
        return (self.pointer - int(self.buffer.handle)) // self.layout.dtype.itemsize if self.buffer is not None else 0

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's kind of device for CUDA, and which of them."""
        return 2, self.runtime.ordinal

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The memory, version 3 of the interface: read-only, and to be used after what is queued on the stream."""
        size, stream = self.dtype.itemsize, int(self.runtime.stream.handle)
        strides = None if self.layout.dense else tuple(step * size for step in self.strides)
        described = {"shape": self.shape, "typestr": self.dtype.str, "data": (self.pointer, True), "strides": strides}
        return {"version": 3, "stream": stream, **described}

    def view(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> DeviceArray:
        """Other elements of the same memory; ``offset`` counts elements from this view's first."""
        dtype = self.layout.dtype
        return DeviceArray(
            self.runtime, self.buffer, self.pointer + offset * dtype.itemsize, layout_of(dtype, shape, strides)
        )

    def __repr__(self) -> str:
        return f"DeviceArray(cuda:{self.runtime.ordinal}, {self.layout!r} at {self.pointer:#x})"
