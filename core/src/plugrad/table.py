"""One table, ``op.table[backend][dtype]``: at once dispatch, capability declaration, kit matrix and docs. Every cell
is callable.

Filled when an op, a backend or a third party's kernel is registered, so that nothing is decided per call.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from .backend import BACKENDS, Backend, Kernel, index_of
from .dtypes import DTYPES, parse
from .errors import DTypeError, PluginError, PluginWarning, suggest
from .op import OPS, REGISTERING, Op
from .program import FUSED

_extra: dict[tuple[str, str], list[Kernel]] = {}
"""Kernels of third parties by (op, backend)."""


def decline(*values: Any, **attrs: Any) -> Any:
    """The cell of an op that a backend has no kernel for."""
    return NotImplemented


def check_stored(name: str, code: int, backend: Backend) -> None:
    """DTypeError if the backend's memory cannot hold the dtype."""
    if code not in parse(backend.dtypes):
        stored = ", ".join(DTYPES[c].name for c in sorted(parse(backend.dtypes)))
        raise DTypeError(f"{name}: {backend.name} does not store {DTYPES[code].name}; use {stored}, or another device")


def _refuse(op: Op, code: int, backend: Backend, /, *values: Any, **attrs: Any) -> Any:
    """The cell of a dtype that the backend does not store."""
    check_stored(op.name, code, backend)


def add_backend(backend: Backend) -> int:
    """Append a backend and fill its row of every op's table; returns its index."""
    _warn_unknown(f"backend {backend.name!r}", {*backend.kernels, *backend.into})
    with REGISTERING:
        if index_of(backend.name) is not None:
            raise PluginError(f"backend {backend.name!r} is loaded already; give the second one another name")
        index = len(BACKENDS)
        rows = [(op, _row(op, backend)) for op in OPS.values()]  # all or nothing: a bad declaration raises here
        for op, row in rows:
            _put(op, index, row)
        BACKENDS.append(backend)
    return index


def _warn_unknown(whose: str, names: Iterable[str]) -> None:
    """Warn of kernels for ops of the core (their names have no dot) that the core has not."""
    if odd := sorted(name for name in names if "." not in name and OPS and name not in OPS and name != FUSED):
        text = f"{whose}: the core has no ops {', '.join(odd)}; these kernels are never called{suggest(odd[0], OPS)}"
        warnings.warn(text, PluginWarning, stacklevel=3)


def add_kernel(op_name: str, backend_name: str, kernel: Kernel) -> None:
    """Add a third party's kernel, of priority 1 or more. PluginError when another distribution offers one of the same;
    DTypeError for dtypes that do not exist. Either way nothing is changed.
    """
    parse(kernel.dtypes or "")
    _warn_unknown(f"a kernel of {kernel.provider or 'a third party'} on {backend_name}", [op_name])
    with REGISTERING:
        known = _extra.setdefault((op_name, backend_name), [])
        for other in known:
            if other.priority == kernel.priority and other.provider != kernel.provider:
                first, second = other.provider or "unknown", kernel.provider or "unknown"
                both = f"{first} and {second} both offer a kernel of priority {kernel.priority}"
                raise PluginError(f"{op_name} on {backend_name}: {both}; the one of {first} stays. Change one priority")
        known.append(kernel)
        index = index_of(backend_name)
        if op_name in OPS and index is not None:
            _put(OPS[op_name], index, _row(OPS[op_name], BACKENDS[index]))


def register_op(op: Op) -> None:
    """Fill a new op's table for the backends that are loaded."""
    for index, backend in enumerate(BACKENDS):
        _put(op, index, _row(op, backend))


def state_of(op: Op, index: int, code: int) -> str:
    """How a backend runs an op on a dtype: native, composed, fallback or unsupported."""
    if code not in op.codes or code not in parse(BACKENDS[index].dtypes):
        return "unsupported"
    if op.chain[index][code] or op.run is not None:
        return "native"
    return "composed" if op.decompose is not None else "fallback"


def _row(op: Op, backend: Backend) -> tuple[list[Any], ...]:
    """A backend's cells, chains (the kernels, the best first) and kernels that take scalars for an op, by dtype code.

    For a dtype that the op is not defined for, the general road, to which the cell leads, has the error.
    """
    kernels = _own_kernels(op, backend) + _extra.get((op.name, backend.name), [])
    kernels.sort(key=lambda k: -k.priority)
    stored = parse(backend.dtypes)
    chain: list[list[Kernel]] = [[] for _ in DTYPES]
    for kernel in kernels:
        for code in stored & op.codes & parse(kernel.dtypes or "any"):
            chain[code].append(kernel)
    cells: list[Callable[..., Any]] = [best[0].fn if best else decline for best in chain]
    for code in op.codes - stored:
        cells[code] = functools.partial(_refuse, op, code, backend)
    return cells, chain, [best[0].fn if best and best[0].scalars else None for best in chain]


def _put(op: Op, index: int, row: tuple[list[Any], ...]) -> None:
    """Whole rows are added or replaced, so that a dispatch in another thread sees the old one or the new one."""
    for rows, part in zip(op.tables, row, strict=True):
        rows[index : index + 1] = [part]


def _own_kernels(op: Op, backend: Backend) -> list[Kernel]:
    entry: Any = backend.kernels.get(op.name, [])
    if not entry and op.name in backend.into and not backend.numbered and type(backend).empty is not Backend.empty:
        entry = _allocating(op, backend, backend.into[op.name])
    entries = entry if isinstance(entry, (list, tuple)) else [entry]
    kernels = [k if isinstance(k, Kernel) else Kernel(k) for k in entries]
    return [replace(k, provider=k.provider or backend.distribution or backend.name) for k in kernels]


def _allocating(op: Op, backend: Backend, into: Callable[..., Any]) -> Callable[..., Any]:
    """The allocating form of a kernel that only writes into given memory."""

    def kernel(*values: Any, **attrs: Any) -> Any:
        spec = op.spec(*map(backend.spec, values), **attrs)
        out = backend.empty(spec.shape, spec.dtype, "0")
        return NotImplemented if into(out, *values, **attrs) is NotImplemented else out

    return kernel


Op.registered = staticmethod(register_op)
