"""Staging: a function runs once on shapes and dtypes only, and every op it calls becomes an equation of a graph."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..backend import Spec
from ..op import Op
from ..state import RECORDING, Log, state, within
from ..table import code_of
from ..tensor import Tensor
from .base import Interpreter


class Var:
    """A value of the graph that is not known yet."""

    __slots__ = ("id", "spec")

    def __init__(self, id: int, spec: Spec) -> None:
        self.id, self.spec = id, spec


class Equation(NamedTuple):
    """One op call of a staged graph."""

    op: Op
    attrs: dict[str, Any]
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    hidden: str
    """What did not record it: nothing "", the tape of ``backward()`` only "tape", or ``no_grad`` "all"."""


class Stage(Interpreter):
    """The level of one trace.

    While it is the innermost stage it captures every op, also on values that do not depend on the arguments.
    """

    name = "stage"
    staging = True

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.constants: list[tuple[Tensor, Var]] = []
        self._by_handle: dict[int, Var] = {}
        self._by_value: dict[int, Var] = {}
        self.modules: list[Any] = []
        self._ids = itertools.count()

    def changes(self) -> dict[str, Any]:
        here = state()
        self.log = Log(here.log, self.uid)
        self.recordable = here.mask & (self.outer | RECORDING)
        return {"stage": self, "log": self.log}

    def keeps(self, op: Op) -> bool:
        return True

    def new(self, spec: Spec, be: int, dev: str) -> Tensor:
        """A fresh unknown."""
        return Tensor(Var(next(self._ids), spec), be, code_of(spec.dtype), spec.shape, dev, None, self)

    def var(self, t: Tensor) -> Var:
        """The graph's variable for a value: of this level, or a constant from outside."""
        return t.val if t.tr is self else self._constant(t)

    def lifted(self, t: Tensor) -> Tensor:
        """A value from outside as one of this level, so that nodes recorded from here on refer to the graph's
        variable.
        """
        if t.tr is not None:
            return t
        new = t.clone(t.node, t.mask, t.ix)
        new.val, new.tr, new.base = self._constant(t), self, None
        return new

    def _constant(self, t: Tensor) -> Var:
        """An unwritten handle from before the trace is an input that each call reads again; other values are kept as
        they are.
        """
        captured = t.born < self.uid and id(t) not in self.log.handles
        found = self._by_handle.get(id(t)) if captured else self._by_value.get(id(t.val))
        if found is None:
            handle = t if captured else t.clone(t.node, t.mask, t.ix)
            found = Var(next(self._ids), Spec(t.shape, t.dtype))
            self.constants.append((handle, found))  # keeps both alive, so that their ids stay theirs
            self._by_handle[id(handle)] = found
            self._by_value.setdefault(id(t.val), found)
        return found

    def _hidden(self) -> str:
        off = self.recordable & ~state().mask
        return "all" if off & RECORDING else "tape" if off & 1 else ""

    def process(self, op: Op, xs: tuple[Tensor, ...], attrs: dict[str, Any], spec: Any) -> Any:
        if xs:
            be, dev = xs[op.key].be, xs[op.key].dev
        else:
            be, dev = attrs["device"]
        if op.name == "to_device":
            be, dev = attrs["device"]
        many = type(spec) is tuple
        outs = tuple([self.new(s, be, dev) for s in (spec if many else (spec,))])
        inputs = tuple([self.var(x) for x in xs])
        self.equations.append(Equation(op, attrs, inputs, tuple([o.val for o in outs]), self._hidden()))
        return outs if many else outs[0]


class Graph:
    """A staged function: equations in execution order. Calling it binds the ops again, so it can be differentiated,
    mapped and staged itself.

    ``state`` pairs handles from outside with the variables that the function wrote to them; a call writes them back.
    """

    def __init__(
        self,
        inputs: Sequence[Var],
        equations: Sequence[Equation],
        outputs: Sequence[Var],
        constants: Sequence[tuple[Tensor, Var]],
        state: Sequence[tuple[Tensor, Var]],
    ) -> None:
        self.inputs, self.equations, self.outputs = tuple(inputs), tuple(equations), tuple(outputs)
        self.constants, self.state = tuple(constants), tuple(state)

    def simplified(self) -> Graph:
        """Without common subexpressions and dead code.

        Draws of random bits are functions of their key, so they may be shared too.
        """
        seen: dict[Any, tuple[Var, ...]] = {}
        renamed: dict[Var, Var] = {}
        kept: list[Equation] = []
        for op, attrs, inputs, outputs, hidden in self.equations:
            inputs = tuple([renamed.get(v, v) for v in inputs])
            key = (op, tuple(sorted((k, repr(v)) for k, v in attrs.items())), inputs, hidden)
            if not op.opaque and key in seen:
                renamed.update(zip(outputs, seen[key], strict=True))
                continue
            seen[key] = outputs
            kept.append(Equation(op, attrs, inputs, outputs, hidden))
        results = [renamed.get(v, v) for v in self.outputs]
        state = [(handle, renamed.get(v, v)) for handle, v in self.state]
        used = set(results) | {v for _, v in state}
        needed = []
        for equation in reversed(kept):
            if not used.isdisjoint(equation.outputs):
                needed.append(equation)
                used.update(equation.inputs)
        constants = [(handle, v) for handle, v in self.constants if v in used]
        return Graph(self.inputs, needed[::-1], results, constants, state)

    def __call__(self, *xs: Tensor) -> tuple[Tensor, ...]:
        env: dict[Var, Tensor] = {}
        for v, x in zip(self.inputs, xs, strict=True):
            if (x.shape, x.dtype) != (v.spec.shape, v.spec.dtype):
                raise ValueError(
                    f"stage: an input is a {x.describe()}, the graph was staged for {v.spec.dtype} {v.spec.shape}; "
                    "stage it again"
                )
            env[v] = x
        for handle, v in self.constants:
            env[v] = handle.clone(handle.node, handle.mask, handle.ix)
        for op, attrs, inputs, outputs, hidden in self.equations:
            if hidden:
                with within(mask=0 if hidden == "all" else state().mask & ~1):
                    found = op(*[env[v] for v in inputs], **attrs)
            else:
                found = op(*[env[v] for v in inputs], **attrs)
            env.update(zip(outputs, found if type(found) is tuple else (found,), strict=True))
        for handle, v in self.state:
            if handle.is_leaf:
                handle.assign(env[v])
            else:
                handle.rebind(env[v])
        return tuple([env[v].clone(env[v].node, env[v].mask, env[v].ix) for v in self.outputs])

    def __str__(self) -> str:
        def name(v: Var) -> str:
            return f"%{v.id}:{v.spec.dtype.name}[{','.join(map(str, v.spec.shape))}]"

        lines = [f"graph({', '.join(map(name, self.inputs))})"]
        lines += [f"  {name(v)} = captured" for _, v in self.constants]
        for op, attrs, inputs, outputs, _ in self.equations:
            shown = "".join(f", {k}={v}" for k, v in attrs.items())
            lines.append(
                f"  {', '.join(map(name, outputs))} = {op.name}({', '.join(f'%{v.id}' for v in inputs)}{shown})"
            )
        lines += [f"  write {handle.describe()} = %{v.id}" for handle, v in self.state]
        return "\n".join([*lines, f"  return {', '.join(f'%{v.id}' for v in self.outputs)}"])
