"""checkpoint: keep a function's inputs instead of its intermediate values, and run it again in the backward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import tree
from .dispatch import own_borrowed
from .dtypes import KIND
from .errors import LeakedTracerError
from .parameter import Buffer
from .state import RECORDING, Log, Scope, State, state, within
from .tape import Capture, Replay, backprop, leaf, live, plain
from .tensor import Node, Tensor
from .transforms import as_leaves, vmap

F = Callable[..., Any]


class _Rerun:
    """The op of a checkpoint's node: its rule runs the function again."""

    name = "checkpoint"

    def __init__(self, rule: Callable[[Any, tuple[Tensor, ...]], list[Tensor | None]]) -> None:
        self.rule = rule

    def vjp_rule(
        self, g: Any, y: Any, xs: tuple[Tensor, ...], need: tuple[bool, ...], attrs: dict[str, Any]
    ) -> list[Tensor | None]:
        return self.rule(g if isinstance(g, tuple) else (g,), xs)


def checkpoint(f: F) -> F:
    """``f`` with less memory: its intermediate values are computed again when gradients are pulled through it.

    The first run notes every recorded tensor that ``f`` meets, captured ones included; the second starts from the
    state (Buffers, generators) that the first started from, and puts the state back. Arguments and results may be
    trees. Composes with every transformation.

    >>> import plugrad
    >>> plugrad.grad(lambda x: checkpoint(lambda v: v * v)(x))(3.0).item()
    6.0
    """

    @functools.wraps(f, updated=())
    def wrapped(*args: Any) -> Any:
        leaves, _, build = as_leaves(args)
        here = state()
        top = here.top
        ids = (here.mask if top is None else here.mask & ~top.outer) & ~RECORDING
        if not ids:
            return _without_ids(f, leaves, build, here)
        return _first_run(f, leaves, build, ids, here)

    return wrapped


def _first_run(f: F, leaves: list[Tensor], build: tree.TreeDef, ids: int, here: State) -> Any:
    parent = here.capture
    if parent is not None:
        leaves = [parent.resolve(t) for t in leaves]
    own_borrowed(tuple(leaves))
    # f gets handles of its own, which it may write to. A Buffer is state: both runs meet the caller's own
    before = [t if isinstance(t, Buffer) else plain(t) for t in leaves]
    log = Log(here.log)
    capture = Capture(ids, parent, log.uid)
    with within(capture=capture, log=log, uid=log.uid):
        given = [t if isinstance(t, Buffer) else plain(t) for t in before]
        outputs, _, build_y = as_leaves(f(*build(given)))
        outputs = [capture.resolve(y) for y in outputs]  # a captured value may leave without passing through an op
    own = {(id(t.node), t.ix) for t in before if t.node is not None}
    inputs = before + [t for place, t in capture.found.items() if place not in own]
    mask = 0
    for t in inputs:
        if t.mask:
            mask |= live(t, here)
    mask &= ids & ~(parent.hold if parent is not None else 0)
    if not mask:
        return build_y(outputs)
    places = [(id(t.node), t.ix) if t.mask and live(t, here) & mask else None for t in inputs]
    buffers = {i: t for i, t in enumerate(before) if isinstance(t, Buffer)}
    rule = _rule(f, build, len(leaves), buffers, places, log, parent, here)
    snapshots = []
    for t in inputs:
        m = live(t, here) & mask if t.mask else 0
        snapshots.append(t.clone(t.node if m else None, m, t.ix))
    node = Node(_Rerun(rule), {}, tuple(snapshots), tuple([y.ghost(None, 0) for y in outputs]), mask)
    return build_y([y.clone(node, mask, i) if KIND[y.dt] in "fc" else y for i, y in enumerate(outputs)])


def _rule(
    f: F,
    build: tree.TreeDef,
    count: int,
    buffers: dict[int, Buffer],
    places: list[Any],
    log: Log,
    first: Any,
    here: State,
) -> Any:
    draws, device = here.draws, here.device

    def rule(gs: tuple[Tensor | None, ...], xs: tuple[Tensor, ...]) -> list[Tensor | None]:
        again = Log(None)
        try:
            with Scope() as scope:
                leaves = [leaf(x, scope) for x in xs]
                nodes = [t.node for t in leaves]  # before f writes to them
                for handle, content in log.handles.values():
                    again.handles[id(handle)] = (handle, handle.content())
                    handle.restore(content)
                table = {place: t for place, t in zip(places, leaves, strict=True) if place is not None}
                replay = Replay(table, state().capture, first)
                with within(capture=replay, log=again, uid=again.uid, draws=draws, device=device):
                    args = build([buffers.get(i, t) for i, t in enumerate(leaves[:count])])
                    outputs = [replay.resolve(y) for y in as_leaves(f(*args))[0]]
                seeds = [(plain(y), g) for y, g in zip(outputs, gs, strict=True) if g is not None]
        finally:
            again.undo()
        return backprop(seeds, nodes, scope.bit, scope.start)

    return rule


def _without_ids(f: F, leaves: list[Tensor], build: tree.TreeDef, here: State) -> Any:
    """Nothing is recorded at this level.

    Under vmap the checkpoint moves inside, so that grad(vmap(checkpoint(f))) saves memory too.
    """
    top = here.top
    if top is None or not top.batched or not here.mask & top.outer or not any(t.tr is top for t in leaves):
        return f(*build(leaves))
    axes = [0 if t.tr is top else None for t in leaves]
    log = Log(here.log)
    collected: list[Any] = []

    def on_leaves(*values: Tensor) -> Any:
        outputs, _, build_y = as_leaves(f(*build(values)))
        collected[:] = [build_y]
        return tuple(outputs)

    top.alive = False  # a batched value that f captures raises now, instead of crossing levels
    try:
        stage, capture, below = top.below
        with within(mask=here.mask & top.outer, stage=stage, capture=capture, top=below, log=log):
            inner = vmap(on_leaves, tuple(axes), randomness="same" if here.draws == "ok" else here.draws)
            found = checkpoint(inner)(*[t.val if t.tr is top else t for t in leaves])
        return collected[0]([top.wrap(y) for y in found])
    except LeakedTracerError:
        log.undo()
    finally:
        top.alive = True
    return f(*build(leaves))  # right, without the saving
