"""Reverse mode: leaves, the walk over recorded nodes, and the checkpoint's substitutions.

Knows ops only by their ``vjp_rule``.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable, Sequence
from typing import Any

from .errors import RecordingError
from .state import Scope, State, state, within
from .tensor import Node, Tensor, install


class no_grad(within):
    """Within the block, or the decorated function, nothing is recorded, except by a ``grad`` or ``vjp`` inside it.

    >>> import plugrad
    >>> x = plugrad.asarray([1.0]).requires_grad_()
    >>> with plugrad.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    __slots__ = ()

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


def plain(t: Tensor) -> Tensor:
    """Another handle on the same value and place on the tape, for a walk or rule to own."""
    return t.clone(t.node, t.mask, t.ix)


class _Identity:
    """The op of a leaf: its cotangent is its input's."""

    name = "leaf"

    @staticmethod
    def vjp_rule(g: Tensor, *_: Any) -> list[Tensor | None]:
        return [g]


def leaf(x: Tensor, scope: Scope, drop: int = 0) -> Tensor:
    """A handle on the value of ``x`` that is a leaf of ``scope``'s id, and stays on the older ids that ``x`` carries,
    ``drop`` excepted.
    """
    here = state()
    if here.capture is not None:
        x = here.capture.resolve(x)
    if here.stage is not None:
        x = here.stage.lifted(x)  # else the clone would turn a captured handle into a constant
    mask = live(x, here) & ~drop & ~(here.capture.hold if here.capture is not None else 0)
    t = x.clone(None, mask | scope.bit)
    t.node = Node(_Identity, {}, (x.clone(x.node if mask else None, mask, x.ix),), (x.ghost(None, 0),), t.mask)
    return t


def strip(t: Tensor, scope: Scope) -> Tensor:
    """The value as it leaves its scope: without the scope's id."""
    mask = live(t, state()) & ~scope.bit
    return t.clone(t.node if mask else None, mask, t.ix)


Pairs = Sequence[tuple[Tensor, Tensor]]
Observe = Callable[[Tensor, Tensor], None] | None


def backprop(
    seeds: Pairs,
    wanted: Sequence[Node | None] | None,
    bit: int,
    start: int,
    observe: Observe = None,
    free: bool = False,
) -> list[Any]:
    """Pull cotangents back along the nodes of the id (bit, start), youngest first.

    Returns the cotangents of the ``wanted`` nodes (None where nothing arrived), or for ``wanted=None`` the pairs (leaf
    handle, cotangent) of every leaf of ``backward()``. ``observe(handle, cotangent)`` hears of each leaf as soon as
    its gradient is final. ``free`` lets go of the nodes.

    The walk is iterative, ordered by sequence number, and stops by identity. It owns its cotangents: each slot holds a
    handle of its own, so a rule that is handed the only one may reuse its buffer.
    """
    walk = _Walk(bit, start)
    leaves: list[tuple[Any, Tensor]] = []
    found: dict[int, Tensor | None] = {id(n): None for n in wanted or ()}
    for t, g in seeds:
        walk.add(t, g)
    while walk.heap:
        node, cotangents = walk.waiting.pop(-heapq.heappop(walk.heap))
        if id(node) in found:
            found[id(node)] = cotangents[0]
        elif node.op is None:
            handle = node.outputs()
            leaves.append((handle, cotangents[0]))
            if observe is not None and handle is not None:
                observe(handle, cotangents[0])
        elif node.inputs is None:
            remedy = "pass retain_graph=True to that call, or use grad()"
            raise RecordingError(f"backward: this part of the tape was freed by an earlier backward(); {remedy}")
        else:
            walk.step(node, cotangents)
            if free and node.mask == 1:
                node.inputs = node.outputs = node.attrs = None  # type: ignore[assignment]
    return leaves if wanted is None else [found[id(n)] for n in wanted]


class _Walk:
    """The cotangents waiting at nodes, by sequence number, and the order in which to visit them."""

    def __init__(self, bit: int, start: int) -> None:
        self.bit, self.start = bit, start
        self.waiting: dict[int, tuple[Node, dict[int, Tensor]]] = {}
        self.heap: list[int] = []

    def add(self, t: Tensor, g: Tensor) -> None:
        """A cotangent for the value that ``t`` stands for."""
        node = t.node
        if node is None or not node.mask & self.bit or node.seq < self.start:
            return
        if node.seq not in self.waiting:
            self.waiting[node.seq] = node, {}
            heapq.heappush(self.heap, -node.seq)
        slot = self.waiting[node.seq][1]
        slot[t.ix] = slot[t.ix] + g if t.ix in slot else plain(g)

    def step(self, node: Node, cotangents: dict[int, Tensor]) -> None:
        """Apply a node's rule and hand its results on."""
        inputs = node.inputs
        need = tuple([t.node is not None and t.mask & self.bit != 0 and t.node.seq >= self.start for t in inputs])
        y: Any = tuple([o.clone(node, node.mask, i) for i, o in enumerate(node.outputs)])
        gs: Any = tuple([cotangents.get(i) for i in range(len(y))])
        if len(y) == 1:
            (y,), (gs,) = y, gs
        for t, g in zip(inputs, node.op.vjp_rule(gs, y, inputs, need, node.attrs), strict=True):
            if g is not None:
                self.add(t, g)


def backward(
    y: Tensor, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False, observe: Observe = None
) -> None:
    """Add the gradients of ``y`` to the ``.grad`` of every leaf it depends on; the work behind ``Tensor.backward``."""
    here = state()
    if not live(y, here) & 1:
        remedy = "mark a leaf with requires_grad_() before computing with it, outside no_grad()"
        raise RecordingError(f"backward: this {y.describe()} was not recorded; {remedy}")
    if gradient is None:
        if y.shape != ():
            remedy = "pass gradient= of that shape, or reduce it to a scalar first"
            raise RecordingError(f"backward: the output has shape {y.shape}; {remedy}")
        gradient = y.ones_like()
    elif not isinstance(gradient, Tensor):
        gradient = Tensor._convert(gradient, device=y.device)
    if gradient.shape != y.shape:
        raise RecordingError(f"backward: gradient has shape {gradient.shape}, the output {y.shape}; they must agree")
    seed = (plain(y), gradient.astype(y.dtype))
    with within(mask=here.mask if create_graph else here.mask & ~1):
        for t, g in backprop([seed], None, 1, 0, observe, free=not (retain_graph or create_graph)):
            if t is not None:
                t.grad = g if t.grad is None else t.grad + g


install(backward=backward)


class Capture:
    """The first run of a checkpoint: ids held back are not recorded; whatever carries them is noted, once for each
    node and output. ``uid`` numbers the run: a plain handle older than it must not be written, or its gradient is lost.
    """

    def __init__(self, ids: int, parent: Capture | None, uid: int) -> None:
        self.ids, self.parent, self.uid = ids, parent, uid
        self.hold: int = ids | (parent.hold if parent is not None else 0)
        self.found: dict[tuple[int, int], Tensor] = {}

    def resolve(self, t: Tensor) -> Tensor:
        """What stands for ``t`` in this run."""
        if self.parent is not None:
            t = self.parent.resolve(t)
        if t.mask & self.ids and live(t, state()) & self.ids:
            self.found.setdefault((id(t.node), t.ix), plain(t))
        return t

    def replaced(self, t: Tensor) -> Tensor:
        """What stood for ``t`` when this checkpoint ran first."""
        return t if self.parent is None else self.parent.replaced(t)


class Replay(Capture):
    """The re-run: whatever was found in the first run is a fresh leaf now, wherever the function meets it."""

    def __init__(self, table: dict[tuple[int, int], Tensor], parent: Capture | None, first: Capture | None) -> None:
        super().__init__(0, parent, 0)
        self.table, self.first = table, first

    def resolve(self, t: Tensor) -> Tensor:
        return self._own(super().resolve(t))

    def replaced(self, t: Tensor) -> Tensor:
        return self._own(super().replaced(t))

    def _own(self, t: Tensor) -> Tensor:
        if self.first is not None:
            t = self.first.replaced(t)
        return t if t.node is None else self.table.get((id(t.node), t.ix), t)
