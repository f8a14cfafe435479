"""The value of a tensor in another dtype, without its derivative, or just under another handle."""

from __future__ import annotations

from typing import Any

from ..backend import BACKENDS
from ..dispatch import bind
from ..dtypes import CODE, KIND, as_dtype
from ..op import OPS, Op, elementwise
from ..state import state
from ..table import check_stored
from ..tensor import LENT, Tensor, install


def identity_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> tuple[Tensor]:
    """The cotangent as it is; the rule's caller casts it to the operand's dtype."""
    return (g,)


class _Cast(Op):
    def spec(self, x: Any, *, dtype: Any) -> Any:
        return Op.spec(self, x)._replace(dtype=dtype)


CAST = _Cast("cast", elementwise=True, linear=(0,), vjp=identity_vjp)
STOP_GRADIENT = elementwise("stop_gradient", alias=True, run=Tensor.detach)


def methods(*functions: Any) -> None:
    """Make functions methods of Tensor, under their own names."""
    install(**{function.__name__: function for function in functions})


def device_of(*xs: Any) -> str | None:
    """The device of the first operand that is a tensor."""
    return next((x.device for x in xs if isinstance(x, Tensor)), None)


def tensors(*xs: Any) -> list[Tensor]:
    """Operands that are not tensors become tensors, on the device of the first that is."""
    device = device_of(*xs)
    return [x if isinstance(x, Tensor) else Tensor._convert(x, device=device) for x in xs]


def alias(x: Tensor) -> Tensor:
    """Another handle on the value of ``x``, recorded as it is: a write to one does not show in the other."""
    here = state()
    if not x.is_leaf and here.stage is None and here.capture is None:
        return x.clone(x.node, x.mask, x.ix)
    out: Tensor = bind(OPS["reshape"], (x,), {"shape": x.shape})
    if out.base is x.val:
        out.base = LENT  # shared, but not a view that one would write through
    return out


def cast(x: Tensor, dtype: Any) -> Tensor:
    """``astype`` for callers that only read: the same handle if it has the dtype."""
    dtype = as_dtype(dtype)
    if x.dtype == dtype:
        return x
    check_stored("astype", CODE[dtype], BACKENDS[x.be])
    if (x.mask or x.tr is not None) and KIND[CODE[dtype]] in "biu" and KIND[x.dt] in "fc":
        x = stop_gradient(x)
    return bind(CAST, (x,), {"dtype": dtype})


def astype(x: Tensor, dtype: Any, *, copy: bool = True) -> Tensor:
    """``x`` cast to ``dtype``. Complex to real keeps the real part; float to integer truncates.

    A tensor that has the dtype gives a new handle on its value (values are immutable), or itself with ``copy=False``.
    """
    out = cast(x, dtype)
    return alias(x) if out is x and copy else out


def stop_gradient(x: Tensor) -> Tensor:
    """``x`` as a constant for every kind of differentiation.

    >>> import plugrad
    >>> plugrad.grad(lambda x: x * stop_gradient(x))(3.0).item()
    3.0
    """
    return bind(STOP_GRADIENT, (x,), {})
