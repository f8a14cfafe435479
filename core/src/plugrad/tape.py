"""Reverse mode: leaves, the walk over recorded nodes, and the checkpoint's substitutions.

Knows ops only by their ``vjp_rule``.
"""

from __future__ import annotations

import functools
import heapq
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .errors import RecordingError
from .state import ACTIVE, OPEN, WATCHING, Scope, State, state, watched, within
from .tensor import Node, Tensor, install


class no_grad(within):
    """Within the block, or the decorated function, nothing is recorded, except by a ``grad`` or ``vjp`` inside it.

    >>> import plugrad
    >>> x = plugrad.asarray([1.0]).requires_grad_()
    >>> with plugrad.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(mask=0)

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with no_grad():
                return f(*args, **kwargs)

        return wrapped


def live(t: Tensor, here: State) -> int:
    """The ids recordable here that ``t`` carries.

    A bit counts only if the node is younger than the scope that holds the bit now.
    """
    mask = t.mask & here.mask
    if mask and t.node is not None and t.node.seq < here.since:
        for scope in reversed(here.scopes):
            if scope.start <= t.node.seq:
                break
            mask &= ~scope.bit
    return mask


def elsewhere(t: Tensor, here: State) -> bool:
    """Whether ``t`` carries an id that another thread has open: what is computed with it here would not be recorded."""
    if t.node is None:
        return False
    others = [scope for scope in list(OPEN.values()) if not scope.bit & here.bits]
    return any(t.mask & scope.bit and t.node.seq >= scope.start for scope in others)


def plain(t: Tensor) -> Tensor:
    """Another handle on the same value and place on the tape, for a walk or rule to own."""
    return t.clone(t.node, t.mask, t.ix)


class _Identity:
    """The op of a leaf: its cotangent is its input's."""

    @staticmethod
    def vjp_rule(g: Tensor, *_: Any) -> list[Tensor | None]:
        return [g]


class _Both:
    """The op of a result that two levels recorded, each for ids of its own: both get its cotangent."""

    name = "both"

    @staticmethod
    def vjp_rule(g: Tensor, *_: Any) -> list[Tensor | None]:
        return [g, g]


def joined(t: Tensor, other: Tensor) -> Tensor:
    """A handle on the value of ``t`` that is on the tape for the ids of both."""
    out = t.clone(None, 0)
    out.mask = t.mask | other.mask
    out.node = Node(_Both, {}, (t.ghost(t.node, t.mask, t.ix), other), (t.ghost(None, 0),), out.mask)
    return out


def entering(x: Tensor) -> Tensor:
    """A value on its way into a scope or level. An open checkpoint or stage knows it by its own name: a clone of a
    captured handle would be a constant.
    """
    here = state()
    x = x if here.capture is None else here.capture.resolve(x)
    return x if here.stage is None else here.stage.lifted(x)


def leaf(x: Tensor, scope: Scope, drop: int = 0) -> Tensor:
    """A handle on the value of ``x`` that is a leaf of ``scope``'s id, and stays on the older ids that ``x`` carries,
    ``drop`` excepted.
    """
    here, x = state(), entering(x)
    mask = live(x, here) & ~drop & ~(here.capture.hold if here.capture is not None else 0)
    t = x.clone(None, mask | scope.bit)
    t.node = Node(_Identity, {}, (x.clone(x.node, mask, x.ix),), (x.ghost(None, 0),), t.mask)
    return t


def strip(t: Tensor, scope: Scope) -> Tensor:
    """The value as it leaves its scope: without the scope's id."""
    return t.clone(t.node, live(t, state()) & ~scope.bit, t.ix)


Pairs = Sequence[tuple[Tensor, Tensor]]
Wanted = Sequence[Node | None] | None
Observe = Callable[[Tensor, Tensor], None] | None


def backprop(seeds: Pairs, wanted: Wanted, bit: int, start: int, observe: Observe = None, free: bool = False) -> Any:
    """Pull cotangents back along the nodes of the id (bit, start), youngest first.

    Returns the cotangents of the ``wanted`` nodes (None where nothing arrived), or for ``wanted=None`` the pairs (leaf
    handle, cotangent) of every leaf of ``backward()``. ``observe(handle, cotangent)`` hears of each leaf as soon as
    its gradient is final. ``free`` lets go of the nodes.

    The walk is iterative, ordered by sequence number, and stops by identity. It owns its cotangents: each slot holds a
    handle of its own, so a rule that is handed the only one may reuse its buffer.
    """
    leaves: list[tuple[Any, Tensor]] = []
    found: dict[int, Tensor | None] = {id(n): None for n in wanted or ()}
    waiting: dict[int, tuple[Node, dict[int, Tensor]]] = {}
    heap: list[int] = []  # the negated sequence numbers of those that wait

    def add(t: Tensor, g: Tensor) -> None:
        """A cotangent for the value that ``t`` stands for."""
        node = t.node
        if node is None or not node.mask & bit or node.seq < start:
            return
        if node.seq not in waiting:
            waiting[node.seq] = node, {}
            heapq.heappush(heap, -node.seq)
        slot = waiting[node.seq][1]
        slot[t.ix] = slot[t.ix] + g if t.ix in slot else plain(g)

    def step(node: Node, cotangents: dict[int, Tensor]) -> None:
        """Apply a node's rule and hand its results on."""
        outputs, attrs, inputs = node.outputs, node.attrs, node.inputs  # in this order: another thread may free it
        if inputs is None:
            remedy = "pass retain_graph=True to that call, or use grad()"
            part = f"the record of {node.op.name}, which gave a {next(iter(cotangents.values())).describe()},"
            raise RecordingError(f"backward: {part} was freed by an earlier backward(); {remedy}")
        need = tuple([t.node is not None and t.mask & bit != 0 and t.node.seq >= start for t in inputs])
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
                add(t, g)

    for t, g in seeds:
        add(t, g)
    while heap:
        node, cotangents = waiting.pop(-heapq.heappop(heap))
        if id(node) in found:
            found[id(node)] = cotangents[0]
        elif node.op is None:
            handle = node.outputs()
            leaves.append((handle, cotangents[0]))
            if observe is not None and handle is not None:
                observe(handle, cotangents[0])
        else:
            step(node, cotangents)
            if free and node.mask == 1:
                node.inputs = node.outputs = node.attrs = None  # type: ignore[assignment]  # from left to right
    return leaves if wanted is None else [found[id(n)] for n in wanted]


def backward(
    y: Tensor, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False, observe: Observe = None
) -> None:
    """Add the gradients of ``y`` to the ``.grad`` of every leaf it depends on; the work behind ``Tensor.backward``."""
    here = state()
    if not live(y, here) & 1:
        remedy = "mark a leaf with requires_grad_() before computing with it, outside no_grad()"
        raise RecordingError(f"backward: this {y.describe()} was not recorded; {remedy}")
    if gradient is None and y.shape != ():
        remedy = "pass gradient= of that shape, or reduce it with .sum() or .mean()"
        raise RecordingError(f"backward: the output has shape {y.shape}; {remedy}")
    if not isinstance(gradient, Tensor):
        gradient = y.ones_like() if gradient is None else Tensor._convert(gradient, device=y.device)
    if gradient.shape != y.shape:
        raise RecordingError(f"backward: gradient has shape {gradient.shape}, the output {y.shape}; they must agree")
    seed = (plain(y), gradient.astype(y.dtype))
    with within(mask=here.mask if create_graph else here.mask & ~1):
        for t, g in backprop([seed], None, 1, 0, observe, free=not (retain_graph or create_graph)):
            if t is not None:
                _accumulate(t, g)


_adding = threading.Lock()


def _accumulate(t: Tensor, g: Tensor) -> None:
    """Add ``g`` to ``t.grad``. The sum is made outside the lock, and made again if another thread was faster."""
    while True:
        before = t.grad
        after = g if before is None else before + g
        with _adding:
            if t.grad is before:
                t.grad = after
                return


SLOT: Any = Tensor.__dict__["_grad"]
"""Where a handle keeps its gradient."""


def _read_gradient(t: Tensor) -> Tensor | None:
    """The gradient that ``backward()`` has left here, or None."""
    if ACTIVE[0] and (level := state().stage) is not None:
        level.meet_gradient(t, read=True)
    found: Tensor | None = SLOT.__get__(t)
    return found


def _write_gradient(t: Tensor, g: Tensor | None) -> None:
    if ACTIVE[0] and (level := state().stage) is not None:
        level.meet_gradient(t, read=False)
    SLOT.__set__(t, g)


install(backward, grad=property(_read_gradient, _write_gradient, doc=_read_gradient.__doc__))


class Capture:
    """One run of a checkpoint: the first, or with ``leaves`` the one for the backward.

    In the first the ids held back are not recorded; whatever carries them is noted, once for each node and output. In
    the other it is a fresh leaf, wherever the function meets it; ``first`` is the capture around the first run. ``uid``
    numbers the first run: a plain handle older than it must not be written, or its gradient is lost.
    """

    def __init__(self, ids: int, parent: Capture | None, uid: int, leaves: Any = (), first: Any = None) -> None:
        self.ids, self.parent, self.uid, self.first = ids, parent, uid, first
        self.hold: int = ids | (parent.hold if parent is not None else 0)
        self.found: dict[tuple[int, int], Tensor] = {}  # by node and output
        self.leaves: dict[tuple[int, int], Tensor] = dict(leaves)

    def resolve(self, t: Tensor) -> Tensor:
        """What stands for ``t`` in this run."""
        if self.parent is not None:
            t = self.parent.resolve(t)
        if t.mask & self.ids and live(t, state()) & self.ids:
            self.found.setdefault((id(t.node), t.ix), plain(t))
        return self._own(t)

    def replaced(self, t: Tensor) -> Tensor:
        """What stood for ``t`` when this checkpoint ran first."""
        return self._own(t if self.parent is None else self.parent.replaced(t))

    def _own(self, t: Tensor) -> Tensor:
        if self.first is not None:
            t = self.first.replaced(t)
        return self.leaves.get((id(t.node), t.ix), t)
