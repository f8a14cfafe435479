"""The walk of reverse mode over recorded nodes. Compiled where there is a compiler, with ``walk.pxd`` giving the types.

Knows ops only by their ``partials`` and ``vjp_rule``.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from .declared import _OpBase
from .dtypes import KIND
from .errors import RecordingError
from .handle import ADD, MUL, Node, _TensorBase, handle, operands, raw, result
from .state import RECORDING, WATCHING, calm, state, watched

COMPLEX = [kind == "c" for kind in KIND]


class _Both:
    """The op of a result that two levels recorded, each for ids of its own: both get its cotangent."""

    name = "both"

    @staticmethod
    def vjp_rule(g: Any, *_: Any) -> list[Any]:
        return [g, g]


def joined(t: Any, other: Any) -> Any:
    """A handle on the value of ``t`` that is on the tape for the ids of both."""
    out = t.clone(None, 0)
    out.mask = t.mask | other.mask
    out.node = Node(_Both, {}, (t.ghost(t.node, t.mask, t.ix), other), (t.ghost(None, 0),), out.mask)
    return out


Pairs = Sequence[tuple[Any, Any]]
Wanted = Sequence[Node | None] | None
Observe = Callable[[Any, Any], None] | None


def backprop(seeds: Pairs, wanted: Wanted, bit: int, start: int, observe: Observe = None, free: bool = False) -> Any:
    """Pull cotangents back along the nodes of the id (bit, start), youngest first.

    Returns the cotangents of the ``wanted`` nodes (None where nothing arrived), or for ``wanted=None`` the pairs (leaf
    handle, cotangent) of every leaf of ``backward()``. ``observe(handle, cotangent)`` hears of each leaf as soon as
    its gradient is final. ``free`` lets go of the nodes.

    The walk is iterative, ordered by sequence number, and stops by identity. It owns its cotangents: each slot holds a
    handle of its own, so a rule that is handed the only one may reuse its buffer. What it knows of a node it keeps
    itself, since another thread may be walking there too.
    """
    leaves: list[tuple[Any, Any]] = []
    found: dict[int, Any] = {id(n): None for n in wanted or ()}
    walk = _Walk(bit, start)
    for t, g in seeds:
        walk.reach(t, g)
    while True:
        slot = walk.youngest()
        if slot is None:
            break
        node = slot.node
        if found and id(node) in found:
            found[id(node)] = walk.settled(slot)
        elif node.op is None:
            leaf, g = node.outputs(), walk.settled(slot)
            leaves.append((leaf, g))
            if observe is not None and leaf is not None:
                observe(leaf, g)
        else:
            walk.step(slot)
            if free and node.mask == 1:
                node.free()
    return leaves if wanted is None else [found[id(n)] for n in wanted]


def to_leaves(seed: tuple[Any, Any], observe: Observe, free: bool) -> None:
    """Add to the ``.grad`` of every leaf of ``backward()`` what the walk from this pair brings it."""
    for t, g in backprop([seed], None, 1, 0, observe, free):
        if t is not None:
            _accumulate(t, g)


_adding = threading.Lock()


def _accumulate(t: Any, g: Any) -> None:
    """Add ``g`` to ``t.grad``. The sum is made outside the lock, and made again if another thread was faster."""
    while True:
        before = t.grad
        after = g if before is None else before + g
        with _adding:
            if t.grad is before:
                t.grad = after
                return


class _Slot:
    """The cotangents that have arrived at a node: ``first`` of output 0, ``more`` of the others by index.

    As long as nothing could see a handle, that of output 0 is ``raw``, a backend's value in the dtype and on the device
    of the node ``like`` and of its shape.
    """

    __slots__ = ("first", "like", "more", "node", "raw")
    node: Node
    like: Node | None
    first: Any
    raw: Any
    more: dict[int, Any] | None


class _Walk:
    """One walk. The slots of the nodes that wait are kept by node, and in a heap by negated sequence number; but one,
    ``top``, is kept apart, so that along a chain nothing is looked up.
    """

    __slots__ = ("bit", "calm", "heap", "idle", "mask", "start", "top", "uid", "waiting")

    def __init__(self, bit: int, start: int) -> None:
        self.bit, self.start = bit, start
        self.waiting: dict[Node, _Slot] = {}
        self.heap: list[tuple[int, _Slot]] = []
        self.top: _Slot | None = None
        here = state()
        self.calm, self.mask, self.uid = calm(here), here.mask, here.uid
        self.idle = here.mask & ~RECORDING == 0  # nothing that is computed is recorded

    def slot(self, node: Node) -> _Slot:
        """The slot of a node, which may be its first."""
        top = self.top
        if top is not None and top.node is node:
            return top
        if self.heap:
            first: _Slot = self.heap[0][1]
            if node.seq <= first.node.seq:  # younger than all that wait is not among them
                found = self.waiting.get(node)
                if found is not None:
                    return found
        slot = _Slot.__new__(_Slot)
        slot.node, slot.like, slot.first, slot.raw, slot.more = node, None, None, None, None
        if top is None:
            self.top = slot
        elif node.seq > top.node.seq:
            self.top = slot
            self.wait(top)
        else:
            self.wait(slot)
        return slot

    def wait(self, slot: _Slot) -> None:
        """Put a slot in the heap."""
        self.waiting[slot.node] = slot
        heappush(self.heap, (-slot.node.seq, slot))

    def youngest(self) -> _Slot | None:
        """Take out the slot of the youngest node that waits."""
        top = self.top
        if not self.heap:
            self.top = None
            return top
        if top is not None:
            first: _Slot = self.heap[0][1]
            if top.node.seq > first.node.seq:
                self.top = None
                return top
        slot: _Slot = heappop(self.heap)[1]
        del self.waiting[slot.node]
        return slot

    def follows(self, node: Node | None, mask: int) -> bool:
        """Whether the walk goes on to a place on the tape."""
        return node is not None and (mask is self.bit or mask & self.bit != 0) and node.seq >= self.start

    def reach(self, t: _TensorBase, g: Any) -> None:
        """A cotangent for the value that ``t`` stands for, if the walk goes there."""
        node = t.node
        if node is not None and self.follows(node, node.mask):
            self.add(node, t.ix, g, False)

    def add(self, node: Node, ix: int, g: Any, own: bool) -> None:
        """A cotangent for an output of a node; ``own``: nobody else has the handle."""
        slot = self.slot(node)
        if ix == 0:
            before = self.settled(slot)
            slot.first = before + g if before is not None else g if own else plain(g)
        else:
            more = slot.more
            if more is None:
                more = slot.more = {}
            more[ix] = more[ix] + g if ix in more else plain(g)

    def add_raw(self, node: Node, value: Any, like: Node) -> None:
        """The same for a value of the shape, dtype and device of the result of ``like``."""
        slot = self.slot(node)
        if slot.raw is not None:
            total = raw(ADD, like.be, like.dt, slot.raw, value)
            if total is not NotImplemented:
                slot.raw = total
                return
        if slot.raw is None and slot.first is None:
            slot.raw, slot.like = value, like
        else:
            self.add(node, 0, self.made(value, like), True)

    def made(self, value: Any, like: Node) -> Any:
        """A handle on a value like the result of a node."""
        return handle(value, like.be, like.dt, like.shape, like.dev, None, self.uid, None, 0)

    def settled(self, slot: _Slot) -> Any:
        """The cotangent of output 0 as a handle, or None."""
        like = slot.like
        if like is not None:
            slot.first, slot.raw, slot.like = self.made(slot.raw, like), None, None
        return slot.first

    def step(self, slot: _Slot) -> None:
        """Apply a node's rule and hand its results on."""
        node = slot.node
        kept = node.kept
        if kept is not None and not WATCHING[0]:
            op: _OpBase = node.op
            if op.declared is not None and op.partials is op.declared:
                self.step_kept(op, node, kept, slot)
                return
        self.step_any(node, slot)

    def step_kept(self, op: _OpBase, node: Node, kept: tuple[Any, ...], slot: _Slot) -> None:
        """The same for the record of an elementwise call whose partial derivatives are known: on values as long as
        nothing is to be recorded, else on handles.
        """
        value = self.value(slot) if self.calm else None
        both = len(kept) == 7
        node_a: Node | None = kept[3]
        node_b: Node | None = kept[6] if both else None
        need_a = self.follows(node_a, node.mask_a)
        need_b = both and self.follows(node_b, node.mask_b)
        xs: Any = None
        if need_a and not self.step_raw(node, kept, op.partial_a, value, node_a, node.shape_a):
            xs = operands(node, kept)
            self.step_partial(op, node, kept, slot, xs, 0, not need_b)
        if need_b and not self.step_raw(node, kept, op.partial_b, value, node_b, node.shape_b):
            self.step_partial(op, node, kept, slot, operands(node, kept) if xs is None else xs, 1, True)

    def value(self, slot: _Slot) -> Any:
        """The cotangent of output 0 as a backend's value, or None if the handle says more."""
        if slot.raw is not None:
            return slot.raw
        g: _TensorBase = slot.first
        plainly = g.base is None and g.tr is None and (g.node is None or self.idle or not g.mask & self.mask)
        return g.val if plainly else None

    def step_raw(
        self, node: Node, kept: tuple[Any, ...], partial: int, value: Any, to: Node | None, shape: Any
    ) -> bool:
        """Hand on one operand's cotangent as a value, if that can be."""
        if value is None or partial < 0 or (shape is not node.shape and shape != node.shape):
            return False
        if partial != 0:
            factor, mask = kept[0], node.mask
            if partial == 1:
                factor, mask = kept[1], node.mask_a
            elif partial == 2:
                factor, mask = kept[4], node.mask_b
            if COMPLEX[node.dt] or (not self.idle and mask & self.mask):
                return False
            value = raw(MUL, node.be, node.dt, value, factor)
            if value is NotImplemented:
                return False
        self.add_raw(to, value, node)  # type: ignore[arg-type]
        return True

    def step_partial(
        self, op: _OpBase, node: Node, kept: tuple[Any, ...], slot: _Slot, xs: Any, i: int, last: bool
    ) -> None:
        """Hand on one operand's cotangent as a handle; ``last``: nobody will ask for that of the result again."""
        partial = op.declared[i]
        if partial is None:
            return
        g = self.settled(slot)
        which = op.partial_b if i else op.partial_a
        own = which != 0 or last
        if which == 0:
            c = g
        elif which == 1 or which == 2:
            c = g * conjugate(xs[which - 1])
        else:
            y = result(node, kept, node, node.mask)
            c = g * conjugate(y if which == 3 else partial(y, *xs))
        x = xs[i]
        if c.dt != x.dt or c._shape != x._shape:
            c, own = op.fit(c, x), False  # type: ignore[attr-defined]
        self.add(x.node, 0, c, own)

    def step_any(self, node: Node, slot: _Slot) -> None:
        """The same for every other record."""
        outputs, attrs, inputs = node.outputs, node.attrs, node.inputs  # in this order: another thread may free it
        cotangents = dict(slot.more or ())
        if self.settled(slot) is not None:
            cotangents[0] = slot.first
        if inputs is None:
            remedy = "pass retain_graph=True to that call, or use grad()"
            part = f"the record of {node.op.name}, which gave a {next(iter(cotangents.values())).describe()},"
            raise RecordingError(f"backward: {part} was freed by an earlier backward(); {remedy}")
        need = tuple([self.follows(t.node, t.mask) for t in inputs])
        made = [o.clone(node, node.mask, i) for i, o in enumerate(outputs)]
        y: Any = tuple([joined(new, o) if o.mask else new for new, o in zip(made, outputs, strict=True)])
        gs: Any = tuple([cotangents.get(i) for i in range(len(y))])
        if len(y) == 1:
            (y,), (gs,) = y, gs
        rule = node.op.vjp_rule
        if WATCHING[0]:
            rule = functools.partial(watched, "pull", (node, gs), rule)
        for t, g in zip(inputs, rule(gs, y, inputs, need, attrs), strict=True):
            if g is not None:
                self.reach(t, g)


def plain(t: Any) -> Any:
    """Another handle on the same value and place on the tape, for a walk or rule to own."""
    return t.clone(t.node, t.mask, t.ix)


def conjugate(t: Any) -> Any:
    """``conj`` for callers that only read: the same handle if it is real."""
    return t.conj() if KIND[t.dt] == "c" else t
