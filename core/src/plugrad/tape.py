"""Reverse mode: leaves, the walk over recorded nodes, and the checkpoint's substitutions.

Knows ops only by their ``vjp_rule``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .errors import RecordingError
from .handle import live as live
from .state import OPEN, Scope, State, recording, state, within
from .tensor import Node, Tensor, install
from .walk import Observe, to_leaves
from .walk import backprop as backprop
from .walk import joined as joined
from .walk import plain as plain


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


def elsewhere(t: Tensor, here: State) -> bool:
    """Whether ``t`` carries an id that another thread has open: what is computed with it here would not be recorded."""
    if t.node is None:
        return False
    others = [scope for scope in list(OPEN.values()) if not scope.bit & here.bits]
    return any(t.mask & scope.bit and t.node.seq >= scope.start for scope in others)


class _Identity:
    """The op of a leaf: its cotangent is its input's."""

    @staticmethod
    def vjp_rule(g: Tensor, *_: Any) -> list[Tensor | None]:
        return [g]


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


def backward(
    y: Tensor, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False, observe: Observe = None
) -> None:
    """Add the gradients of ``y`` to the ``.grad`` of every leaf it depends on; the work behind ``Tensor.backward``."""
    here = state()
    if not live(y, here) & 1:
        remedy = "mark a leaf with requires_grad_() before computing with it, outside no_grad()"
        raise RecordingError(f"backward: this {y.describe()} was not recorded; {remedy}")
    shape = y.shape
    if gradient is None and shape != ():
        remedy = "pass gradient= of that shape, or reduce it with .sum() or .mean()"
        raise RecordingError(f"backward: the output has shape {shape}; {remedy}")
    if not isinstance(gradient, Tensor):
        gradient = y.ones_like() if gradient is None else Tensor._convert(gradient, device=y.device)
    if gradient.shape != shape:
        raise RecordingError(f"backward: gradient has shape {gradient.shape}, the output {shape}; they must agree")
    seed = (y, gradient if gradient.dt == y.dt else gradient.astype(y.dtype))
    free = not (retain_graph or create_graph)
    recording(here.mask if create_graph else here.mask & ~1, to_leaves, seed, observe, free)


install(backward)


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
