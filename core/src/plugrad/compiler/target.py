"""The device that a program runs on, and the core's own way to run one equation there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..backend import BACKENDS, Backend, Kernel, Spec
from ..dispatch import lift
from ..dtypes import CODE
from ..errors import PlugradError
from ..op import OPS, Op
from ..program import ALIAS, FUSED, Body, Eqn, Lit
from ..state import within
from ..tensor import Tensor, tupled


class Target(NamedTuple):
    """A device: the index of its backend, and its ordinal."""

    be: int
    dev: str

    @property
    def backend(self) -> Backend:
        """The backend."""
        return BACKENDS[self.be]

    def handle(self, value: Any, spec: Spec) -> Tensor:
        """A value as a tensor."""
        return Tensor(value, self.be, CODE[spec.dtype], spec.shape, self.dev)

    def literal(self, lit: Lit) -> Any:
        """A literal as a value of shape () on the device; made once."""
        like = Tensor(None, self.be, CODE[lit.dtype], (), self.dev)
        return lift("compile", lit.value, like).val


def code_of(op: Op, specs: list[Spec], attrs: dict[str, Any]) -> int:
    """The dtype code by which kernels of a call are chosen."""
    return CODE[specs[op.key].dtype if specs else attrs["dtype"]]


def kernels_of(op: Op, target: Target, specs: list[Spec], attrs: dict[str, Any]) -> list[Kernel]:
    """The kernels that have not said that they decline such a call, the best first."""
    chain = op.chain[target.be][code_of(op, specs, attrs)]
    return [k for k in chain if k.when is None or k.when(*specs, **attrs) is True]


def is_foreign(eqn: Eqn, specs: Any, target: Target) -> bool:
    """Whether the kernel that comes first for an equation is not the backend's own."""
    op, backend = OPS.get(eqn.op), target.backend
    if op is None:
        return False
    found = kernels_of(op, target, operand_specs(eqn, specs), dict(eqn.attrs))
    return bool(found) and found[0].provider != (backend.distribution or backend.name)


def operand_specs(eqn: Eqn, specs: Any) -> list[Spec]:
    """Shapes and dtypes of all operands, literals included."""
    return [Spec((), x.dtype) if isinstance(x, Lit) else specs[x] for x in eqn.ins]


def caller(eqn: Eqn, specs: Any, target: Target) -> Callable[..., Any]:
    """A function of the values of ``eqn.values``, which gives the equation's value, or a tuple of several."""
    if eqn.op == ALIAS:
        return lambda value: value
    body = dict(eqn.attrs).get("body")
    if eqn.op == FUSED and isinstance(body, Body):
        return _fused(eqn, body, target)
    op, attrs = OPS[eqn.op], dict(eqn.attrs)
    given = operand_specs(eqn, specs)
    fns = [k.fn for k in kernels_of(op, target, given, attrs)]
    place = _filler(eqn, op, given, target)

    def call(*values: Any) -> Any:
        values = place(values)
        try:
            for fn in fns:
                found = fn(*values, **attrs)
                if found is not NotImplemented:
                    return found
        except MemoryError as error:
            if isinstance(error, PlugradError):
                raise
            raise MemoryError(f"{op.name}: no memory for the result: {error}") from None
        except (IndexError, ValueError) as error:
            if type(error) not in (IndexError, ValueError) or str(error).startswith(f"{op.name}:"):
                raise
            operands = ", ".join([f"{s.dtype} {s.shape}" for s in given])
            raise type(error)(f"{op.name}: {error} (of {operands})") from error
        return bound(op, values, given, attrs, target)

    return call


def _filler(eqn: Eqn, op: Op, given: list[Spec], target: Target) -> Callable[[Any], Any]:
    """Puts the literals between the values; as Python numbers where the kernels take those."""
    literals = [(i, x) for i, x in enumerate(eqn.ins) if isinstance(x, Lit)]
    if not literals:
        return lambda values: values
    scalars = len(eqn.ins) == 2 and op.scalars[target.be][CODE[given[op.key].dtype]] is not None
    full = [(i, x.value if scalars and i == 1 and x.dtype.kind in "biuf" else target.literal(x)) for i, x in literals]

    def place(values: Any) -> list[Any]:
        found = list(values)
        for i, value in full:
            found.insert(i, value)
        return found

    return place


def bound(op: Op, values: Any, specs: list[Spec], attrs: dict[str, Any], target: Target) -> Any:
    """The op by way of dispatch, at level 0 and unrecorded: its decomposition, or the host. The result is fresh."""
    if not specs:
        attrs = {**attrs, "device": (target.be, target.dev)}
    with within(mask=0, stage=None, capture=None, top=None, log=None):
        found = Op.bind(op, tuple([target.handle(v, s) for v, s in zip(values, specs, strict=True)]), attrs)
        fresh = [t if t.base is None and not any(t.val is v for v in values) else t.copy() for t in tupled(found)]
    return tuple([t.val for t in fresh]) if type(found) is tuple else fresh[0].val


def _fused(eqn: Eqn, body: Body, target: Target) -> Callable[..., Any]:
    """A group by the backend's kernel for groups, else equation by equation."""
    entry: Any = target.backend.kernels.get(FUSED)
    kernel = entry.fn if isinstance(entry, Kernel) else entry
    calls = [caller(part, body.specs, target) for part in body.eqns]

    def call(*values: Any) -> Any:
        if kernel is not None:
            found = kernel(*values, body=body)
            if found is not NotImplemented:
                return found
        env: list[Any] = [*values, *[None] * (len(body.specs) - len(values))]
        for part, run in zip(body.eqns, calls, strict=True):
            for v, value in zip(part.outs, tupled(run(*[env[x] for x in part.values])), strict=True):
                env[v] = value
        found = [env[v] for v in body.outputs]
        return tuple(found) if len(found) > 1 else found[0]

    return call


def number(value: Any, target: Target) -> Any:
    """The Python number in a value of shape ()."""
    return np.asarray(target.backend.to_host(value)).reshape(()).item()
