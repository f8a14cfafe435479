"""Staging: a function runs once on shapes and dtypes only, and every op it calls becomes an equation of a graph."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..backend import BACKENDS, Spec
from ..dtypes import CODE
from ..errors import ShapeError, StateError, article
from ..fallback import user_line
from ..op import Op
from ..state import RECORDING, UNCHANGED, Log, serial, state, within
from ..table import check_stored
from ..tape import entering, live, plain
from ..tensor import FOREIGN, LITERAL, Attrs, Tensor, Tensors, tupled
from .levels import Interpreter


class Var:
    """A value of the graph that is not known yet."""

    __slots__ = ("be", "dev", "id", "spec")

    def __init__(self, id: int, spec: Spec, be: int, dev: str) -> None:
        self.id, self.spec, self.be, self.dev = id, spec, be, dev

    @property
    def kind(self) -> tuple[Any, ...]:
        """Shape, dtype and device."""
        return *self.spec, self.be, self.dev

    def like(self, *lead: int) -> Tensor:
        """Shape (behind axes ``lead``), dtype and device, without a value."""
        return Tensor(None, self.be, CODE[self.spec.dtype], (*lead, *self.spec.shape), self.dev)


class Equation(NamedTuple):
    """One op call of a staged graph."""

    op: Op
    attrs: Attrs
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    hidden: int
    """The ids that did not record it: none, 1 for the tape of ``backward()``, or all (-1) for ``no_grad``."""
    region: int = 0
    """Equal equations of one region are one; a checkpoint's second run is a region of its own, or it would be no
    second run.
    """
    where: str = ""
    """The line of the user's code, "file.py:12"."""


class Gradient(NamedTuple):
    """The gradient of a handle from outside, and whether it is read before it is written. If so, ``inside`` stands for
    it, with the variable ``place``; else, or if the function knows it by another name too, it stands for itself.
    """

    handle: Tensor
    read: bool
    inside: Tensor | None
    place: Var | None


class Stage(Interpreter):
    """The level of one trace.

    While it is the innermost stage it captures every op, also on values that do not depend on the arguments. At its end
    it takes back what was written to handles from outside.
    """

    name = "stage"
    staging = True

    def __init__(self, tape: bool = False, aliased: frozenset[int] = frozenset()) -> None:
        """``tape``: the tape of ``backward()`` is recorded at this level, so that what it does is part of the graph.
        ``aliased``: the ids of gradients that have other names.
        """
        # no log around hears of the writes, since they are taken back
        self.log, self.recordable, self.tape = Log(None, holds=True), state().mask, tape
        super().__init__(log=self.log)
        self.equations: list[Equation] = []
        self.constants: list[tuple[Tensor, Var]] = []
        self.fixed: set[Var] = set()
        """Those of the constants that will not change: no handle from outside."""
        self.modules: list[Any] = []
        self.draws, self.drawn = state().draws, False
        """The randomness of ``vmap`` around; whether a generator handed out keys."""
        self.gradients: dict[int, Gradient] = {}
        """By handle, the gradients from outside that were read or written."""
        self.inner: dict[int, tuple[Tensor, Tensor, Var]] = {}
        """By id, a gradient from outside, and what stands for it."""
        self.aliased = aliased
        self.region = 0
        """That of the equations from here on."""
        self._known: dict[tuple[bool, int], Var] = {}
        self._ids = itertools.count()

    def __enter__(self) -> Any:
        super().__enter__()
        self.outer &= ~int(self.tape)
        return self

    def __exit__(self, *error: object) -> None:
        self.log.undo()
        self.log.handles = {key: (handle, ()) for key, (handle, _) in self.log.handles.items()}  # let go of the values
        outside = {id(inside): before for before, inside, _ in self.inner.values()}
        for handle, _, inside, _ in self.gradients.values():
            handle._grad = outside.get(id(inside), inside)
        self.aliased |= {i for i in self.inner if self._is_aliased(i)}
        super().__exit__(*error)

    def _is_aliased(self, i: int) -> bool:
        """Whether a gradient is known otherwise than by its handle."""
        return i in self.aliased or (True, i) in self._known or i in self.log.handles

    def meet_gradient(self, t: Tensor, read: bool) -> None:
        """``t.grad`` is about to be read or written. What it holds from outside is an input of the graph, if it is read
        first; what it holds in the end is written after each call.
        """
        if t.born >= self.uid or id(t) in self.gradients:
            return
        if not self.tape and not read:
            wrong = f"the gradient of this {t.describe()} from outside is written inside a graph of its own"
            raise StateError(f"grad: {wrong}; call backward() outside of cond, scan and stage, or use plugrad.grad")
        if (outer := self.below[0]) is not None:
            return outer.meet_gradient(t, read)
        g, inside, place = t._grad, None, None
        if read and g is not None and not self._is_aliased(id(g)):
            inside = self.new(g, g.be, g.dev)
            inside.born = self.uid
            _, inside, place = self.inner.setdefault(id(g), (g, inside, inside.val))
            t._grad = inside
        self.gradients[id(t)] = Gradient(t, read, g if inside is None else inside, place)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """A block whose equations are a region of their own."""
        before, self.region = self.region, next(serial)
        try:
            yield
        finally:
            self.region = before

    def new(self, x: Any, be: int, dev: str) -> Tensor:
        """A fresh unknown with the shape and dtype of a tensor or Spec."""
        return Tensor(
            Var(next(self._ids), Spec(x.shape, x.dtype), be, dev), be, CODE[x.dtype], x.shape, dev, None, self
        )

    def var(self, t: Tensor) -> Var:
        """The graph's variable for a value: of this level, or a constant from outside. An unwritten handle from before
        the trace is an input that each call reads again, and so is borrowed memory, which its owner may write; other
        constants are kept as they are.
        """
        if t.tr is self:
            return t.val
        captured = t.born < self.uid and id(t) not in self.log.handles
        found = self._known.get((captured, id(t if captured else t.val)))
        if found is None:
            handle = t if captured else plain(t)
            found = Var(next(self._ids), Spec(t.shape, t.dtype), t.be, t.dev)
            self.constants.append((handle, found))  # keeps both alive, so that their ids stay theirs
            if handle.base is LITERAL or not (captured or handle.base is FOREIGN):
                self.fixed.add(found)
            self._known[True, id(handle)] = found
            self._known.setdefault((False, id(t.val)), found)
        return found

    def lifted(self, t: Tensor) -> Tensor:
        """A value from outside as one of this level, so that nodes recorded from here on refer to the graph's
        variable.
        """
        if t.tr is not None:
            return t
        new = plain(t)
        new.val, new.tr, new.base = self.var(t), self, None
        return new

    def process(self, op: Op, xs: Tensors, attrs: Attrs, spec: Any) -> Any:
        be, dev = attrs["device"] if not xs or op.name == "to_device" else (xs[op.key].be, xs[op.key].dev)
        for s in tupled(spec):
            check_stored(op.name, CODE[s.dtype], BACKENDS[s.be if isinstance(s, Tensor) else be])
        outs = tuple([self.new(s, *((s.be, s.dev) if isinstance(s, Tensor) else (be, dev))) for s in tupled(spec)])
        off = self.recordable & ~state().mask
        hidden = -1 if off & RECORDING else off & 1
        self.equations.append(
            Equation(
                op, attrs, tuple(map(self.var, xs)), tuple([o.val for o in outs]), hidden, self.region, user_line()
            )
        )
        return outs if type(spec) is tuple else outs[0]


class Graph:
    """A staged function: equations in execution order. Calling it binds the ops again, so it can be differentiated,
    mapped and staged itself.

    ``state`` pairs handles from outside with the variables that the function wrote to them; a call writes them back.
    Common subexpressions and dead code are left out. Draws of random bits are functions of their key, so they may be
    shared too.
    """

    def __init__(self, level: Stage, inputs: Sequence[Var], outputs: Sequence[Tensor]) -> None:
        seen: dict[Any, tuple[Var, ...]] = {}
        renamed: dict[Var, Var] = {}
        kept: list[Equation] = []
        for op, attrs, xs, ys, hidden, region, where in level.equations:
            xs = tuple([renamed.get(v, v) for v in xs])
            key = (op, tuple(sorted((k, repr(v)) for k, v in attrs.items())), xs, hidden, region)
            first = ys if op.opaque else seen.setdefault(key, ys)
            renamed.update(zip(ys, first, strict=True))
            if first is ys:
                kept.append(Equation(op, attrs, xs, ys, hidden, region, where))

        def final(t: Tensor) -> Var:
            v = level.var(t)
            return renamed.get(v, v)

        self.inputs, self.outputs = tuple(inputs), tuple(map(final, outputs))
        self.draws = level.draws if level.drawn else None
        writes = [h for h, _ in level.log.handles.values() if not h.is_leaf]
        self._leave(level, final)
        left = [t for g in level.gradients.values() if (t := g.handle._grad) is not None]
        rest = [*writes, *left, *[t for _, t, _ in level.inner.values()]]

        def on_tape(t: Tensor) -> bool:
            return bool(t.mask & 1 and not (t.is_leaf and t.born >= level.uid) and live(t, state()) & 1)

        self.tapes = [on_tape(t) for t in outputs]
        """By result, whether it is on the tape of ``backward()``."""
        self.carried = any(map(on_tape, rest))
        """Whether something that is written is."""
        self.taped = self.carried or any(self.tapes)
        self.state = tuple([(handle, final(handle)) for handle, _ in level.log.handles.values()])
        used = {*self.outputs, *[v for _, v in self.state], *[v for _, v in self.gradients]}
        needed = []
        for equation in reversed(kept):
            if not used.isdisjoint(equation.outputs):
                needed.append(equation)
                used.update(equation.inputs)
        self.equations = tuple(reversed(needed))
        self.constants = tuple([(handle, v) for handle, v in level.constants if v in used])
        self.fixed = level.fixed

    def _leave(self, level: Stage, final: Callable[[Tensor], Var]) -> None:
        """What becomes of the gradients of handles from outside."""
        self.sources: list[tuple[Tensor | None, Tensor | None]] = []
        """Gradients: that of a handle before the call; else a certain tensor; (None, None) for none, or a new one."""
        self.met: list[tuple[Tensor, Var | None]] = []
        """Handles whose gradient is read, and its variable, or None where there must be none."""
        self.ties: list[tuple[Tensor, int]] = []
        """Handles whose gradient is read, and must be this one of the sources, as that has another name."""
        self.slots: list[tuple[Tensor, int]] = []
        """Handles whose gradient is another one after the call, and which of the sources."""
        spots: dict[int, int] = {}

        def spot(t: Tensor | None, of: Tensor | None, known: Tensor | None) -> int:
            if id(t) not in spots:
                self.sources.append((of, known))
            return spots.setdefault(id(t), len(spots))

        for handle, read, t, place in level.gradients.values():
            if read and (t is None or (place and id(t) not in spots)):
                self.met.append((handle, place))
            if read and t is not None:
                k = spot(t, *((handle, None) if place else (None, t)))
                self.ties += [(handle, k)] if self.sources[k][0] is not handle else []
        found = [(spots[id(t)], t) for _, t, v in level.inner.values() if t.val is not v]
        for handle, read, before, _ in level.gradients.values():
            if (t := handle._grad) is not before or not read:
                made = t is not None and id(t) not in spots and (t.born >= level.uid or t.base is LITERAL)
                self.slots.append((handle, spot(t, None, None if made else t)))
                found += [(self.slots[-1][1], t)] if made else []
        self.gradients = tuple([(k, final(t)) for k, t in found])
        """The sources that are written or new, and their variables."""

    def __call__(self, *xs: Tensor) -> Tensors:
        if self.draws not in (None, state().draws):
            got = "a generator's draws were staged outside this vmap, and would be the same for every example"
            raise StateError(f"stage: {got}; stage the function inside vmap, or pass keys and map over them")
        env = dict(zip(self.inputs, xs, strict=True))
        for v, x in env.items():
            if (x.shape, x.dtype) != v.spec:
                wanted = f"{v.spec.dtype} {v.spec.shape}"
                raise ShapeError(
                    f"stage: an input is {article(x.describe())}; it was staged for {wanted}, stage it again"
                )
        env.update([(v, plain(entering(handle))) for handle, v in self.constants])
        for handle, known in self.met:
            if (handle.grad is None) != (known is None):
                now = "has none now" if handle.grad is None else "has one now"
                raise StateError(f"stage: the gradient of a {handle.describe()} {now}, unlike then; stage it again")
            if known is not None and handle.grad is not None:
                env[known] = plain(entering(handle.grad))
        if not self.tied():
            raise StateError("stage: gradients are no longer the tensors that they were then; stage it again")
        for op, attrs, inputs, outputs, hidden, *_ in self.equations:
            with within(mask=state().mask & ~hidden) if hidden else UNCHANGED:
                found = op(*[env[v] for v in inputs], **attrs)
            env.update(zip(outputs, tupled(found), strict=True))
        for handle, v in self.state:
            (handle.assign if handle.is_leaf else handle.rebind)(env[v])
        self.leave([plain(env[g]) for _, g in self.gradients])
        return tuple([plain(env[v]) for v in self.outputs])

    def tied(self) -> bool:
        """Whether gradients with several names still have them."""
        ends = [(handle, *self.sources[k]) for handle, k in self.ties]
        return all(handle.grad is (known if of is None else of.grad) for handle, of, known in ends)

    def leave(self, values: Sequence[Tensor]) -> None:
        """Do with gradients what the function did; ``values`` are those of ``gradients``."""
        found = [known if of is None else of.grad for of, known in self.sources]
        for (k, _), new in zip(self.gradients, values, strict=True):
            if (g := found[k]) is None:
                found[k] = new
            else:
                (g.assign if g.is_leaf else g.rebind)(new)
        for handle, k in self.slots:
            handle.grad = found[k]

    def reopened(self, inputs: Sequence[Var], outputs: Sequence[Var]) -> Graph:
        """The same equations between other variables, what was captured or written being among them."""
        new = copy.copy(self)
        new.inputs, new.outputs, new.constants, new.state = tuple(inputs), tuple(outputs), (), ()
        new.gradients, new.met, new.ties, new.slots = (), [], [], []
        new.draws = None
        return new

    def reached(self, flags: Sequence[bool]) -> list[bool]:
        """Which outputs depend on the flagged inputs."""
        found = {v for v, flag in zip(self.inputs, flags, strict=True) if flag}
        for equation in self.equations:
            if not found.isdisjoint(equation.inputs):
                op, attrs, inputs, outputs, *_ = equation
                hit = op.reached([v in found for v in inputs], len(outputs), attrs)
                found.update(itertools.compress(outputs, hit))
        return [v in found for v in self.outputs]
