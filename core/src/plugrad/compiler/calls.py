"""What a call of a compiled function does with handles besides its programs: kinds, values, results, writes.

Compiled where there is a compiler, with ``calls.pxd`` giving the types.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

from ..handle import _TensorBase, handle
from ..tensor import Tensor

Kind = tuple[Any, ...]
"""Backend, dtype code, shape, ordinal, and whether it is on the tape of ``backward()``."""


def kinds(args: tuple[Any, ...], place: Any) -> tuple[Any, ...] | None:
    """The kinds of arguments that are all plain tensors off the tape, behind where new ones are made; else None."""
    found = [place]
    for x in args:
        if type(x) is not Tensor:
            return None
        t: _TensorBase = x
        if t.node is not None or t.tr is not None:
            return None
        found.append(t._shape)
        found.append(t.be * 64 + t.dt)
        found.append(t.dev)
    return tuple(found)


def same(values: Sequence[Any], seen: Sequence[Any]) -> bool:
    """Whether the objects are those of before, one by one."""
    if len(values) != len(seen):
        return False
    for i in range(len(seen)):  # noqa: SIM110 - compiled, this is one loop in C
        if values[i] is not seen[i]:
            return False
    return True


def holds(own: dict[str, Any], names: Sequence[str], seen: Sequence[Any]) -> bool:
    """Whether a dict has these keys and objects, in this order. False may mean equal keys that are not the same."""
    if len(own) != len(names):
        return False
    i = 0
    for name, value in own.items():
        if value is not seen[i] or name is not names[i]:
            return False
        i += 1  # noqa: SIM113 - compiled, a C integer
    return True


def unlike(handles: list[Any], seen: list[Kind]) -> int:
    """The place of the first handle of another kind than before, or -1."""
    for i in range(len(handles)):
        t: _TensorBase = handles[i]
        then = seen[i]
        if t._shape is not then[2] and t._shape != then[2]:
            return i
        if t.be != then[0] or t.dt != then[1] or t.dev != then[3] or (t.node is not None and t.mask & 1) != then[4]:
            return i
    return -1


def meets(args: Sequence[Any], handles: list[Any]) -> int:
    """The place of the first argument that is one of the handles, or -1."""
    for i in range(len(args)):
        for j in range(len(handles)):
            if args[i] is handles[j]:
                return i
    return -1


def gathered(args: Sequence[Any], captured: Sequence[Any], donated: list[int]) -> list[Any]:
    """The values of arguments and of captured handles; copies of those that are ``donated`` and have another holder."""
    values: list[Any] = []
    for x in args:
        t: _TensorBase = x
        values.append(t.val)
    for x in captured:
        if isinstance(x, _TensorBase):
            t = x
            values.append(t.val)
        else:
            values.append(x.val)
    first = len(args)
    for i in donated:
        x = args[i] if i < first else captured[i - first]
        if not gives(x):
            values[i] = x.copy().val
    return values


def _count(x: _TensorBase) -> int:
    return getrefcount(x.val)


def _calibrated() -> int:
    one = Tensor(object(), 0, 0, (), "0")
    count, _held = _count(one), one.val
    return count if _count(one) == count + 1 else -2  # an interpreter with other rules


_LONE = _calibrated()


def gives(x: Any) -> bool:
    """Whether what a handle holds, and a list of values too, may be written over: nobody else holds it."""
    if not isinstance(x, _TensorBase):
        return False
    t: _TensorBase = x
    return t.base is None and t.tr is None and _count(t) == _LONE + 1


def results(values: Sequence[Any], made: list[Any], first: int, end: int) -> list[Any]:
    """Tensors on the values of the outputs ``first`` to ``end``, each of the kind that ``made`` has for it."""
    found = []
    for i in range(first, end):
        kind = made[i]
        found.append(handle(values[i], kind[0], kind[1], kind[2], kind[3], None, 0, None, 0))
    return found


def written(handles: list[Any], values: Sequence[Any], made: list[Any], first: int, fresh: list[bool]) -> list[int]:
    """Let handles hold the values from ``first`` on; the places of those where that is not all of a write."""
    left = []
    for i in range(len(handles)):
        n = first + i
        t: _TensorBase = handles[i]
        if t.val is values[n] and fresh[n]:
            continue  # written in its own memory
        if not fresh[n] or not put(t, values[n], made[n]):
            left.append(i)
    return left


def put(x: Any, value: Any, kind: Any) -> bool:
    """Let a handle hold a value of the kind that it has; False, and nothing done, where that is not all of a write."""
    t: _TensorBase = x
    if t.tr is not None or t.base is not None or (t.node is not None and t.node.op is not None):
        return False
    if t.be != kind[0] or t.dt != kind[1] or t._shape != kind[2] or t.dev != kind[3]:
        return False
    t.val = value
    return True
