"""The way through the host: counted once a call, warned about once, and closed by ``PLUGRAD_FALLBACK=error``."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ...backend import Kernel, Spec
from ...dtypes import DTYPES, F4
from ...errors import FallbackError, FallbackWarning
from ...fallback import fallback_report, reset_fallback_report
from ...op import OPS, Op
from ...plugins.loader import registry
from ...state import within
from ...table import add_kernel
from ...tensor import Tensor
from .subject import Subject, compare, setting

USER = "user_program.py"
"""The file of the user's code in messages."""
SOURCE = "def call(op, x):\n    return op(x)\n"
LINE = 2
ATTRS: dict[str, dict[str, Any]] = {"sum": {"axis": (0,), "keepdims": False}, "reshape": {"shape": (6,)}}


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Counted, warned about, refused."""
    return [
        ("fallback.counted", counted),
        ("fallback.warned_once", warned_once),
        ("fallback.refused", refused),
        ("fallback.no_kernel_called_by_accident", native_calls_are_not_counted),
    ]


_lock = threading.Lock()


def unclaimed() -> Op:
    """An op that no backend but the reference has a kernel for: 2 x + 1. Made when a check first asks."""
    with _lock:
        if "testing.unclaimed" not in OPS:
            Op("testing.unclaimed", dtypes="numeric", spec=lambda x: Spec(x.shape, x.dtype))
            add_kernel("testing.unclaimed", "numpy", Kernel(lambda x: x * 2 + 1, provider="plugrad.testing"))
    return OPS["testing.unclaimed"]


def user_call(op: Op, x: Tensor) -> Any:
    """The op called from a line that counts as a user's."""
    names: dict[str, Any] = {}
    exec(compile(SOURCE, USER, "exec"), names)
    return names["call"](op, x)


def mode(value: str | None) -> AbstractContextManager[None]:
    """Within the block, PLUGRAD_FALLBACK has this value."""
    return setting("PLUGRAD_FALLBACK", value)


def _operand(subject: Subject) -> Tensor:
    return subject.put(np.arange(6).reshape(2, 3).astype(DTYPES[_code(subject)]))


def _code(subject: Subject) -> int:
    legal = subject.codes(unclaimed())
    return F4 if F4 in legal else legal[0]


def _counts() -> dict[tuple[str, str, str], tuple[int, int]]:
    return {(c.op, c.dtype, c.backend): (c.calls, c.bytes) for c in fallback_report()}


def counted(device: str) -> None:
    """Once a call, under the right op, dtype and backend, with the bytes that moved; not at all on the reference."""
    subject, op = Subject(device), unclaimed()
    for code in subject.codes(op):
        a = np.arange(6).reshape(2, 3).astype(DTYPES[code])
        x, key = subject.put(a), (op.name, DTYPES[code].name, subject.backend.name)
        before = _counts().get(key, (0, 0))
        with mode(None), warnings.catch_warnings():
            warnings.simplefilter("ignore", FallbackWarning)
            for _ in range(3):
                y = op(x)
        compare(f"{op.name} of {key[1]} through the host of {device}", subject.host(y.val), a * 2 + a.dtype.type(1))
        calls, moved = [b - a for a, b in zip(before, _counts().get(key, (0, 0)), strict=True)]
        wanted = (0, 0) if subject.index == 0 else (3, 3 * 2 * a.nbytes)
        assert (calls, moved) == wanted, (
            f"fallback_report: {op.name} of {key[1]} on {device} was called 3 times: expected {wanted[0]} calls and "
            f"{wanted[1]} bytes, came {calls} and {moved}"
        )


def warned_once(device: str) -> None:
    """The first call warns, at the user's line, and names op, dtype and backend; the second does not."""
    subject, op = Subject(device), unclaimed()
    if subject.index == 0:
        return
    x = _operand(subject)
    reset_fallback_report()
    with mode(None), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", FallbackWarning)
        user_call(op, x)
        user_call(op, x)
    found = [w for w in heard if issubclass(w.category, FallbackWarning)]
    what = f"the warning of {op.name} on {device}"
    assert len(found) == 1, f"{what}: expected 1 in 2 calls, came {len(found)}"
    _names(what, str(found[0].message), op.name, x.dtype.name, subject.backend.name)
    assert (found[0].filename, found[0].lineno) == (USER, LINE), f"{what}: it points at {found[0].filename}"


def refused(device: str) -> None:
    """PLUGRAD_FALLBACK=error raises instead, before anything moves, and names op, dtype, backend, the backend's
    distribution and the user's line.
    """
    subject, op = Subject(device), unclaimed()
    if subject.index == 0:
        return
    x, before = _operand(subject), _counts()
    with mode("error"):
        try:
            user_call(op, x)
        except FallbackError as error:
            text = str(error)
        else:
            raise AssertionError(f"PLUGRAD_FALLBACK=error: {op.name} on {device} ran all the same")
    entries = registry().select("backend")
    owner = entries.get(subject.backend.name)
    known = [owner.provider.distribution] if owner is not None else []
    _names(
        f"the error of {op.name} on {device}",
        text,
        *(op.name, x.dtype.name, subject.backend.name, "PLUGRAD_FALLBACK", *known, f"{USER}:{LINE}"),
    )
    assert _counts() == before, f"PLUGRAD_FALLBACK=error: the refused call of {op.name} on {device} was counted"


def _names(what: str, text: str, *words: str) -> None:
    missing = [word for word in words if word not in text]
    assert not missing, f"{what} does not name {', '.join(missing)}: {text!r}"


def native_calls_are_not_counted(device: str) -> None:
    """An op with a kernel runs it: nothing is counted, and observers hear ``native`` once."""
    subject = Subject(device)
    for name in ("add", "mul", "exp", "sum", "reshape"):
        op = OPS[name]
        if F4 not in subject.stored or not subject.kernels(op, F4):
            continue
        x, before = subject.put(np.ones((2, 3), np.float32)), _counts()
        heard: list[Any] = []
        attrs = ATTRS.get(name, {})
        with within(observers=(lambda *what: heard.append(what),)):  # noqa: B023 - called in the block only
            op(*[x] * (2 if name in ("add", "mul") else 1), **attrs)
        wanted = [(name, subject.backend.name, "native")]
        assert heard == wanted, f"observe: {name} of float32 on {device}: expected {wanted}, came {heard}"
        assert _counts() == before, f"fallback_report: {name} of float32 on {device} has a kernel and was counted"
