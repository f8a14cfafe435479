"""checkpoint: keep a function's inputs instead of its intermediate values, and run it again in the backward pass."""

from __future__ import annotations

import functools
import operator
from typing import Any

from . import tree
from .dispatch import own_borrowed
from .dtypes import KIND
from .errors import LeakedTracerError
from .parameter import Buffer
from .state import RECORDING, UNCHANGED, Log, Scope, State, state, within
from .tape import Capture, backprop, leaf, live, plain
from .tensor import Node, Tensor, Tensors, tupled
from .transforms import F, as_leaves, named, vmap


class _Rerun:
    """The op of a checkpoint's node: its rule runs the function again, from the state that the first run started
    from.
    """

    name = "checkpoint"

    def __init__(self, f: F, build: tree.TreeDef, buffers: list[Any], places: list[Any], log: Log, here: State) -> None:
        self.f, self.build, self.buffers, self.places, self.log = f, build, buffers, places, log
        self.first, self.draws, self.device = here.capture, here.draws, here.device

    def vjp_rule(self, g: Any, y: Any, xs: Tensors, *_: Any) -> list[Tensor | None]:
        again = Log(None, holds=True)
        try:
            with Scope() as scope:
                leaves = [leaf(x, scope) for x in xs]
                nodes = [t.node for t in leaves]  # before f writes to them
                for handle, content in self.log.handles.values():
                    again.keep(handle)
                    handle.restore(content)
                replay = Capture(0, state().capture, 0, zip(self.places, leaves, strict=True), self.first)
                with (
                    within(capture=replay, log=again, uid=again.uid, draws=self.draws, device=self.device),
                    state().stage.apart() if state().stage is not None else UNCHANGED,
                ):
                    args = self.build([t if b is None else b for b, t in zip(self.buffers, leaves)])
                    outputs = [replay.resolve(y) for y in as_leaves(self.f(*args))[0]]
                seeds = [(plain(y), c) for y, c in zip(outputs, tupled(g), strict=True) if c is not None]
        finally:
            again.undo()
        return backprop(seeds, nodes, scope.bit, scope.start)


def checkpoint(f: F) -> F:
    """``f`` with less memory: its intermediate values are computed again when gradients are pulled through it.

    The first run notes every recorded tensor that ``f`` meets, captured ones included; the second starts from the
    state (Buffers, generators) that the first started from, and puts the state back. Arguments and results may be
    trees. Composes with every transformation.

    >>> import plugrad
    >>> plugrad.grad(lambda x: checkpoint(lambda v: v * v)(x))(3.0).item()
    6.0
    """

    named(f, "checkpoint")

    @functools.wraps(f, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            return checkpoint(lambda *given: f(*given[:-1], **given[-1]))(*args, kwargs)
        leaves, _, build = as_leaves(args)
        here = state()
        ids = (here.mask if here.top is None else here.mask & ~here.top.outer) & ~RECORDING
        return _first_run(f, leaves, build, ids, here) if ids else _without_ids(f, leaves, build, here)

    return wrapped


def _first_run(f: F, leaves: list[Tensor], build: tree.TreeDef, ids: int, here: State) -> Any:
    parent = here.capture
    leaves = leaves if parent is None else [parent.resolve(t) for t in leaves]
    own_borrowed(tuple(leaves))
    # f gets handles of its own, which it may write to. A Buffer is state: both runs meet the caller's own
    before = [t if isinstance(t, Buffer) else plain(t) for t in leaves]
    log = Log(here.log)
    capture = Capture(ids, parent, log.uid)
    with within(capture=capture, log=log, uid=log.uid):
        outputs, _, build_y = as_leaves(f(*build([t if isinstance(t, Buffer) else plain(t) for t in before])))
        outputs = [capture.resolve(y) for y in outputs]  # a captured value may leave without passing through an op
    own = {(id(t.node), t.ix) for t in before}
    inputs = before + [t for place, t in capture.found.items() if place not in own]
    carried = [live(t, here) & ~(0 if parent is None else parent.hold) for t in inputs]
    masks = [m & ids for m in carried]
    mask = functools.reduce(operator.or_, masks, 0)
    if not mask:
        return build_y(outputs)
    buffers = [t if isinstance(t, Buffer) else None for t in before]
    places = [(id(t.node), t.ix) if m else None for t, m in zip(inputs, masks, strict=True)]
    # ids of levels below stay too, for the derivative of the second run's derivative
    snapshots = tuple([t.clone(t.node, m, t.ix) for t, m in zip(inputs, carried, strict=True)])
    op = _Rerun(f, build, buffers, places, log, here)
    node = Node(op, {}, snapshots, tuple([y.ghost(None, 0) for y in outputs]), mask)
    return build_y([y.clone(node, mask, i) if KIND[y.dt] in "fc" else y for i, y in enumerate(outputs)])


def _without_ids(f: F, leaves: list[Tensor], build: tree.TreeDef, here: State) -> Any:
    """Nothing is recorded at this level.

    Under vmap the checkpoint moves inside, so that grad(vmap(checkpoint(f))) saves memory too.
    """
    top = here.top
    if top is None or not top.batched or not here.mask & top.outer or not any(t.tr is top for t in leaves):
        return f(*build(leaves))
    axes = tuple([0 if t.tr is top else None for t in leaves])
    log = Log(here.log)
    top.alive = False  # a batched value that f captures raises now, instead of crossing levels
    try:
        with top.underneath(), within(log=log):
            draws = "same" if here.draws == "ok" else here.draws
            inner = vmap(lambda *values: f(*build(values)), axes, randomness=draws)
            found = checkpoint(inner)(*[t.val if t.tr is top else t for t in leaves])
        return tree.map(top.wrap, found)
    except LeakedTracerError:
        log.undo()
    finally:
        top.alive = here
    return f(*build(leaves))  # right, without the saving
