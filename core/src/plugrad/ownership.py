"""Who else can see a value: reference counts, calibrated at import. They decide reuse of buffers and warnings about
views.

A view keeps its root value alive in ``base``, so one count of the value tells whether anybody else (a view, a node of
the tape, another handle, an exported array) may look at it. If the calibration disagrees with itself, nothing is ever
reused.
"""

from __future__ import annotations

import functools
import sys
import warnings

import numpy as np

from .backend import BACKENDS
from .dtypes import DTYPES, parse
from .errors import ViewWriteError
from .fallback import setting
from .op import OPS
from .tensor import FOREIGN, Shared, Tensor


def _count_value(t: Tensor) -> int:
    return sys.getrefcount(t.val)


def _calibrate() -> int:
    one = Tensor(object(), 0, 0, (), "0")
    count, _held = _count_value(one), one.val
    return count if _count_value(one) == count + 1 else -1  # -1: an interpreter with other rules


_SOLE = _calibrate()


def sole(t: Tensor) -> bool:
    """Whether the handle is the only way to its value, so that the buffer may be reused."""
    return t.base is None and t.tr is None and _count_value(t) == _SOLE


@functools.cache
def _lone_count(be: int) -> int:
    """The references to the root of a view when only that view keeps it alive.

    Measured once: some backends' views hold their root themselves (NumPy), some hold the memory only.
    """
    backend = BACKENDS[be]
    code = min(parse(backend.dtypes))
    root = backend.from_host(np.zeros((2, 2), DTYPES[code]), backend.devices()[0])
    piece = OPS["slice"].table[be][code](root, start=(1, 0), size=(1, 2), step=(1, 1))
    if piece is NotImplemented:
        return sys.maxsize  # its views are copies: writing to one surprises nobody
    view = Tensor(OPS["reshape"].table[be][code](piece, shape=(2,)), be, code, (2,), "0", root)
    del root, piece
    return sys.getrefcount(view.base)


class _Counter:
    """How many references a handle has when it is a temporary, seen from inside the methods that Python calls for
    ``x[0][1] = v``.
    """

    seen = 0

    def __setitem__(self, i: int, v: int) -> None:
        _Counter.seen = sys.getrefcount(self)


_Counter()[0] = 0
TEMPORARY = _Counter.seen

_MESSAGE = "a write into a view changes the view alone: views are values; write x[...] = v on the tensor it belongs to"


def check_view_write(t: Tensor, references: int, assignment: bool) -> None:
    """Warn or raise before a write into a view. ``references`` is ``sys.getrefcount(handle)`` taken on its own line in
    the caller.

    ``x[0][1] = v`` raises: nobody could ever see it. A write into a named view of a tensor that is still alive warns
    once a line (``PLUGRAD_VIEW_WRITE=warn|error|ignore``). ``x[0] += v`` is fine: Python assigns the result back.
    """
    if t.base is None or t.base is FOREIGN or type(t.base) is Shared or t.tr is not None:
        return
    if references <= TEMPORARY and assignment:
        raise ViewWriteError("setitem: nobody could see this write to a temporary; use x[0, 1] = v, not x[0][1] = v")
    if references <= TEMPORARY or sys.getrefcount(t.base) <= _lone_count(t.be):
        return
    mode = setting("PLUGRAD_VIEW_WRITE", "warn", "error", "ignore")
    if mode == "error":
        raise ViewWriteError(f"setitem: {_MESSAGE}; this is a {t.describe()}")
    if mode != "ignore":
        warnings.warn(_MESSAGE, stacklevel=4)
