"""Derivatives and transformations on the backend, against the same on the reference: gradients, jvp, vmap, second
derivatives, staging.

Functions of the core's ops; a convolutional net too where some plugin registers the layers for one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ... import tree
from ...ops import elementwise as ew
from ...ops.creation import asarray, device
from ...ops.indexing import take
from ...ops.movement import concat, pad
from ...ops.reduction import cumulative_sum, max, mean, prod, sum
from ...plugins import component, components
from ...tensor import Tensor
from ...transforms import grad, hvp, jvp, stage, value_and_grad, vmap
from ..derivatives import check_derivatives
from ..kit.check import NotHere
from .subject import Subject, compare

_X = np.random.default_rng(0).normal(size=(3, 4))
_W = np.random.default_rng(1).normal(size=(4, 5)) * 0.5
_V = np.random.default_rng(2).normal(size=(5, 2)) * 0.5
_B = np.random.default_rng(3).normal(size=5) * 0.1
_P = np.abs(_X) + 0.5


def _mlp(x: Tensor, w: Tensor, v: Tensor, b: Tensor) -> Tensor:
    """Two layers and the mean of a log-sum-exp."""
    y = ew.tanh(x @ w + b) @ v
    top = max(y, axis=-1, keepdims=True)
    return mean(ew.log(sum(ew.exp(y - top), axis=-1)) + top.reshape((-1,)) - y[:, 0])


def _normalised(x: Tensor, b: Tensor) -> Tensor:
    """Subtract the mean, divide by the deviation."""
    centred = x - mean(x, axis=-1, keepdims=True)
    return centred / ew.sqrt(mean(centred * centred, axis=-1, keepdims=True) + 1e-3) * b[:4]


def _windows(x: Tensor, w: Tensor) -> Tensor:
    """A convolution by hand: padding, shifted slices, one product."""
    padded = pad(x, [(0, 0), (1, 1)])
    columns = concat([padded[:, i : i + 4].reshape((1, 3, 4)) for i in range(3)])
    return (columns.permute_dims((1, 2, 0)) @ w[:3]) * 0.5


def _written(x: Tensor, b: Tensor) -> Tensor:
    """Assignment to regions."""
    y = x * b[0]
    y[1:, ::2] = b[:2]
    y[0] += x[1]
    return y * y


FUNCTIONS: dict[str, tuple[Callable[..., Tensor], tuple[np.ndarray, ...]]] = {
    "elementwise": (lambda x: ew.exp(ew.sin(x)) / (x * x + 1) - ew.sqrt(ew.abs(x) + 1) ** 1.5, (_X,)),
    "choices": (lambda x, y: ew.where(x > 0, ew.maximum(x, y) * y, ew.minimum(x, 0.3) * x), (_X, _P)),
    "broadcasting": (lambda x, b: x * b[:4] + b[0] - x[:, :1] / (b[1] + 2), (_X, _B)),
    "reductions": (
        lambda x: sum(x * x, axis=0) * prod(x, axis=0) + max(x, axis=0) * cumulative_sum(x, axis=1)[1],
        (_P,),
    ),
    "movement": (lambda x: concat([x.T, x[::-1].T * 2]).reshape((3, -1)).permute_dims((1, 0))[1:7:2], (_X,)),
    "indexing": (lambda x: take(x, np.array([2, 0, 2]), axis=0) * x[:, np.array([1, 1, 3, 0])], (_X,)),
    "matmul": (lambda x, w: (x @ w) @ w.T + x.T.T, (_X, _W)),
    "mlp": (_mlp, (_X, _W, _V, _B)),
    "normalised": (_normalised, (_X, _B)),
    "windows": (_windows, (_X, _W)),
    "written": (_written, (_X, _B)),
}
WAYS = ("grad", "jvp", "vmap", "second", "stage")


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Each function in each way, central differences of the net, and a convolutional net."""
    return [
        *[(f"derivatives.{way}.{name}", partial(derived, way, name)) for name in FUNCTIONS for way in WAYS],
        ("derivatives.differences", central_differences),
        ("derivatives.backward", backward),
        ("derivatives.convolutional_net", convolutional_net),
    ]


def _loss(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *xs: sum(ew.sin(f(*xs)))


def apply(way: str, f: Callable[..., Tensor], xs: tuple[Tensor, ...]) -> list[Tensor]:
    """The results of one transformation of ``f`` at ``xs``."""
    directions = tuple([ew.cos(x) for x in xs])
    every = tuple(range(len(xs)))
    if way == "grad":
        value, gradients = value_and_grad(_loss(f), every)(*xs)
        return [f(*xs), value, *gradients]
    if way == "jvp":
        return list(jvp(f, xs, directions))
    if way == "vmap":
        many = [concat([x.reshape((1, *x.shape)), (x * 0.5 + 0.1).reshape((1, *x.shape))]) for x in xs]
        first_only = vmap(f, (0, *(None,) * (len(xs) - 1)))
        return [vmap(f)(*many), first_only(many[0], *xs[1:]), *vmap(grad(_loss(f), every))(*many)]
    if way == "second":
        found = hvp(_loss(f), xs, directions)
        twice = grad(lambda *xs: sum(grad(_loss(f))(*xs) * directions[0]), every)(*xs)
        return [*(found if isinstance(found, tuple) else (found,)), *twice]
    return [stage(f, *xs)(*xs)]


def derived(way: str, name: str, device: str) -> None:
    """One transformation of one function equals that of the reference backend."""
    subject = Subject(device)
    f, arrays = FUNCTIONS[name]
    for dtype in subject.floats() if way == "grad" else subject.floats()[-1:]:
        given = [a.astype(dtype) for a in arrays]
        found = apply(way, f, tuple([subject.put(a) for a in given]))
        wanted = apply(way, f, tuple([asarray(a, device="numpy") for a in given]))
        for i, (got, expected) in enumerate(zip(found, wanted, strict=True)):
            what = f"{way} of {name}, result {i}, {dtype} on {device}"
            assert got.device == subject.put(given[0]).device, f"{what}: it is on {got.device}"
            compare(what, got.detach().numpy(), expected.detach().numpy(), "derivative")


def central_differences(device: str) -> None:
    """jvp, vjp and second derivatives of the net agree with differences and one another."""
    subject = Subject(device)
    subject.needs("f8")
    check_derivatives(_mlp, *[subject.put(a) for a in (_X, _W, _V, _B)])


def backward(device: str) -> None:
    """backward() and .grad, added up over two calls."""
    subject = Subject(device)
    for dtype in subject.floats():
        leaves = [subject.put(a.astype(dtype)).requires_grad_() for a in (_X, _W, _V, _B)]
        for _ in range(2):
            _mlp(*leaves).backward()
        once = grad(_mlp, (0, 1, 2, 3))(*[asarray(a.astype(dtype), device="numpy") for a in (_X, _W, _V, _B)])
        for i, (leaf, g) in enumerate(zip(leaves, once, strict=True)):
            assert leaf.grad is not None, f"backward: leaf {i} has no gradient, {dtype} on {device}"
            compare(f"backward: leaf {i}, twice, {dtype} on {device}", leaf.grad.numpy(), g.numpy() * 2, "derivative")


def convolutional_net(device: str) -> None:
    """Loss and gradients of convolution, pooling and a dense layer, where a plugin registers such layers."""
    if not {"conv2d", "max_pool2d", "flatten", "linear", "sequential"} <= set(components("layer")):
        raise NotHere("no plugin registers convolution, pooling and dense layers")
    subject = Subject(device)
    images = np.random.default_rng(4).normal(size=(2, 1, 6, 6))
    for dtype in subject.floats()[:1]:
        found, wanted = [_trained(dtype, where, images) for where in (device, "numpy")]
        for i, (got, expected) in enumerate(zip(found, wanted, strict=True)):
            compare(f"a convolutional net: result {i}, {dtype} on {device}", got, expected, "derivative")


def _trained(dtype: str, where: str, images: np.ndarray) -> list[np.ndarray]:
    """Loss and gradients, from weights that depend on nothing."""
    make = partial(component, "layer")
    with device(where):
        net = make("sequential")(
            make("conv2d")(1, 3, 3, padding=1, dtype=dtype),
            make("tanh")(),
            make("max_pool2d")(2),
            make("conv2d")(3, 2, 3, stride=2, padding=1, dtype=dtype),
            make("flatten")(),
            make("linear")(8, 3, dtype=dtype),
        )
        for p in net.parameters():
            p.assign(asarray(np.cos(np.arange(p.size)).reshape(p.shape).astype(dtype)))
        y = net(asarray(images.astype(dtype)))
        (y * y).sum().backward()
        return [y.detach().numpy(), *[p.grad.numpy() for p in tree.leaves(net)]]
