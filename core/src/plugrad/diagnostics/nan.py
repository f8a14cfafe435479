"""``find_nan``: the op, and the user's line, that made the first NaN, forward or backward."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..backend import BACKENDS
from ..dtypes import KIND
from ..errors import NonFiniteError
from ..fallback import user_line
from ..interpreters.stage import Graph
from ..state import Observer, Run
from ..tensor import Tensor, tupled


class _Value(NamedTuple):
    """A value at level 0, how many of its first axes are those of vmaps, and whether it is a tangent."""

    backend: int
    val: Any
    lanes: int
    tangent: bool


def _values(ts: Any) -> Iterator[_Value]:
    """The floating values behind tensors of any level; none of what is only staged."""
    todo = [(t, 0, False) for t in tupled(ts) if isinstance(t, Tensor)]
    while todo:
        t, lanes, tangent = todo.pop()
        if t.tr is None:
            if t.val is not None and KIND[t.dt] in "fcs":
                yield _Value(t.be, t.val, lanes, tangent)
        elif not t.tr.staging:
            todo += [(t.aux, lanes, True)] if isinstance(t.aux, Tensor) else []
            todo.append((t.val, lanes + t.tr.batched, tangent))


def _flaws(values: Iterable[_Value], inf: bool) -> dict[str, str]:
    """NaN, and if asked infinity, with where the first one is."""
    found: dict[str, str] = {}
    for value in values:
        array = np.asarray(BACKENDS[value.backend].to_host(value.val))
        for kind, test in (("NaN", np.isnan), ("infinity", np.isinf))[: 1 + inf]:
            bad = test(array)
            if kind not in found and (count := int(np.count_nonzero(bad))):
                at = tuple(map(int, np.unravel_index(int(np.argmax(bad)), bad.shape)))
                lane = f" of example {', '.join(map(str, at[: value.lanes]))} of vmap" if value.lanes else ""
                what = f"{'in its tangent, ' if value.tangent else ''}{count} of {array.size} elements"
                found[kind] = f"{kind} ({what}, the first at {at[value.lanes :]}{lane})"
    return found


class _Here(threading.local):
    """What encloses the running thread's call: "call" and "pull", the outermost first; the line of the node that is
    being pulled, and the line that asked for that; the first fault in a part of the outermost.
    """

    around: tuple[str, ...] = ()
    lines = ("", "")
    part = ""


class find_nan(Observer):
    """Within the block, the first op whose result has a NaN although no operand has one raises NonFiniteError, with
    the op, its operands and attributes, and the line that called it; with ``inf`` also the first infinity.

    In a backward pass the first bad cotangent raises, with the op whose rule made it, and the line that called that
    op, if that was in the block too. Works under every transformation, and in all threads. A call is judged by its
    result: what its decomposition hides by ``where`` is no fault. Every result is copied to the host, so it is slow.

    >>> import plugrad
    >>> with find_nan():
    ...     plugrad.log(plugrad.asarray([1.0, -1.0]))
    Traceback (most recent call last):
    plugrad.errors.NonFiniteError: log: NaN (1 of 2 elements, the first at (1,)) from operands without: ...
    """

    def __init__(self, *, inf: bool = False) -> None:
        self.inf = inf
        self._lines: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._here = _Here()

    def call(self, run: Run, op: Any, xs: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        here, before = self._here, list(_values(xs))
        with self._inside("call"):
            out = run()
        for o in tupled(out):
            if o.node is not None and o.node not in self._lines:
                line = user_line()
                self._lines[o.node] = here.lines[0] if line == here.lines[1] else line
        meant = not xs or not all(np.isfinite(v) for v in attrs.values() if isinstance(v, (float, complex)))
        if not meant and (flaw := self._new(out, before)):
            if here.around:
                here.part = here.part or f"; the first in its part {op.name}"
            else:
                operands = "; ".join([x.describe() for x in xs])
                shown = "".join([f", {k}={v}" for k, v in attrs.items() if not isinstance(v, Graph)])
                raise NonFiniteError(
                    f"{op.name}: {flaw} from operands without: {operands}{shown}; called at {user_line()}"
                    f"{here.part}; look at the operands there, or keep the op from them with plugrad.safe_where"
                )
        return out

    def pull(self, run: Run, node: Any, g: Any) -> Any:
        here, before = self._here, list(_values(g))
        line = self._lines.get(node, "a line outside this block")
        with self._inside("pull", line, user_line()):
            found = run()
        name = getattr(node.op, "name", "leaf")
        if flaw := self._new(tuple(found), before):
            if "call" in here.around:
                here.part = here.part or f"; the first in its part, the backward of {name}"
            else:
                operands = "; ".join([x.describe() for x in node.inputs])
                raise NonFiniteError(
                    f"{name}: its backward gives {flaw} from a cotangent without; operands: {operands}; "
                    f"called at {line}{here.part}; keep the op from such operands with plugrad.safe_where"
                )
        return found

    @contextlib.contextmanager
    def _inside(self, kind: str, *lines: str) -> Iterator[None]:
        """A block in which one more thing encloses."""
        here = self._here
        before = here.around, here.lines
        here.part = here.part if here.around else ""
        here.around, here.lines = (*here.around, kind), (lines[0], lines[1]) if lines else here.lines
        try:
            yield
        finally:
            here.around, here.lines = before

    def _new(self, after: Any, before: list[_Value]) -> str:
        """What is bad in the results and not in the operands. A NaN may come of an infinity, not the reverse."""
        flaws = _flaws(_values(after), self.inf)
        known = _flaws(before, self.inf) if flaws else {}
        return next((flaw for kind, flaw in flaws.items() if kind not in known and "NaN" not in known), "")
