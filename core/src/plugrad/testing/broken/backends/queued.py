"""A device whose work is queued: order, memory and errors that come late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....backend import Backend, Spec
from ....errors import DeviceError
from ....op import OPS
from .base import INTO, K, fault, silent


class LateIndexError(DeviceError, IndexError):
    """A position out of range, found when the queue ran."""


class Value:
    """Memory, and a task that fills it; until then its elements are ones."""

    __slots__ = ("__weakref__", "data", "dtype", "pool", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, pool: Pool | None = None) -> None:
        self.shape, self.dtype, self.pool = shape, dtype, pool
        self.data = np.ones(shape, dtype) if pool is None else pool.take(shape, dtype)

    def __del__(self) -> None:
        if self.pool is not None:
            self.pool.give(self.data)


class Pool:
    """Memory of values that are gone, for the next ones."""

    def __init__(self) -> None:
        self.free: dict[tuple[Any, Any], list[np.ndarray]] = {}

    def give(self, data: np.ndarray) -> None:
        """Memory that may be used again."""
        self.free.setdefault((data.shape, data.dtype), []).append(data)

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory of that shape, used before where there is some."""
        known = self.free.get((shape, dtype))
        return known.pop(0) if known else np.empty(shape, dtype)


class Queued(Backend):
    """Kernels run in the order of their calls when somebody waits, and so do their errors come.

    The switches are the faults of this module: ``early``, memory of a dropped value is used again at once; ``late``,
    the caller's array is read when the queue runs; ``silent_errors``; ``hasty_to_host`` does not wait; ``lifo``, work
    runs in the wrong order; ``hasty_into`` writes at once; ``drops_after_error``, an error takes the rest of the queue
    with it.
    """

    is_async = True
    names: tuple[str, ...] = ()
    """The ops that it has kernels for; all of the reference's if there are none."""
    dtypes = "b1 i4 i8 u4 f4 f8"
    early = late = silent_errors = hasty_to_host = lifo = hasty_into = drops_after_error = False

    def __init__(self) -> None:
        self.queue: list[Callable[[], Any]] = []
        self.error: DeviceError | None = None
        self.lock = threading.RLock()
        self.pool = Pool() if self.early else None

    @property
    def kernels(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {name: self._kernel(name) for name in self.names or K}

    @property
    def into(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {name: self._into(name) for name in INTO if not self.names or name in self.names}

    def _kernel(self, name: str) -> Callable[..., Any]:
        def call(*values: Value, **attrs: Any) -> Any:
            specs = OPS[name].spec(*[Spec(v.shape, v.dtype) for v in values], **attrs)
            many = type(specs) is tuple
            outs = [Value(s.shape, s.dtype, self.pool) for s in (specs if many else (specs,))]
            memory, given = [out.data for out in outs], [v.data for v in values]

            def work() -> None:
                found = K[name](*given, **attrs)
                for to, result in zip(memory, found if many else (found,), strict=True):
                    np.copyto(to, result)

            self.later(work)
            return tuple(outs) if many else outs[0]

        return call

    def _into(self, name: str) -> Callable[..., Any]:
        def call(out: Value, *values: Value, **attrs: Any) -> None:
            memory, given = out.data, [v.data for v in values]

            def work() -> None:
                found = K[name](*given, **attrs)
                np.copyto(memory, found)

            work() if self.hasty_into else self.later(work)

        return call

    def later(self, work: Callable[[], Any]) -> None:
        """Queue some work."""
        with self.lock:
            self.queue.append(work)

    def from_host(self, array: np.ndarray, device: str) -> Value:
        value = Value(array.shape, array.dtype, self.pool)
        memory, source = value.data, array if self.late else np.array(array)
        if self.early:
            np.copyto(memory, source)
        else:
            self.later(lambda: np.copyto(memory, source))
        return value

    def to_host(self, value: Value) -> np.ndarray:
        if not self.hasty_to_host:
            self.synchronize("0")
        return value.data.copy()

    def spec(self, value: Value) -> Spec:
        return Spec(value.shape, value.dtype)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, device: str) -> Value:
        return Value(shape, dtype, self.pool)

    @silent
    def synchronize(self, device: str) -> None:
        with self.lock:
            while self.queue:
                work = self.queue.pop(-1 if self.lifo else 0)
                try:
                    work()
                except (IndexError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                    kind = LateIndexError if isinstance(error, IndexError) else DeviceError
                    self.error = self.error or kind(f"{self.name}: {error}")
                    if self.drops_after_error:
                        self.queue.clear()
            found, self.error = self.error, None
        if found is not None and not self.silent_errors:
            raise found

    def close(self) -> None:
        """Nothing is left to run."""
        self.queue.clear()


class Counted(Queued):
    """It counts bad positions when a device is waited for, and never asks for the count."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def synchronize(self, device: str) -> None:
        try:
            super().synchronize(device)
        except DeviceError as error:
            self.errors.append(str(error))


FAULTS = (
    fault("late_errors_lost", "an async device forgets its late errors", "kernels.bad_index inplace.bad_index",
          {"silent_errors": True}, Queued, says=("late DeviceError", "came a result")),
    fault("late_errors_counted", "an async device counts its errors and tells nobody",
          "kernels.bad_index", {}, Counted),
    fault("late_source", "from_host of an async device reads the caller's array when the queue runs",
          "host.from_host_copies", {"late": True}, Queued, says=("elements written after the call show",)),
    fault("memory_reused_early", "memory of a dropped value is used again before queued work on it is done",
          "inplace.dropped_inputs", {"early": True, "names": ("add",)}, Queued, says=("inputs were dropped",)),
    fault("to_host_hasty", "to_host does not wait for the queue", "host.round_trip values.add",
          {"hasty_to_host": True}, Queued),
    fault("queue_backwards", "queued work runs in the wrong order", "inplace.dropped_inputs values.add",
          {"lifo": True}, Queued),
    fault("into_overtakes", "a write overtakes the work that was queued before it", "inplace.values",
          {"hasty_into": True}, Queued),
    fault("error_drops_queue", "an error takes the work with it that was queued after the bad call",
          "failures.late_errors", {"drops_after_error": True}, Queued),
)  # fmt: skip
