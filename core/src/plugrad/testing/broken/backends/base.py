"""The honest backend, and how one with a fault comes into being and goes again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ....backend import BACKENDS, Backend, Kernel
from ....dispatch import add_backend
from ....dtypes import DTYPES
from ....errors import BackendUnavailableError
from ....op import OPS, REGISTERING
from ....reference.backend import NumpyBackend
from ....table import decline
from ..fault import LIMIT, Fault

K: Mapping[str, Any] = NumpyBackend.kernels
INTO: Mapping[str, Any] = NumpyBackend.into
Members = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""Members of a backend's class, or what makes them anew each time, where they have a memory."""

silent = np.errstate(all="ignore")
_numbers = itertools.count()


class Honest(NumpyBackend):
    """The reference under another name: it passes every check, and each fault changes one thing of it."""

    dtypes = "b1 i4 i8 u4 f4 f8"

    def borrow(self, array: np.ndarray, device: str) -> Any:
        return NotImplemented

    def close(self) -> None:
        """Called when the backend goes."""


class Removed(Backend):
    """What is left of a backend in the list of backends, which only grows: its name, and neither kernel nor device."""

    dtypes = "any"

    def __init__(self, name: str) -> None:
        self.name = name

    def devices(self) -> tuple[str, ...]:
        return ()

    def _gone(self, *given: Any) -> Any:
        raise BackendUnavailableError(f"{self.name}: this faulty backend has been taken out again; make another")

    from_host: Any = _gone
    to_host: Any = _gone
    spec: Any = _gone


@contextmanager
def loaded(members: Members = {}, base: type[Any] = Honest) -> Iterator[str]:  # noqa: B006 - it is not changed
    """A new backend with these members; gives its device.

    >>> with loaded() as device:
    ...     asarray([1.0], device=device).device == device
    True
    """
    name = f"broken_{next(_numbers)}"
    backend = type("Broken", (base,), {"name": name, **(members() if callable(members) else members)})()
    index = add_backend(backend)
    try:
        yield name
    finally:
        backend.close()
        _remove(index, name)


def _remove(index: int, name: str) -> None:
    """Every kernel of the backend goes; its place stays, for handles know backends by their index."""
    with REGISTERING:
        BACKENDS[index] = Removed(name)
        for op in OPS.values():
            op.table[index] = [decline] * len(DTYPES)
            op.chain[index] = [[] for _ in DTYPES]
            op.scalars[index] = [None] * len(DTYPES)


def fault(
    name: str,
    what: str,
    caught_by: str,
    members: Members,
    base: type[Any] = Honest,
    says: tuple[str, ...] = (),
    needs: str = "",
    limit: float = LIMIT,
) -> Fault:
    """A fault of a backend; ``caught_by`` and ``needs`` are names with spaces between them."""
    make = partial(loaded, members, base)
    checks, ops = tuple(caught_by.split()), tuple(needs.split())
    return Fault(f"backend.{name}", what, checks, make, says=says, needs=ops, limit=limit)


def kernel(name: str, fn: Callable[..., Any] | Kernel | list[Kernel], **members: Any) -> dict[str, Any]:
    """Another kernel for one op, and further members."""
    return {"kernels": {**K, name: fn}, **members}


def into(name: str, fn: Callable[..., Any]) -> dict[str, Any]:
    """Another form that writes."""
    return {"into": {**INTO, name: fn}}


def where(name: str, when: Callable[..., Any], then: Callable[..., Any], **members: Any) -> dict[str, Any]:
    """The op's kernel, but another function where ``when`` holds of the operands."""

    @silent
    def fn(*xs: Any, **attrs: Any) -> Any:
        return np.asarray(then(*xs, **attrs)) if when(*xs) else K[name](*xs, **attrs)

    return kernel(name, fn, **members)


def after(name: str, change: Callable[..., Any], **members: Any) -> dict[str, Any]:
    """The op's kernel, but its result is changed in place: ``change(out, *operands)``."""

    @silent
    def fn(*xs: Any, **attrs: Any) -> Any:
        out = np.array(K[name](*xs, **attrs))
        change(out, *xs)
        return out

    return kernel(name, fn, **members)


def floating(*xs: Any) -> bool:
    """Whether the last operand is of floats."""
    return bool(xs[-1].dtype.kind == "f")


def typed(*names: str) -> Callable[..., bool]:
    """Whether the first operand has one of these dtypes."""
    return lambda *xs: bool(xs[0].dtype in [np.dtype(name) for name in names])
