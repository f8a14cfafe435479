"""What is hot: the state of a handle, the record of a call, and the fast roads of elementwise ops between them.

Compiled where there is a compiler, with ``handle.pxd`` giving the types; as it stands otherwise. The classes are the
bases of ``Tensor`` and ``Op``: what is above is told to them by ``serve``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .declared import _OpBase
from .dtypes import KIND, RANK
from .errors import no_memory
from .marks import FOREIGN
from .state import ACTIVE, State, calm, sequence, state

try:
    from ._slots import inherit_operators, reuse_memory
except ImportError:  # not compiled
    inherit_operators = reuse_memory = None

Attrs = dict[str, Any]
"""The attributes of a call."""
_NO_ATTRS: Attrs = {}
_ZERO, _ONE = 0, 1
"""Masks are mostly one of these, which are the same objects everywhere: told apart without arithmetic."""
FLOATING = [kind in "fc" for kind in KIND]
"""By dtype code: whether values have derivatives."""
_RANKS = [RANK[kind] if kind != "s" else -1 for kind in KIND]


class Node:
    """The record of one call: snapshots of inputs and outputs (values, never the user's handles).

    ``op`` is None for a leaf of the tape. ``kept`` is what the record of an elementwise call holds of values and edges:
    the result, then value, base and node of each operand. Their handles are made when somebody asks for ``inputs`` or
    ``outputs``. A tuple, so that a thread that frees it cannot meet one that reads it half way.
    """

    __slots__ = (
        "__weakref__", "_inputs", "_outputs", "attrs", "be", "born", "dev", "dt", "kept", "mask", "mask_a", "mask_b",
        "op", "seq", "shape", "shape_a", "shape_b",
    )  # fmt: skip
    be: int
    dt: int
    dev: str
    born: int
    shape: Any
    shape_a: Any
    shape_b: Any
    mask_a: int
    mask_b: int

    def __init__(self, op: Any, attrs: Attrs, inputs: Any, outputs: Any, mask: int) -> None:
        self.op, self.attrs, self._inputs, self._outputs, self.mask = op, attrs, inputs, outputs, mask
        self.kept: tuple[Any, ...] | None = None
        self.seq: int = next(sequence)

    @property
    def inputs(self) -> Any:
        """Snapshots of the operands; None once it was freed."""
        kept = self.kept
        return self._inputs if kept is None else operands(self, kept)

    @property
    def outputs(self) -> Any:
        """Snapshots of the results, or the weak reference to the handle of a leaf."""
        kept = self.kept
        return self._outputs if kept is None else (result(self, kept, None, 0),)

    @outputs.setter
    def outputs(self, outputs: Any) -> None:
        self._outputs = outputs

    def free(self) -> None:
        """Let go of what the backward rule needs. In this order: another thread may be reading."""
        self.kept = self._inputs = self._outputs = self.attrs = None  # type: ignore[assignment]


def operands(n: Node, kept: tuple[Any, ...]) -> tuple[Any, ...]:
    """The snapshots of an elementwise call's operands."""
    x = handle(kept[1], n.be, n.dt, n.shape_a, n.dev, kept[2], n.born, kept[3], n.mask_a)
    if len(kept) == 4:
        return (x,)
    return x, handle(kept[4], n.be, n.dt, n.shape_b, n.dev, kept[5], n.born, kept[6], n.mask_b)


def result(n: Node, kept: tuple[Any, ...], node: Node | None, mask: int) -> Any:
    """The snapshot of an elementwise call's result, with this place on the tape."""
    return handle(kept[0], n.be, n.dt, n.shape, n.dev, None, n.born, node, mask)


def handle(val: Any, be: int, dt: int, shape: Any, dev: str, base: Any, born: int, node: Node | None, mask: int) -> Any:
    """A Tensor of this state."""
    t = Tensor.__new__(Tensor)
    t.val = val  # one by one: compiled, that is less work than tuples
    t.be = be
    t.dt = dt
    t._shape = shape
    t.dev = dev
    t.base = base
    t.born = born
    t.tr = None
    t.aux = None
    t._grad = None
    t.node = node
    t.mask = mask
    t.ix = 0
    return t


class _TensorBase:
    """The state of a Tensor, and its arithmetic operators."""

    # val: the backend's value, or a lower level's handle under an interpreter tr. be, dt, dev: backend index, dtype
    # code, ordinal. base: the root value of a view, FOREIGN, or Shared. aux: the tangent under forward mode. node, ix,
    # mask: the place on the tape: node, output index, graph ids. born: serial number of the interpreter it was made
    # under.
    __slots__ = (
        "__weakref__", "_grad", "_shape", "aux", "base", "be", "born", "dev", "dt", "ix", "mask", "node", "tr", "val",
    )  # fmt: skip

    def __init__(
        self, val: Any, be: int, dt: int, shape: Any, dev: str, base: Any = None, tr: Any = None, aux: Any = None
    ) -> None:
        self.val, self.be, self.dt, self.dev, self.base = val, be, dt, dev, base
        self._shape: tuple[int, ...] = shape
        self.tr, self.aux = tr, aux
        self.ix, self.mask = 0, 0
        self.node: Node | None = None
        self._grad: Any = None
        self.born = state().uid if ACTIVE[0] else 0

    def clone(self, node: Node | None, mask: int, ix: int = 0) -> Any:
        """A plain handle on the same value, with this place on the tape. Nodes keep clones, never a user's handle."""
        born = state().uid if ACTIVE[0] else 0
        t = handle(self.val, self.be, self.dt, self._shape, self.dev, self.base, born, node if mask else None, mask)
        t.tr, t.aux, t.ix = self.tr, self.aux, ix
        return t

    def ghost(self, node: Node | None, mask: int, ix: int = 0) -> Any:
        """Shape, dtype and device of a value that a backward rule does not need."""
        born = state().uid if ACTIVE[0] else 0
        t = handle(None, self.be, self.dt, self._shape, self.dev, None, born, node if mask else None, mask)
        t.ix = ix
        return t

    @property
    def grad(self) -> Any:
        """The gradient that ``backward()`` has left here, or None."""
        if ACTIVE[0] is not _ZERO:
            meet_gradient(self, True)
        return self._grad

    @grad.setter
    def grad(self, g: Any) -> None:
        if ACTIVE[0] is not _ZERO:
            meet_gradient(self, False)
        self._grad = g

    def __add__(self, other: Any) -> Any:
        return _operate(_ADD, self, other)

    def __radd__(self, other: Any) -> Any:
        return _operate(_ADD, other, self)

    def __sub__(self, other: Any) -> Any:
        return _operate(_SUB, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _operate(_SUB, other, self)

    def __mul__(self, other: Any) -> Any:
        return _operate(_MUL, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _operate(_MUL, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _operate(_DIV, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _operate(_DIV, other, self)

    def __eq__(self, other: Any) -> Any:
        return _operate(_EQ, self, other)

    def __ne__(self, other: Any) -> Any:
        return _operate(_NE, self, other)

    def __lt__(self, other: Any) -> Any:
        return _operate(_LT, self, other)

    def __le__(self, other: Any) -> Any:
        return _operate(_LE, self, other)

    def __gt__(self, other: Any) -> Any:
        return _operate(_GT, self, other)

    def __ge__(self, other: Any) -> Any:
        return _operate(_GE, self, other)

    def __neg__(self) -> Any:
        return bind1(_operators[_NEG], self)


def meet_gradient(t: _TensorBase, read: bool) -> None:
    """Tell the graph that is being staged, if one is, that ``t.grad`` is about to be read or written."""
    level = state().stage
    if level is not None:
        level.meet_gradient(t, read)


# -- what the floors above tell

Tensor: Any = _TensorBase
_bind: Any = None
_lift: Any = None
_broadcast_shapes: Any = None

ADD, MUL = 0, 2
OPERATORS = ("add", "sub", "mul", "truediv", "eq", "ne", "lt", "le", "gt", "ge", "neg")
_ADD, _SUB, _MUL, _DIV, _EQ, _NE, _LT, _LE, _GT, _GE, _NEG = range(11)
_operators: list[Any] = [None] * 11
_functions: list[Any] = [None] * 11


def serve(tensor: type) -> None:
    """Make handles of this class."""
    global Tensor
    Tensor = tensor
    direct(tensor)
    if reuse_memory is not None:
        reuse_memory(tensor)
        reuse_memory(Node)


def direct(kind: type) -> None:
    """Let a subclass that is written in Python have the compiled operators without a detour by their names."""
    if inherit_operators is not None:
        inherit_operators(kind, _TensorBase)


def serve_roads(bind: Callable[..., Any], lift: Callable[..., Any], broadcast_shapes: Callable[..., Any]) -> None:
    """The general road, the making of tensors of scalars, and the shape rule."""
    global _bind, _lift, _broadcast_shapes
    _bind, _lift, _broadcast_shapes = bind, lift, broadcast_shapes


def serve_operators(**operators: tuple[Any, Any]) -> None:
    """By operator's name: the op, or None where only the function knows it, and the function of two operands."""
    for name, (op, function) in operators.items():
        i = OPERATORS.index(name)
        _operators[i], _functions[i] = op, function


# -- operators


def known(other: Any) -> bool:
    """Whether an operand is one that operators take."""
    return isinstance(other, (_TensorBase, bool, int, float, complex)) or hasattr(other, "__array__")


def _operate(which: int, x: Any, y: Any) -> Any:
    """``x`` operator ``y``, one of which is a tensor."""
    op = _operators[which]
    if op is not None:
        out = _road2(op, x, y, which == _DIV)
        if out is not None:
            return out
    return _functions[which](x, y) if known(y) and known(x) else NotImplemented


# -- the fast roads: eager, one dtype, one device, on the tape of backward() or none


def bind1(op: _OpBase, x: Any) -> Any:
    """An elementwise op of one operand."""
    out = _road1(op, x)
    return _bind(op, (x,), {}) if out is None else out


def bind2(op: _OpBase, x: Any, y: Any) -> Any:
    """An elementwise op of two operands."""
    out = _road2(op, x, y, False)
    return _bind(op, (x, y), {}) if out is None else out


def live(t: _TensorBase, here: State) -> int:
    """The ids recordable here that ``t`` carries.

    A bit counts only if the node is younger than the scope that holds the bit now.
    """
    if t.mask is _ONE:
        return _ONE if here is _default else here.mask & 1
    mask = t.mask & here.mask
    node = t.node
    if mask and node is not None and node.seq < here.since:
        for scope in reversed(here.scopes):
            if scope.start <= node.seq:
                break
            mask &= ~scope.bit
    return mask


_default = State()


def _here() -> State | None:
    """The thread's state, or None where calls need the general road."""
    if ACTIVE[0] is _ZERO:
        return _default
    here = state()
    return here if calm(here) else None


def _strange(x: _TensorBase, here: State) -> bool:
    """Whether an operand carries an id that may be another thread's."""
    return x.mask is not _ONE and x.mask & ~here.bits & ~1 != 0


def _short(op: _OpBase, x: _TensorBase, reads: int) -> bool:
    """Whether the short record of a call can hold an operand: no output but the first, nothing borrowed whose value is
    read later.
    """
    return x.ix == 0 and not (op.saved & reads and x.base is FOREIGN)


def _road1(op: _OpBase, x: Any) -> Any:
    """The call of one operand, or None where only the general road knows it."""
    if not isinstance(x, _TensorBase):
        return None
    a: _TensorBase = x
    if a.tr is not None:
        return None
    if a.node is None and ACTIVE[0] is _ZERO:
        return _call1(op, a, 0)
    here = _here()
    if here is None:
        return None
    mask: Any = _ZERO
    if a.node is not None:
        if _strange(a, here):
            return None
        mask = live(a, here)
    if mask is not _ZERO and op.road != 0:
        if op.road == 2 or not _short(op, a, 1):
            return None
        out: Any = _call1(op, a, here.uid)
        if out is not None and FLOATING[out.dt]:
            _record(op, out, mask, a, mask, None, _ZERO)
        return out
    return _call1(op, a, here.uid)


def _call1(op: _OpBase, a: _TensorBase, born: int) -> Any:
    """The kernel's result, or None."""
    try:
        row = op.table[a.be]
        r = row[a.dt](a.val)
    except MemoryError as error:
        raise no_memory(op, (a,), error) from None
    if r is NotImplemented:
        return None
    return handle(r, a.be, a.dt if op.result < 0 else op.result, a._shape, a.dev, None, born, None, _ZERO)


def _road2(op: _OpBase, x: Any, y: Any, inexact: bool) -> Any:
    """The call of two operands, or None where only the general road knows it; ``inexact``: integers are for that."""
    if not isinstance(x, _TensorBase):
        return _scalar_left(op, x, y, inexact)
    a: _TensorBase = x
    if not isinstance(y, _TensorBase):
        return _scalar_right(op, a, y, inexact)
    b: _TensorBase = y
    if a.be != b.be or a.dt != b.dt or a.tr is not None or b.tr is not None or a.dev != b.dev:
        return None
    if inexact and not FLOATING[a.dt]:
        return None
    if a.node is None and b.node is None and ACTIVE[0] is _ZERO:
        return _call2(op, a, b, 0)
    here = _here()
    if here is None:
        return None
    mask_a: Any = _ZERO
    mask_b: Any = _ZERO
    if a.node is not None:
        if _strange(a, here):
            return None
        mask_a = live(a, here)
    if b.node is not None:
        if _strange(b, here):
            return None
        mask_b = live(b, here)
    if (mask_a is not _ZERO or mask_b is not _ZERO) and op.road != 0:
        if op.road == 2 or not _short(op, a, 1) or not _short(op, b, 2):
            return None
        out: Any = _call2(op, a, b, here.uid)
        if out is not None and FLOATING[out.dt]:
            mask = mask_a if mask_b is _ZERO or mask_b is mask_a else mask_b if mask_a is _ZERO else mask_a | mask_b
            _record(op, out, mask, a, mask_a, b, mask_b)
        return out
    return _call2(op, a, b, here.uid)


def _call2(op: _OpBase, a: _TensorBase, b: _TensorBase, born: int) -> Any:
    """The kernel's result, or None."""
    shape = a._shape
    if shape is not b._shape:
        if shape == b._shape:
            b._shape = shape  # the same object from now on: equal at a glance
        else:
            shape = _broadcast_shapes(op.name, shape, b._shape)  # type: ignore[attr-defined]
    try:
        row = op.table[a.be]
        r = row[a.dt](a.val, b.val)
    except MemoryError as error:
        raise no_memory(op, (a, b), error) from None
    if r is NotImplemented:
        return None
    return handle(r, a.be, a.dt if op.result < 0 else op.result, shape, a.dev, None, born, None, _ZERO)


def _scalar_left(op: _OpBase, x: Any, y: Any, inexact: bool) -> Any:
    """The call with a Python number as the first operand."""
    if (type(x) is not float and type(x) is not int) or not isinstance(y, _TensorBase) or y.tr is not None:
        return None
    if inexact and not FLOATING[y.dt]:
        return None
    return _road2(op, _lift(op.name, x, y), y, False)  # type: ignore[attr-defined]


def _scalar_right(op: _OpBase, a: _TensorBase, y: Any, inexact: bool) -> Any:
    """The call with a Python number as the second operand."""
    if type(y) is float:
        need = 2
    elif type(y) is int:
        need = 1
    else:
        return None
    if a.tr is not None or (inexact and not FLOATING[a.dt]):
        return None
    kernel = op.scalars[a.be][a.dt]
    if kernel is not None and a.node is None and ACTIVE[0] is _ZERO and _RANKS[a.dt] >= need:
        try:
            r = kernel(a.val, y)
        except OverflowError:
            r = NotImplemented  # lift says what does not fit
        if r is not NotImplemented:
            return handle(r, a.be, a.dt if op.result < 0 else op.result, a._shape, a.dev, None, 0, None, _ZERO)
    return _road2(op, a, _lift(op.name, y, a), False)  # type: ignore[attr-defined]


def _record(
    op: _OpBase, out: _TensorBase, mask: int, a: _TensorBase, mask_a: int, b: _TensorBase | None, mask_b: int
) -> None:
    """Put a call on the tape, with the values that the backward rule reads."""
    s = op.saved
    n = Node.__new__(Node)
    n.op = op
    n.attrs = _NO_ATTRS
    n.mask = mask
    n.mask_a = mask_a
    n.mask_b = mask_b
    n.seq = next(sequence)
    n.be = a.be
    n.dt = a.dt
    n.dev = a.dev
    n.born = out.born
    n.shape = out._shape
    n.shape_a = a._shape
    n._inputs = None
    n._outputs = None
    y = out.val if s & 4 else None
    val_a = a.val if s & 1 else None
    base_a = a.base if s & 1 else None
    node_a = a.node if mask_a is not _ZERO else None
    if b is None:
        n.shape_b = None
        n.kept = (y, val_a, base_a, node_a)
    else:
        val_b = b.val if s & 2 else None
        base_b = b.base if s & 2 else None
        node_b = b.node if mask_b is not _ZERO else None
        n.shape_b = b._shape
        n.kept = (y, val_a, base_a, node_a, val_b, base_b, node_b)
    out.node = n
    out.mask = mask


def raw(which: int, be: int, dt: int, x: Any, y: Any) -> Any:
    """An operator on two values of a backend, or NotImplemented."""
    op: _OpBase = _operators[which]
    try:
        row = op.table[be]
        return row[dt](x, y)
    except MemoryError:
        return NotImplemented  # the road that has the operands' handles will tell
