"""Who else can see a value: reference counts, calibrated at import. They decide reuse of buffers and warnings about
views.

A view keeps its root value alive in ``base``, so one count of the value tells whether anybody else (a view, a node of
the tape, another handle, an exported array) may look at it. If the calibration disagrees with itself, nothing is ever
reused.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import numpy as np

from .backend import BACKENDS
from .dtypes import F4
from .errors import ViewWriteError
from .op import OPS
from .tensor import FOREIGN, LENT, Tensor


def _count_value(t: Tensor) -> int:
    return sys.getrefcount(t.val)


def _count_base(t: Tensor) -> int:
    return sys.getrefcount(t.base)


def _probe(value: Any, base: Any = None) -> Tensor:
    return Tensor(value, 0, 0, (), "0", base)


def _calibrate() -> int:
    one, two = _probe(object()), _probe(object())
    count = _count_value(one)
    held = one.val
    if _count_value(two) != count or _count_value(one) != count + 1:  # pragma: no cover - another interpreter's rules
        return -1
    del held
    return count


_SOLE = _calibrate()


def sole(t: Tensor) -> bool:
    """Whether the handle is the only way to its value, so that the buffer may be reused."""
    return t.base is None and t.tr is None and _count_value(t) == _SOLE


_lone: dict[int, int] = {}
"""Per backend: the references to the root of a view when only that view keeps it alive."""


def _lone_count(be: int) -> int:
    """Measured once: some backends' views hold their root themselves (NumPy), some hold the memory only."""
    if be not in _lone:
        backend = BACKENDS[be]
        root = backend.from_host(np.zeros((2, 2), np.float32), backend.devices()[0])
        piece = OPS["slice"].table[be][F4](root, start=(1, 0), size=(1, 2), step=(1, 1))
        if piece is NotImplemented:
            return _lone.setdefault(be, sys.maxsize)  # its views are copies: writing to one surprises nobody
        view = _probe(OPS["reshape"].table[be][F4](piece, shape=(2,)), root)
        del root, piece
        _lone[be] = _count_base(view)
    return _lone[be]


class _Counter:
    """How many references a handle has when it is a temporary, seen from inside the methods that Python calls for
    ``x[0][1] = v``.
    """

    seen = 0

    def __getitem__(self, i: int) -> _Counter:
        return _Counter()

    def __setitem__(self, i: int, v: int) -> None:
        _Counter.seen = sys.getrefcount(self)


_counter = _Counter()
_counter[0][0] = 0
TEMPORARY = _Counter.seen

_MESSAGE = (
    "a write into a view changes the view alone, views are values; write x[...] = v on the tensor it is a view of"
)


def check_view_write(t: Tensor, references: int, assignment: bool) -> None:
    """Warn or raise before a write into a view. ``references`` is ``sys.getrefcount(handle)`` taken on its own line in
    the caller.

    ``x[0][1] = v`` raises: nobody could ever see it. A write into a named view of a tensor that is still alive warns
    once a line (``PLUGRAD_VIEW_WRITE=warn|error|ignore``). ``x[0] += v`` is fine: Python assigns the result back.
    """
    if t.base is None or t.base is FOREIGN or t.base is LENT or t.tr is not None:
        return
    if references <= TEMPORARY:
        if assignment:
            remedy = "write x[0, 1] = v instead of x[0][1] = v"
            raise ViewWriteError(f"setitem: this writes into a temporary view, which nobody could see; {remedy}")
        return
    if _count_base(t) <= _lone_count(t.be):
        return
    mode = os.environ.get("PLUGRAD_VIEW_WRITE", "warn")
    if mode == "error":
        raise ViewWriteError(f"setitem: {_MESSAGE}")
    if mode != "ignore":
        warnings.warn(_MESSAGE, stacklevel=4)
