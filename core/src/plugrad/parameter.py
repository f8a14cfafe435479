"""The handles that a Module owns: Parameters, which are trained, and Buffers, which are state."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .dtypes import KIND
from .errors import DTypeError, StateError
from .state import state
from .tensor import Node, Tensor


class Parameter(Tensor):
    """A tensor that a Module trains: a leaf of the tape from its birth."""

    __slots__ = ()

    def __init__(self, value: Any, *, device: str | None = None, dtype: Any = None) -> None:
        t = Tensor._convert(value, dtype=dtype, device=device, copy=True)
        if KIND[t.dt] not in "fc":
            raise DTypeError(
                f"Parameter: a {t.dtype} value has no derivative; give floating-point numbers, or use a Buffer"
            )
        self._take(t)

    @classmethod
    def _from(cls, t: Tensor, **_: Any) -> Parameter:
        p = object.__new__(cls)
        p._take(t)
        return p

    def _take(self, t: Tensor) -> None:
        Tensor.__init__(self, t.val, t.be, t.dt, t.shape, t.dev, t.base, t.tr, t.aux)
        self.node, self.mask = Node(None, {}, (), weakref.ref(self), 1), 1

    def trained(self, in_module: bool) -> bool:
        return True

    def successor(self, in_module: bool) -> Callable[[Any], Any] | None:
        return _as_parameter if in_module else None


def _as_parameter(new: Any) -> Any:
    """A handle on the same value and place on the tape that a Module trains; not a leaf of its own."""
    if type(new) is not Tensor:
        return new
    p = object.__new__(Parameter)
    p.restore(new.content())
    p.grad, p.born = None, new.born
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
        self,
        value: Any,
        *,
        reduce: Callable[[Tensor], Tensor] | None = None,
        name: str = "a Buffer",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        self._take(Tensor._convert(value, dtype=dtype, device=device, copy=True), reduce, name)

    @classmethod
    def _from(cls, t: Tensor, reduce: Any = None, label: str = "a Buffer", **_: Any) -> Buffer:
        b = object.__new__(cls)
        b._take(t, reduce, label)
        return b

    def _take(self, t: Tensor, reduce: Any, label: str) -> None:
        Tensor.__init__(self, t.val, t.be, t.dt, t.shape, t.dev, t.base, t.tr, t.aux)
        self.reduce, self.label = reduce, label

    def _extras(self) -> dict[str, Any]:
        return {"reduce": self.reduce, "label": self.label}

    def trained(self, in_module: bool) -> bool:
        return False

    def lower(self, new: Tensor) -> Tensor:
        if not new.tr.batched:
            return new.val  # forward mode: the primal
        if self.reduce is None:
            raise StateError(
                f"vmap: {self.label} would get a different value for each example; call model.eval(), "
                "give Buffer(reduce=...), or pass the state as an argument and return it"
            )
        return self.reduce(new.val)

    def rebind(self, new: Tensor) -> None:
        while new.tr is not None and new.tr.uid > self.born and not new.tr.staging:
            new = self.lower(new)
        self.logged(state())
        self.restore(new.clone(None, 0).content())

    def assign(self, value: Any) -> Buffer:
        """Rebind to ``value`` as a plain value of the same shape, dtype and device."""
        new = value if isinstance(value, Tensor) else Tensor._convert(value, device=self.device)
        while new.tr is not None and new.tr.uid > self.born and not new.tr.staging:
            new = self.lower(new)
        self.rebind(self.adopt(new))
        return self


HANDLES = frozenset({Tensor, Parameter, Buffer})
"""The handle types, for the hot path's test of a type."""
