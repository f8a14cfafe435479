"""The backend under test: its values, its cells of the ops' table, and comparison with messages that say everything.

The only file of the contract that knows how the core keeps its tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import ml_dtypes
import numpy as np

from ...backend import BACKENDS, Backend, Kernel, Place, Spec, parse_device
from ...dtypes import DTYPES, SHORT
from ...dtypes import parse as parse_dtypes
from ...op import OPS, Op
from ...ops.creation import asarray
from ...plugins import backend_index
from ...table import state_of
from ...tensor import Tensor, tupled
from ..kit.arrays import kind_of as kind_of
from ..kit.check import NotHere

TOLERANCE = {"exact": 0.0, "signed": 0.0, "rounded": 4.0, "function": 64.0, "sum": 64.0, "derivative": 512.0}
"""Units in the last place that a result may be away from the reference's, by how it is computed.

They are units of the element itself; for sums, and what is made of them, of the largest element, or of 1. ``signed`` is
exact and looks at the sign of zero too.
"""

ELEMENTWISE = ("exact", "signed", "rounded", "function")
TINY = 4
"""Smallest normal numbers that a rounded result may be away: subnormals may be flushed to zero."""


QUICK = frozenset(SHORT.index(word) for word in ("b1", "i4", "i8", "u4", "f4", "f8"))
"""The dtypes that a quick run looks at, where the backend stores other ones too."""
_scope: ContextVar[tuple[bool, str]] = ContextVar("scope", default=(False, ""))


@contextmanager
def scope(quick: bool, op: str = "") -> Iterator[None]:
    """Within the block, subjects are asked about the usual dtypes only, or about the kernels of one op only."""
    token = _scope.set((quick, op))
    try:
        yield
    finally:
        _scope.reset(token)


class Subject:
    """A device, its backend, and what a check asks of them."""

    def __init__(self, device: str) -> None:
        name, self.ordinal = parse_device(device)
        self.device, self.index = device, backend_index(name)
        self.backend: Backend = BACKENDS[self.index]
        self.stored = parse_dtypes(self.backend.dtypes)
        self.quick, self.only = _scope.get()

    @property
    def place(self) -> Place:
        """What the core hands to creation ops."""
        return self.index, self.ordinal

    def stores(self, *names: str) -> bool:
        """Whether memory can hold these dtypes (short names)."""
        return all(SHORT.index(name) in self.stored for name in names)

    def needs(self, *names: str) -> None:
        """NotHere, with the dtypes that are missing, if memory cannot hold these."""
        missing = [DTYPES[SHORT.index(name)].name for name in names if not self.stores(name)]
        if missing:
            raise NotHere(f"{self.device} does not store {', '.join(missing)}")

    @property
    def usual(self) -> np.dtype:
        """The dtype of checks that need only one: float32 if it is stored."""
        known = [name for name in ("f4", "f8", "i4", "i8", "f2", "bf2") if self.stores(name)]
        return DTYPES[SHORT.index(known[0])] if known else DTYPES[max(self.stored)]

    def floats(self) -> list[str]:
        """The names of the floating dtypes that derivatives are checked in."""
        return [name for name, short in (("float32", "f4"), ("float64", "f8")) if self.stores(short)]

    def codes(self, op: Op) -> list[int]:
        """The dtype codes that the op takes and the backend stores; in a quick run the usual ones, if it takes some."""
        every = self.stored & op.codes
        return sorted((every & QUICK or every) if self.quick else every)

    def state(self, op: Op, code: int) -> str:
        """native, composed, fallback or unsupported."""
        return state_of(op, self.index, code)

    def kernels(self, op: Op, code: int) -> list[Kernel]:
        """The kernels for an op on a dtype, the best first."""
        return op.chain[self.index][code]

    def native(self) -> Iterator[tuple[Op, int]]:
        """Every op and dtype that the backend has a kernel for."""
        for op in list(OPS.values()):
            if op.run is None and self.only in ("", op.name):
                for code in self.codes(op):
                    if self.kernels(op, code):
                        yield op, code

    def put(self, array: Any) -> Tensor:
        """A tensor of the array's values in memory of its own."""
        return asarray(array, device=self.device, copy=True)

    def host(self, value: Any) -> np.ndarray:
        """A value's elements, in memory that nothing else knows."""
        try:
            return np.array(self.backend.to_host(value))
        except (AttributeError, TypeError, ValueError) as error:  # device errors and bad positions are for the caller
            what = f"to_host of a {type(value).__module__}.{type(value).__name__} on {self.device}"
            raise AssertionError(f"{what}: raised {type(error).__name__}: {error}") from error

    def wait(self) -> None:
        """Until everything queued is done."""
        self.backend.synchronize(self.ordinal)

    @contextmanager
    def counting(self) -> Iterator[list[tuple[str, str]]]:
        """Within the block, a list that grows by (op, dtype) whenever a kernel of this backend is called."""
        calls: list[tuple[str, str]] = []
        before = [(op, op.table[self.index], op.scalars[self.index]) for op in list(OPS.values())]
        for op, row, scalars in before:
            op.table[self.index] = [
                _spied(cell, calls, op.name, DTYPES[code].name) if op.chain[self.index][code] else cell
                for code, cell in enumerate(row)
            ]
            op.scalars[self.index] = [
                cell and _spied(cell, calls, op.name, DTYPES[code].name) for code, cell in enumerate(scalars)
            ]
        try:
            yield calls
        finally:
            for op, row, scalars in before:
                op.table[self.index], op.scalars[self.index] = row, scalars


def _spied(cell: Any, calls: list[tuple[str, str]], name: str, dtype: str) -> Any:
    def call(*values: Any, **attrs: Any) -> Any:
        calls.append((name, dtype))
        return cell(*values, **attrs)

    return call


def shaped(array: Any) -> Any:
    """What shape rules look at."""
    return Spec(tuple(array.shape), array.dtype)


def promised(op: Op, operands: Any, attrs: dict[str, Any]) -> tuple[Spec, ...]:
    """Shape and dtype of every result, by the op's rule."""
    found = op.spec(*[shaped(x) for x in operands], **attrs)
    return tuple(found) if type(found) is tuple else (found,)


def reference(
    op: Op, code: int, operands: Any, attrs: dict[str, Any], accuracy: str | float = "exact"
) -> tuple[np.ndarray, ...]:
    """What the reference backend's kernel gives, or else the op's decomposition on the reference.

    Unless it must be exact, the decomposition is computed in float64 and rounded: a fused kernel may be closer to the
    truth than the parts are in its own dtype.
    """
    kernel_attrs = {**attrs, "device": "0"} if not operands else attrs
    own = [kernel for kernel in op.chain[0][code] if kernel.provider == BACKENDS[0].name]
    found = own[0].fn(*operands, **kernel_attrs) if own else NotImplemented
    if found is not NotImplemented:
        return tuple([np.asarray(r) for r in (found if type(found) is tuple else (found,))])
    if op.decompose is None:
        raise AssertionError(f"{op.name}: the reference has no kernel for {DTYPES[code].name} to compare with")
    wide = {"f": np.dtype("float64"), "c": np.dtype("complex128")} if accuracy != "exact" else {}
    given = [x.astype(wide.get(kind_of(x.dtype), x.dtype)) for x in operands]
    parts = op.decompose(*[asarray(x, device="numpy") for x in given], **attrs)
    specs = promised(op, operands, attrs)
    with np.errstate(over="ignore"):
        return tuple([np.asarray(t.numpy()).astype(s.dtype) for t, s in zip(tupled(parts), specs, strict=True)])


@contextmanager
def setting(name: str, value: str | None) -> Iterator[None]:
    """Within the block, an environment variable has this value, or none."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


@contextmanager
def called(what: str) -> Iterator[None]:
    """An exception of a call that must succeed becomes an AssertionError that says which call it was."""
    __tracebackhide__ = True
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None
    except Exception as error:
        raise AssertionError(f"{what}: raised {type(error).__name__}: {error}") from error


def unit(dtype: np.dtype) -> float:
    """The relative distance of neighbouring numbers."""
    if kind_of(dtype) == "c":
        return float(np.finfo(dtype).eps)
    return float(ml_dtypes.finfo(dtype).eps) if kind_of(dtype) in "fs" else 0.0


def smallest(dtype: np.dtype) -> float:
    """The smallest normal number."""
    if kind_of(dtype) == "c":
        return float(np.finfo(dtype).smallest_normal)
    return float(ml_dtypes.finfo(dtype).smallest_normal) if kind_of(dtype) in "fs" else 0.0


def compare(what: str, got: np.ndarray, wanted: np.ndarray, accuracy: str | float = "exact") -> None:
    """AssertionError unless shape, dtype and elements agree; ``accuracy`` is a key of TOLERANCE, or units in the last
    place of the largest element.
    """
    __tracebackhide__ = True
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        raise AssertionError(f"{what}: expected {wanted.dtype} {wanted.shape}, came {got.dtype} {got.shape}")
    units = TOLERANCE[accuracy] if isinstance(accuracy, str) else accuracy
    bound, least = units * unit(wanted.dtype), TINY * smallest(wanted.dtype)
    if kind_of(wanted.dtype) in "fs":
        with np.errstate(invalid="ignore"):  # bfloat16 NaN
            got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    away = differing(got, wanted, bound, least, sums=accuracy not in ELEMENTWISE, signed=accuracy == "signed")
    if not np.any(away):
        return
    at = tuple(int(i) for i in np.argwhere(away)[0])
    raise AssertionError(
        f"{what}: expected {wanted[at]!s} at {at}, came {got[at]!s}"
        f" ({np.count_nonzero(away)} of {away.size} elements; allowed are {units:g} units in the last "
        f"place); expected {short(wanted)}, came {short(got)}"
    )


def differing(
    got: np.ndarray, wanted: np.ndarray, bound: float, least: float, sums: bool, signed: bool = False
) -> np.ndarray:
    """Which elements do not agree: exactly without a bound, else relative to the element, or where they are sums, to
    the largest one.
    """
    if bound == 0.0:
        both_nan = (got != got) & (wanted != wanted)
        away = (got != wanted) & ~both_nan
        if signed and wanted.dtype.kind == "f":
            away |= (np.signbit(got) != np.signbit(wanted)) & (wanted == 0)
        return np.asarray(away)
    finite = np.abs(wanted[np.isfinite(wanted)]) if sums else np.zeros(0)
    floor = bound * max(1.0, float(finite.max()) if finite.size else 1.0) if sums else least
    with np.errstate(invalid="ignore"):
        return np.asarray(~np.isclose(got, wanted, rtol=bound, atol=floor, equal_nan=True))


def short(array: np.ndarray) -> str:
    """The elements on one line."""
    return " ".join(np.array2string(array.ravel()[:12], precision=6, separator=", ").split())
