"""``profile``: the time of every call, as a table and as a Chrome trace."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..backend import BACKENDS, device_name, parse_device
from ..fallback import columns
from ..program import short
from ..state import Observer, Run
from ..tensor import Tensor, tupled


class Span:
    """One call: its times in nanoseconds since the profile began, ``own`` without the calls inside it."""

    def __init__(self, name: str, kind: str, args: dict[str, Any], again: bool) -> None:
        self.name, self.kind, self.args, self.again = name, kind, args, again
        self.begun = self.duration = self.inside = 0
        self.thread = threading.get_native_id()

    @property
    def own(self) -> int:
        """Time outside the calls inside it."""
        return self.duration - self.inside

    def event(self) -> dict[str, Any]:
        """The complete event of the Chrome trace format, in microseconds."""
        times = {"ts": self.begun / 1e3, "dur": self.duration / 1e3}
        place = {"pid": os.getpid(), "tid": self.thread}
        return {"name": self.name, "cat": self.kind, "ph": "X", **times, **place, "args": self.args}


class Row(NamedTuple):
    """What an op, or its backward rule, cost: calls, microseconds with and without the calls inside it, bytes."""

    op: str
    calls: int
    total: float
    own: float
    bytes: int


class Table(tuple[Row, ...]):
    """The rows, most time of their own first. Prints as a table."""

    def __str__(self) -> str:
        rows = [("op", "calls", "total us", "self us", "MB")]
        rows += [(r.op, str(r.calls), f"{r.total:.1f}", f"{r.own:.1f}", f"{r.bytes / 1e6:.2f}") for r in self]
        return columns(rows, "<>>>>")


class profile(Observer):
    """Records every call within the block, in all threads: ``table()`` sums them up, and ``path`` (if any) becomes a
    trace for Perfetto or chrome://tracing, a JSON list of events, written at the end also when the block raises.

    The calls that a decomposition, a transformation or a backward rule makes lie inside theirs. ``how`` says native,
    fallback (through the host), composed, or the transformation. A device that works asynchronously is waited for
    after each call ("synchronized"), so that the time is the call's own; the whole then takes longer than without.
    A compiled function stays compiled: each program is a row ("program f"), and where the core executes it, so are its
    equations and groups ("fused(exp mul)"), inside it. A backend that executes whole programs itself shows nothing of
    their insides; with ``compiled=False`` compiled functions run op by op, and each op of the graph is a row.

    >>> import plugrad
    >>> with profile() as p:
    ...     y = plugrad.exp(plugrad.ones((3,))).sum()
    >>> sorted((row.op, row.calls, row.bytes) for row in p.table())
    [('exp', 1, 24), ('full', 1, 12), ('sum', 1, 16)]
    """

    compiled = True

    def __init__(self, path: str | os.PathLike[str] | None = None, *, compiled: bool = True) -> None:
        self.compiled = compiled
        self.path = None if path is None else Path(path).absolute()
        self.spans: list[Span] = []
        self._here = threading.local()
        self._start = 0

    def __enter__(self) -> Self:
        self.spans, self._start = [], time.perf_counter_ns()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self.path is not None:
            part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
            try:
                part.write_text(json.dumps(self.events()), encoding="utf-8")
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)

    def call(self, run: Run, op: Any, xs: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        inside = max([x.tr for x in xs if x.tr is not None], key=lambda level: level.uid, default=None)
        how = inside.name if inside is not None else "native" if op.decompose is None else "composed"
        be, dev = (xs[op.key].be, xs[op.key].dev) if xs else attrs["device"]

        def settle() -> None:
            if inside is None and BACKENDS[be].is_async:
                BACKENDS[be].synchronize(dev)
                args["synchronized"] = True

        args = {**_sizes(xs), "backend": BACKENDS[be].name, "device": device_name((be, dev)), "how": how}
        return self._timed(Span(op.name, "op", args, self._open(op.name)), run, settle)

    def pull(self, run: Run, node: Any, g: Any) -> Any:
        name = f"{getattr(node.op, 'name', 'leaf')} backward"
        return self._timed(Span(name, "backward", _sizes(tupled(g)), self._open(name)), run)

    def program(self, run: Run, program: Any, device: str) -> Any:
        name = f"program {program.name}".rstrip()
        return self._compiled(name, "program", device, {}, (program.inputs, program.outputs, program), run)

    def equation(self, run: Run, eqn: Any, program: Any, device: str) -> Any:
        body = dict(eqn.attrs).get("body")
        name = eqn.op if body is None else f"fused({' '.join([part.op for part in body.eqns])})"
        return self._compiled(
            name, "equation", device, {"where": short(eqn.where)}, (eqn.values, eqn.outs, program), run
        )

    def _compiled(self, name: str, kind: str, device: str, more: dict[str, Any], what: Any, run: Run) -> Any:
        """A program or a part of one; ``what`` is (values read, values given, program)."""
        ins, outs, program = what
        backend, ordinal = parse_device(device)
        specs, size = [program.specs[v] for v in ins], sum(map(program.nbytes, (*ins, *outs)))
        sizes = {"shapes": [s.shape for s in specs], "dtypes": [s.dtype.name for s in specs], "bytes": size}

        def settle() -> None:
            here = next(b for b in BACKENDS if b.name == backend)
            if here.is_async:
                here.synchronize(ordinal)
                args["synchronized"] = True

        args = {**sizes, "backend": backend, "device": device, "how": "compiled", **more}
        return self._timed(Span(name, kind, args, self._open(name)), run, settle)

    def kernel(self, op: str, backend: str, how: str) -> None:
        if stack := self._stack():
            stack[-1].args["how"] = how

    def events(self) -> list[dict[str, Any]]:
        """The trace: by thread and time, a call before those inside it."""
        return [s.event() for s in sorted(self.spans, key=lambda s: (s.thread, s.begun, -s.duration))]

    def table(self) -> Table:
        """The sums by op. A call inside one of the same op counts, but its time is in the outer one's total already."""
        sums: dict[str, Row] = {}
        for s in self.spans:
            row = sums.get(s.name, Row(s.name, 0, 0.0, 0.0, 0))
            total, size = (0.0, 0) if s.again else (s.duration / 1e3, s.args["bytes"])
            sums[s.name] = Row(s.name, row.calls + 1, row.total + total, row.own + s.own / 1e3, row.bytes + size)
        return Table(sorted(sums.values(), key=lambda row: -row.own))

    def _stack(self) -> list[Span]:
        """The running thread's calls that have not ended."""
        found: list[Span] = self._here.__dict__.setdefault("stack", [])
        return found

    def _open(self, name: str) -> bool:
        return any(span.name == name for span in self._stack())

    def _timed(self, span: Span, run: Run, settle: Callable[[], None] | None = None) -> Any:
        stack = self._stack()
        stack.append(span)
        begun = time.perf_counter_ns()
        try:
            out = run()
            if settle is not None:
                settle()
            span.args["bytes"] += _bytes(tupled(out) if not isinstance(out, list) else tuple(out))
            return out
        except BaseException as error:
            span.args["error"] = type(error).__name__
            raise
        finally:
            span.begun, span.duration = begun - self._start, time.perf_counter_ns() - begun
            stack.pop()
            if stack:
                stack[-1].inside += span.duration
            self.spans.append(span)


def _bytes(ts: tuple[Any, ...]) -> int:
    return sum(t.size * t.dtype.itemsize for t in ts if isinstance(t, Tensor))


def _sizes(ts: tuple[Any, ...]) -> dict[str, Any]:
    given = [t for t in ts if isinstance(t, Tensor)]
    return {"shapes": [t.shape for t in given], "dtypes": [t.dtype.name for t in given], "bytes": _bytes(ts)}
