"""One table, ``op.table[backend][dtype]``: at once dispatch, capability declaration, kit matrix and docs. Every cell
is callable.

Filled when an op, a backend or a third party's kernel is registered, so that nothing is decided per call.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from . import backend as protocol
from .backend import BACKENDS, Backend, Kernel
from .dtypes import CODE, DTYPES, parse
from .errors import DTypeError, PluginError, PluginWarning
from .op import OPS, Op

Chain = list[list[Kernel]]

_extra: dict[tuple[str, str], list[Kernel]] = {}
"""Kernels of third parties by (op, backend)."""


def decline(*values: Any, **attrs: Any) -> Any:
    """The cell of an op that a backend has no kernel for."""
    return NotImplemented


def _illegal(op: Op, code: int) -> Callable[..., Any]:
    def refuse(*values: Any, **attrs: Any) -> Any:
        raise illegal_dtype(op, code)

    return refuse


def illegal_dtype(op: Op, code: int) -> DTypeError:
    """The error for a dtype that the op is not defined for."""
    legal = ", ".join(DTYPES[c].name for c in sorted(op.codes))
    return DTypeError(f"{op.name}: not defined for {DTYPES[code].name}; cast with .astype() to one of {legal}")


def _not_stored(op: Op, code: int, backend: Backend) -> Callable[..., Any]:
    def refuse(*values: Any, **attrs: Any) -> Any:
        raise DTypeError(
            f"{op.name}: {backend.name} does not store {DTYPES[code].name}; it stores "
            f"{', '.join(DTYPES[c].name for c in sorted(parse(backend.dtypes)))}. Use one of these, or another device"
        )

    return refuse


def add_backend(backend: Backend) -> int:
    """Append a backend and fill its row of every op's table; returns its index."""
    if protocol.index_of(backend.name) is not None:
        raise PluginError(f"backend {backend.name!r} is loaded already; give the second one another name")
    odd = sorted(n for n in {*backend.kernels, *backend.into} if "." not in n and OPS and n not in OPS)
    if odd:
        hint = difflib.get_close_matches(odd[0], OPS, 1)
        also = f"; did you mean {hint[0]!r}?" if hint else ""
        warnings.warn(
            f"backend {backend.name!r}: the core has no ops {', '.join(odd)}; these kernels are never called{also}",
            PluginWarning,
            stacklevel=2,
        )
    index = len(BACKENDS)
    rows = [(op, _row(op, backend)) for op in OPS.values()]  # all or nothing: a bad declaration raises here
    for op, row in rows:
        _put(op, index, row)
    BACKENDS.append(backend)
    return index


def add_kernel(op_name: str, backend_name: str, kernel: Kernel) -> None:
    """Add a third party's kernel. PluginError when another distribution offers one of the same priority."""
    known = _extra.setdefault((op_name, backend_name), [])
    for other in known:
        if other.priority == kernel.priority and other.provider != kernel.provider:
            known_by, new_by = other.provider or "unknown", kernel.provider or "unknown"
            raise PluginError(
                f"{op_name} on {backend_name}: {known_by} and {new_by} both offer a kernel of priority "
                f"{kernel.priority}; "
                f"the one of {known_by} stays. Change the priority of one of them"
            )
    known.append(kernel)
    index = protocol.index_of(backend_name)
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


Row = tuple[list[Callable[..., Any]], Chain, list[bool]]


def _row(op: Op, backend: Backend) -> Row:
    """A backend's cells, chains and scalar flags for an op, by dtype code."""
    chain = _chain(op, backend)
    stored = parse(backend.dtypes)
    cells: list[Callable[..., Any]] = []
    for code in range(len(DTYPES)):
        if code not in op.codes:
            cells.append(_illegal(op, code))
        elif code not in stored:
            cells.append(_not_stored(op, code, backend))
        else:
            cells.append(chain[code][0].fn if chain[code] else decline)
    return cells, chain, [bool(kernels) and kernels[0].scalars for kernels in chain]


def _put(op: Op, index: int, row: Row) -> None:
    """Whole rows are replaced, so that a dispatch in another thread sees the old one or the new one."""
    tables: tuple[list[Any], ...] = (op.table, op.chain, op.scalars)
    for rows, part in zip(tables, row, strict=True):
        while len(rows) <= index:
            rows.append([])
        rows[index] = part


def _chain(op: Op, backend: Backend) -> Chain:
    """Per dtype code, the kernels for it, the best first."""
    kernels = _own_kernels(op, backend) + _extra.get((op.name, backend.name), [])
    kernels.sort(key=lambda k: -k.priority)
    stored = parse(backend.dtypes) & op.codes
    rows: Chain = [[] for _ in DTYPES]
    for kernel in kernels:
        for code in stored if kernel.dtypes is None else stored & parse(kernel.dtypes):
            rows[code].append(kernel)
    return rows


def _own_kernels(op: Op, backend: Backend) -> list[Kernel]:
    entry = backend.kernels.get(op.name)
    if entry is None:
        into = backend.into.get(op.name)
        if into is None or type(backend).empty is Backend.empty:
            return []
        return [Kernel(_allocating(op, backend, into))]
    entries: Any = entry if isinstance(entry, (list, tuple)) else [entry]
    return [
        replace(k, provider=k.provider or backend.name) if isinstance(k, Kernel) else Kernel(k, provider=backend.name)
        for k in entries
    ]


def _allocating(op: Op, backend: Backend, into: Callable[..., Any]) -> Callable[..., Any]:
    """The allocating form of a kernel that only writes into given memory."""

    def kernel(*values: Any, **attrs: Any) -> Any:
        spec = op.spec(*[_shaped(backend.spec(v)) for v in values], **attrs)
        out = backend.empty(spec.shape, spec.dtype, "0")
        return out if into(out, *values, **attrs) is None else NotImplemented

    return kernel


def _shaped(spec: Any) -> SimpleNamespace:
    """A Spec with ``ndim``, as shape rules expect."""
    return SimpleNamespace(shape=spec.shape, dtype=spec.dtype, ndim=len(spec.shape))


def code_of(dtype: Any) -> int:
    """The code of a dtype object."""
    return CODE[dtype]


Op.registered = staticmethod(register_op)
