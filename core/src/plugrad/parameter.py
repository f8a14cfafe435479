"""The handles that a Module owns: Parameters, which are trained, and Buffers, which are state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .dtypes import KIND
from .errors import DTypeError, StateError, article
from .handle import direct
from .tensor import Tensor

Reduce = Callable[[Tensor], Tensor] | None


class Parameter(Tensor):
    """A tensor that a Module trains: a leaf of the tape from its birth."""

    __slots__ = ()

    def __init__(self, value: Any, *, device: str | None = None, dtype: Any = None) -> None:
        t = Tensor._convert(value, dtype=dtype, device=device, copy=True)
        if KIND[t.dt] not in "fc":
            wrong = f"{article(t.dtype.name)} value has no derivative"
            raise DTypeError(f"Parameter: {wrong}; give floating numbers, or use a Buffer")
        self._take(t, requires_grad=True)

    def _extras(self) -> dict[str, Any]:
        return {"requires_grad": True}

    def trained(self, in_module: bool) -> bool:
        return True

    def successor(self, in_module: bool) -> Callable[[Any], Any] | None:
        return _as_parameter if in_module else None


def _as_parameter(new: Any) -> Any:
    """A handle on the same value and place on the tape that a Module trains; not a leaf of its own."""
    if type(new) is not Tensor:
        return new
    p = Parameter.__new__(Parameter)
    p.restore(new.content())
    p._grad, p.born = None, new.born
    return p


class Buffer(Tensor):
    """State, such as running statistics. A write keeps a plain value (never recorded, primal only) under any
    transformation.

    ``reduce`` maps the batch of values that vmap computed, batch dimension first, to the one to keep; without it vmap
    refuses the write.
    """

    __slots__ = ("label", "reduce")
    recorded = False

    def __init__(
        self, value: Any, *, reduce: Reduce = None, name: str = "a Buffer", device: str | None = None, dtype: Any = None
    ) -> None:
        self._take(Tensor._convert(value, dtype=dtype, device=device, copy=True), reduce=reduce, label=name)

    def _take(self, t: Tensor, *, requires_grad: bool = False, reduce: Reduce = None, label: str = "a Buffer") -> None:
        super()._take(t, requires_grad=requires_grad)
        self.reduce, self.label = reduce, label

    def _extras(self) -> dict[str, Any]:
        return {"reduce": self.reduce, "label": self.label}

    def trained(self, in_module: bool) -> bool:
        return False

    def lower(self, new: Tensor) -> Tensor:
        if not new.tr.batched:
            return new.val  # forward mode: the primal
        if self.reduce is None:
            remedy = "call model.eval(), give Buffer(reduce=...), or pass the state as an argument and return it"
            raise StateError(f"vmap: {self.label} would get a different value for each example; {remedy}")
        return self.reduce(new.val)

    def rebind(self, new: Tensor, what: str = "setitem") -> None:
        self._become(self._lowered(new).clone(None, 0))


direct(Parameter)
direct(Buffer)
