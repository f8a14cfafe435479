"""Elementwise nonlinearities and the softmaxes, with the derivatives that are cheapest or most accurate."""

from __future__ import annotations

import math
from typing import Any

from plugrad import Op, Spec, Tensor, abs, erf, exp, log, log1p, max, maximum, stop_gradient, tanh, where
from plugrad.errors import ShapeError

from .arguments import floating, one_of


class _ReLU(Op):
    """max(x, 0). The derivative at 0 is 0; its own output tells where it is positive, so the input need not be kept."""

    name = "nn.relu"
    dtypes = "float"
    elementwise = True
    saves = ()

    def decompose(self, x: Tensor) -> Tensor:
        return maximum(x, 0)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        return (RELU_BWD(g, y),)

    def jvp(self, ts: Any, y: Tensor, xs: Any) -> Tensor:
        return RELU_BWD(ts[0], y)


class _ReLUBwd(Op):
    """g where y is positive, else 0, whatever g is: a product with the mask would make NaN of an infinity."""

    name = "nn.relu_bwd"
    dtypes = "float"
    elementwise = True
    linear = (0,)
    saves = (1,)

    def decompose(self, g: Tensor, y: Tensor) -> Tensor:
        return where(y > 0, g, 0)

    def vjp(self, g: Tensor, out: Tensor, xs: Any, need: Any) -> Any:
        return (self(g, xs[1]) if need[0] else None, None)


RELU, RELU_BWD = _ReLU(), _ReLUBwd()
SIGMOID = Op(
    "nn.sigmoid",
    dtypes="float",
    decompose=lambda x: 1 / (exp(-x) + 1),
    partials=(lambda y, x: y * (1 - y),),
    saves=(),
    save_output=True,
)
SILU = Op(
    "nn.silu",
    dtypes="float",
    decompose=lambda x: x * SIGMOID(x),
    partials=(lambda y, x: SIGMOID(x) + y * SIGMOID(-x),),
    save_output=True,
)
SOFTPLUS = Op(
    "nn.softplus",
    dtypes="float",
    decompose=lambda x: maximum(x, 0) + log1p(exp(-abs(x))),
    partials=(lambda y, x: SIGMOID(x),),
    save_output=False,
)


def _normal_cdf(x: Tensor) -> Tensor:
    return erf(x * math.sqrt(0.5)) * 0.5 + 0.5


GELU = Op(
    "nn.gelu",
    dtypes="float",
    decompose=lambda x: x * _normal_cdf(x),
    partials=(lambda y, x: _normal_cdf(x) + x * exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)),),
    save_output=False,
)


class _AlongAxis(Op):
    """Shape rule and batching of the softmaxes."""

    dtypes = "float"

    def spec(self, *xs: Any, axis: int) -> Spec:
        shape = xs[0].shape
        if len(xs) == 2 and xs[1].shape != shape:
            raise ShapeError(f"{self.name}: the cotangent has shape {shape}, the result {xs[1].shape}; they must agree")
        if not 0 <= axis < len(shape) or not shape[axis]:
            raise ShapeError(f"{self.name}: shape {shape} has no axis {axis}, or it is empty; name one with elements")
        return Spec(shape, xs[0].dtype)

    def batch(self, size: int, xs: Any, batched: Any, *, axis: int) -> Tensor:
        if not all(batched):
            xs = [x if b else x.broadcast_to((size, *x.shape)) for x, b in zip(xs, batched, strict=True)]
        return self(*xs, axis=axis + 1)


class _Softmax(_AlongAxis):
    """y_i = exp(x_i) / sum_j exp(x_j), along one axis."""

    name = "nn.softmax"
    saves = ()

    def decompose(self, x: Tensor, *, axis: int) -> Tensor:
        e = exp(x - stop_gradient(max(x, axis=axis, keepdims=True)))
        return e / e.sum(axis=axis, keepdims=True)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        return (SOFTMAX_BWD(g, y, axis=axis),)

    def jvp(self, ts: Any, y: Tensor, xs: Any, *, axis: int) -> Tensor:
        return SOFTMAX_BWD(ts[0], y, axis=axis)


class _SoftmaxBwd(_AlongAxis):
    """y * (g - sum(g * y)): the Jacobian of softmax, which is symmetric."""

    name = "nn.softmax_bwd"

    def decompose(self, g: Tensor, y: Tensor, *, axis: int) -> Tensor:
        return y * (g - (g * y).sum(axis=axis, keepdims=True))


class _LogSoftmax(_AlongAxis):
    """y_i = x_i - log sum_j exp(x_j), along one axis."""

    name = "nn.log_softmax"
    saves = ()

    def decompose(self, x: Tensor, *, axis: int) -> Tensor:
        shifted = x - stop_gradient(max(x, axis=axis, keepdims=True))
        return shifted - log(exp(shifted).sum(axis=axis, keepdims=True))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        return (LOG_SOFTMAX_BWD(g, y, axis=axis),)

    def jvp(self, ts: Any, y: Tensor, xs: Any, *, axis: int) -> Tensor:
        return ts[0] - (exp(y) * ts[0]).sum(axis=axis, keepdims=True)


class _LogSoftmaxBwd(_AlongAxis):
    """g - softmax * sum(g)."""

    name = "nn.log_softmax_bwd"

    def decompose(self, g: Tensor, y: Tensor, *, axis: int) -> Tensor:
        return g - exp(y) * g.sum(axis=axis, keepdims=True)


SOFTMAX, SOFTMAX_BWD, LOG_SOFTMAX, LOG_SOFTMAX_BWD = _Softmax(), _SoftmaxBwd(), _LogSoftmax(), _LogSoftmaxBwd()


def relu(x: Tensor) -> Tensor:
    """Elementwise max(x, 0); its derivative at 0 is taken as 0.

    >>> import plugrad
    >>> relu(plugrad.asarray([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return RELU(floating("relu", "x", x))


def sigmoid(x: Tensor) -> Tensor:
    """Elementwise 1 / (1 + exp(-x)), accurate also where it is tiny.

    >>> import plugrad
    >>> sigmoid(plugrad.asarray([0.0])).tolist()
    [0.5]
    """
    return SIGMOID(floating("sigmoid", "x", x))


def silu(x: Tensor) -> Tensor:
    """Elementwise x * sigmoid(x), also called swish (Hendrycks, Gimpel 2016).

    >>> import plugrad
    >>> silu(plugrad.asarray([0.0])).tolist()
    [0.0]
    """
    return SILU(floating("silu", "x", x))


def softplus(x: Tensor) -> Tensor:
    """Elementwise log(1 + exp(x)), without overflow.

    >>> import plugrad
    >>> softplus(plugrad.asarray([1000.0])).tolist()
    [1000.0]
    """
    return SOFTPLUS(floating("softplus", "x", x))


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """Elementwise x * P(Z <= x) for a standard normal Z (Hendrycks, Gimpel 2016); ``approximate="tanh"`` takes their
    approximation.

    >>> import plugrad
    >>> gelu(plugrad.asarray([0.0])).tolist()
    [0.0]
    """
    x = floating("gelu", "x", x)
    if one_of("gelu", "approximate", approximate, ("none", "tanh")) == "none":
        return GELU(x)
    return x * 0.5 * (tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)


def leaky_relu(x: Tensor, *, slope: float = 0.01) -> Tensor:
    """Elementwise x where positive, else slope * x.

    >>> import plugrad
    >>> leaky_relu(plugrad.asarray([-1.0, 2.0]), slope=0.5).tolist()
    [-0.5, 2.0]
    """
    x = floating("leaky_relu", "x", x)
    return where(x > 0, x, x * slope)


def _axis(name: str, x: Tensor, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{name}: axis {axis} is out of range for shape {x.shape}; use {-x.ndim} to {x.ndim - 1}")
    if x.shape[axis] == 0:
        raise ShapeError(f"{name}: axis {axis} of shape {x.shape} is empty; there is nothing to normalise")
    return axis % x.ndim


def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along ``axis``, without overflow.

    >>> import plugrad
    >>> softmax(plugrad.asarray([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    x = floating("softmax", "x", x)
    return SOFTMAX(x, axis=_axis("softmax", x, axis))


def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """log(softmax(x)) along ``axis``, accurate also where softmax underflows.

    >>> import plugrad
    >>> log_softmax(plugrad.asarray([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """
    x = floating("log_softmax", "x", x)
    return LOG_SOFTMAX(x, axis=_axis("log_softmax", x, axis))
