"""One device at work: its stream, memory, kernels, and the errors that come late. Knows no op but by name.

All work of a device is queued on one stream, in call order; so memory that is freed in stream order may be reused at
once, and nothing needs to be waited for until the host wants to see a value.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from plugrad.dtypes import DTYPES, SHORT
from plugrad.errors import DeviceError, DTypeError

from . import toolchain
from .array import DeviceArray
from .errors import HINTS, OUT_OF_MEMORY, STICKY, LateIndexError, OutOfMemoryError, first_line, number_of
from .layout import Layout, dense, dense_strides, layout_of
from .text import STORED, Entry, program

_STORED = [DTYPES[SHORT.index(name)] for name in STORED]
_REPORT_WORDS = 4
_HELD_BYTES = 1 << 26


@dataclass(frozen=True)
class Lent:
    """Another library's memory, in the place of an allocation: where it begins, and who owns it."""

    handle: int
    lender: Any


@dataclass
class Counters:
    """What a device did so far: kernels that were launched one by one, graphs of them, and changed nodes of graphs."""

    launches: int = 0
    graphs: int = 0
    updates: int = 0
    builds: int = 0
    uploads: int = 0
    downloads: int = 0
    waits: int = 0


class Runtime:
    """A device, made ready: see ``of``."""

    def __init__(self, ordinal: int) -> None:
        cuda = toolchain.core()
        self.ordinal = ordinal
        self.device = cuda.Device(ordinal)
        self.device.set_current()
        self.stream = self.device.create_stream()
        self.memory = self.device.memory_resource
        capability = self.device.compute_capability
        self.arch = f"sm_{capability.major}{capability.minor}"
        self.counters = Counters()
        self.fault = ""
        """What made the device unusable. Not the exception, whose frames would keep values alive."""
        self.waits_always = os.environ.get("PLUGRAD_CUDA_SYNC", "") not in ("", "0")
        self._launch, self._config = cuda.launch, cuda.LaunchConfig
        self.driver: Any = importlib.import_module("cuda.bindings.driver")
        self.queue = self.stream.handle
        self._kernels: dict[str, Any] = {}
        self._configs: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.RLock()
        self._held: deque[tuple[Any, np.ndarray]] = deque()
        self._reporters: list[str] = [""]
        self._reports = False
        self._report = self._allocate(_REPORT_WORDS * 8, "cuda")
        self.report_pointer = int(self._report.handle)
        self._clear_report()

    # -- entering, and leaving by an error

    def enter(self, op: str) -> None:
        """Make this thread's calls go to the device. Raises at once where an earlier fault made it unusable.

        The context is set each time: whatever else in the process uses CUDA may have set another since.
        """
        if self.fault:
            raise DeviceError(f"{op}: cuda:{self.ordinal} is unusable in this process since it failed: {self.fault}")
        try:
            self.device.set_current()
        except Exception as error:  # the driver may tell of a late error here too
            self.failed(op, error)

    def failed(self, op: str, error: Exception, unnamed: int = 0) -> NoReturn:
        """Raise what the driver said as the core's error; a fault that sticks makes the device unusable. An error that
        does not name the driver's answer counts as ``unnamed``.
        """
        number = number_of(error, self.driver.CUresult) or unnamed
        says = f"{op}: cuda:{self.ordinal}: {first_line(error)}"
        hint = HINTS.get(number, "see the CUDA driver's list of errors")
        if number == OUT_OF_MEMORY:
            raise OutOfMemoryError(f"{says}; {hint}") from error
        if number not in STICKY:
            raise DeviceError(f"{says}; {hint}") from error
        which = "" if self.waits_always else f"; {op} or an op before it is at fault: set PLUGRAD_CUDA_SYNC=1 to learn"
        self.fault = f"{says}; {hint}{which}. Then start a new process"
        raise DeviceError(self.fault) from error

    # -- memory

    def _allocate(self, nbytes: int, op: str) -> Any:
        self.enter(op)
        try:
            return self.memory.allocate(nbytes, stream=self.stream)
        except Exception as error:
            if number_of(error, self.driver.CUresult) not in (OUT_OF_MEMORY, 0):  # old releases do not say why
                self.failed(op, error)
        self.wait(op)  # queued work may still hold what has been dropped
        try:
            return self.memory.allocate(nbytes, stream=self.stream)
        except Exception as error:
            self.failed(op, error, unnamed=OUT_OF_MEMORY)

    def empty(self, layout: Layout, op: str) -> DeviceArray:
        """Uninitialised memory for a dense layout, owned by the result."""
        if not layout.nbytes:
            self.enter(op)
            return DeviceArray(self, None, 0, layout)
        buffer = self._allocate(layout.nbytes, op)
        return DeviceArray(self, buffer, int(buffer.handle), layout)

    def lent(self, lender: Any, interface: dict[str, Any]) -> Any:
        """A value on memory that ``lender`` owns and describes, kept alive with it; NotImplemented where the elements
        are not of a dtype that is stored, or lie between its multiples. Waits for the lender's stream.
        """
        dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
        steps = interface.get("strides")
        if dtype not in _STORED or any(step % dtype.itemsize for step in steps or ()):
            return NotImplemented
        if (stream := interface.get("stream")) is not None:
            self.enter("from_dlpack")
            self.check("from_dlpack", self.driver.cuStreamSynchronize(stream))
        strides = dense_strides(shape) if steps is None else tuple(step // dtype.itemsize for step in steps)
        pointer = int(interface["data"][0] or 0)
        return DeviceArray(self, Lent(pointer, lender), pointer, layout_of(dtype, shape, strides))

    def upload(self, array: np.ndarray) -> DeviceArray:
        """A dense copy of the array, which may change as soon as this returns: a copy of it is held until the queued
        transfer is done.
        """
        if array.dtype not in _STORED:
            stored = ", ".join(map(str, _STORED))
            raise DTypeError(f"from_host: cuda does not store {array.dtype}; it stores {stored}. Cast to one of these")
        private = np.array(array, order="C", copy=True)
        value = self.empty(dense(private.dtype, private.shape), "from_host")
        if private.size:
            copy = self.driver.cuMemcpyHtoDAsync
            self.check("from_host", copy(value.pointer, address(private), private.nbytes, self.queue))
            self.counters.uploads += 1
            self._hold(private)
        return value

    def _hold(self, array: np.ndarray) -> None:
        """Keep host memory until the work queued so far is done; wait if that grows to very much."""
        with self._lock:
            self._held.append((self.stream.record(), array))
            total = sum(held.nbytes for _, held in self._held)
            while self._held and (total > _HELD_BYTES or self._held[0][0].is_done):
                event, held = self._held.popleft()
                if total > _HELD_BYTES:
                    event.sync()
                total -= held.nbytes

    def download(self, value: DeviceArray) -> np.ndarray:
        """The elements of a dense value, after everything queued before; raises errors that came late."""
        array = np.empty(value.shape, value.dtype)
        self.enter("to_host")
        if array.size:
            self._read("to_host", array, value.pointer)
            self.counters.downloads += 1
        self.wait("to_host")
        return array

    def _read(self, op: str, array: np.ndarray, pointer: int) -> None:
        """Queue a copy from device memory into an array."""
        self.check(op, self.driver.cuMemcpyDtoHAsync(address(array), pointer, array.nbytes, self.queue))

    def check(self, op: str, answer: tuple[Any, ...]) -> None:
        """Raise an error that the driver answered."""
        if answer[0]:
            self.failed(op, RuntimeError(f"{answer[0].name}: the driver's answer"))

    # -- kernels

    def kernel(self, op: str, name: str, entries: Callable[[], Sequence[Entry]]) -> Any:
        """The kernel of that name. At its first use on this device all of ``entries()`` are compiled, it among them."""
        found = self._kernels.get(name)
        if found is None:
            with self._lock:
                found = self._kernels.get(name)
                if found is None:
                    self.prepare(op, entries())
                    found = self._kernels[name]
        return found

    def prepare(self, op: str, entries: Sequence[Entry]) -> None:
        """Compile kernels for an op in one text, unless they are there."""
        self.enter(op)
        with self._lock:
            missing = [entry for entry in entries if entry[0] not in self._kernels]
            if missing:
                self._kernels.update(self._build(op, missing))

    def _build(self, op: str, entries: Sequence[Entry]) -> dict[str, Any]:
        names = [name for name, _ in entries]
        try:
            built = toolchain.current().build(program(entries), names, self.arch)
            found = {name: built.get_kernel(name) for name in names}
        except Exception as error:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            self.failed(f"{op}: compiling {names[0]}{more}", error)
        self.counters.builds += 1
        return found

    def config(self, grid: Any, block: Any, shared: int = 0) -> Any:
        """A launch configuration, made once."""
        key = grid, block, shared
        found = self._configs.get(key)
        if found is None:
            if len(self._configs) > 4096:
                self._configs.clear()
            found = self._configs[key] = self._config(grid=grid, block=block, shmem_size=shared)
        return found

    def launch(self, op: str, kernel: Any, config: Any, *args: Any) -> None:
        """Queue a kernel. Addresses are ints, all other arguments NumPy scalars of the parameters' types."""
        self.enter(op)
        try:
            self._launch(self.stream, config, kernel, *args)
        except Exception as error:
            self.failed(op, error)
        self.counters.launches += 1
        if self.waits_always:
            self.wait(op)

    # -- waiting, and errors that come late

    def wait(self, op: str) -> None:
        """Until everything queued is done; raises its errors."""
        self.enter(op)
        try:
            self.stream.sync()
        except Exception as error:
            self.failed(op, error)
        self.counters.waits += 1
        with self._lock:
            while self._held and self._held[0][0].is_done:
                self._held.popleft()
            if self._reports:
                self._read_report()

    def reporter(self, what: str) -> np.uint32:
        """The number under which a kernel reports a bad index of ``what``; to be asked for before each launch."""
        with self._lock:
            self._reports = True
            if what not in self._reporters:
                self._reporters.append(what)
            return np.uint32(self._reporters.index(what))

    def _read_report(self) -> None:
        """Raise the first bad index that a kernel met since the last time."""
        words = np.zeros(_REPORT_WORDS, np.int64)
        self._read("cuda", words, self.report_pointer)
        self.stream.sync()
        self._reports = False
        if words[0]:
            self._clear_report()
            index, size = int(words[1]), int(words[2])
            what = f"{self._reporters[int(words[0])]}: index {index} is out of range for an axis of size {size}"
            late = "found after the call returned; reads were clamped, writes left out"
            raise LateIndexError(f"{what} ({late}); " + (f"use {-size} to {size - 1}" if size else "the axis is empty"))

    def _clear_report(self) -> None:
        self.check("cuda", self.driver.cuMemsetD8Async(self.report_pointer, 0, _REPORT_WORDS * 8, self.queue))


def address(array: np.ndarray) -> int:
    """Where an array's memory begins."""
    return int(array.__array_interface__["data"][0])


_runtimes: dict[str, Runtime] = {}
_making = threading.Lock()


def of(ordinal: str) -> Runtime:
    """The runtime of a device, made at its first use."""
    found = _runtimes.get(ordinal)
    if found is None:
        with _making:
            found = _runtimes.get(ordinal) or _runtimes.setdefault(ordinal, Runtime(int(ordinal)))
    return found
