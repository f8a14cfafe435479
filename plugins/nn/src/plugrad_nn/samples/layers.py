"""The layers as users make them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import plugrad
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import LayerSample, Operand, labels, positions, values

from ..layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from . import activation, convolution, pooling
from .attention import attention
from .linear import linear
from .operands import apart, distinct

State = Mapping[str, np.ndarray]
NONE = convolution.NONE


def samples() -> Iterator[LayerSample]:
    """All layers; the losses are with their operations."""
    yield from _activations()
    yield from _linear()
    yield from _convolution()
    yield from _pooling()
    yield from _attention()
    yield from _containers()


def _stateless(f: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A formula as the reference of a layer that has no state."""
    return lambda state, *arrays: f(*arrays, **options)


def _leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _activations() -> Iterator[LayerSample]:
    for name, config, f in (
        ("gelu", {}, activation.gelu),
        ("gelu", {"approximate": "tanh"}, _gelu_tanh),
        ("sigmoid", {}, activation.sigmoid),
        ("silu", {}, activation.silu),
        ("softplus", {}, activation.softplus),
        ("tanh", {}, np.tanh),
    ):
        for shape in ((3, 4), (2, 1, 5), ()):
            yield LayerSample(name, config, (values(*shape),), shape, reference=_stateless(f))
    yield LayerSample("relu", inputs=(apart(3, 4),), output=(3, 4), reference=_stateless(activation.relu))
    zero = np.array([0.0, 1.0, -1.0])
    yield LayerSample("relu", inputs=(zero,), output=(3,), smooth=False, reference=_stateless(activation.relu))
    for slope in (0.01, 0.5):
        reference = _stateless(_leaky_relu, slope=slope)
        yield LayerSample("leaky_relu", {"slope": slope}, (apart(2, 5),), (2, 5), reference=reference)
    for axis in (-1, 0, 1):
        reference = _stateless(activation.softmax, axis=axis)
        yield LayerSample("softmax", {"axis": axis}, (values(2, 3, 4),), (2, 3, 4), reference=reference)
    yield LayerSample("softmax", {"axis": 2}, (values(3, 4),), raises=ShapeError)
    yield LayerSample("relu", inputs=(labels(3, classes=2),), raises=DTypeError)


def _affine(state: State, x: np.ndarray, prefix: str = "") -> np.ndarray:
    w = state[f"{prefix}weight"]
    return linear(x, w, state.get(f"{prefix}bias", np.zeros(len(w))))


def _linear() -> Iterator[LayerSample]:
    config: dict[str, Any] = {"in_features": 3, "out_features": 4}
    for lead in ((5,), (), (2, 3), (0,)):
        yield LayerSample("linear", config, (values(*lead, 3),), (*lead, 4), reference=_affine)
    yield LayerSample("linear", {**config, "bias": False}, (values(5, 3),), (5, 4), reference=_affine)
    yield LayerSample("linear", config, (values(5, 4),), raises=ShapeError)
    config = {"entries": 6, "features": 3}
    for indices in (labels(4, classes=6), labels(2, 3, classes=6), positions(5, size=6), labels(classes=6)):
        output = (*indices.shape, 3)
        yield LayerSample("embedding", config, (indices,), output, reference=lambda s, i: s["weight"][i.astype(int)])
    yield LayerSample("embedding", config, (Operand((2,), 6, 9, "i8"),), raises=IndexError)


def _convolved(**attrs: Any) -> Callable[..., Any]:
    def reference(state: State, x: np.ndarray) -> np.ndarray:
        y = convolution.conv2d(x, state["weight"], **attrs)
        bias = state.get("bias", np.zeros(len(state["weight"])))
        return y + (bias if attrs["layout"] == "NHWC" else bias[:, None, None])

    return reference


def _convolution() -> Iterator[LayerSample]:
    config: dict[str, Any] = {"in_channels": 2, "out_channels": 4, "kernel_size": 3}
    attrs: dict[str, Any] = {"stride": (1, 1), "padding": NONE, "dilation": (1, 1), "groups": 1, "layout": "NCHW"}
    one = ((1, 1), (1, 1))
    for changed, full, output in (
        ({}, {}, (2, 4, 4, 5)),
        ({"bias": False}, {}, (2, 4, 4, 5)),
        ({"stride": 2, "padding": 1}, {"stride": (2, 2), "padding": one}, (2, 4, 3, 4)),
        ({"padding": "same"}, {"padding": one}, (2, 4, 6, 7)),
        ({"padding": ((1, 0), (0, 2))}, {"padding": ((1, 0), (0, 2))}, (2, 4, 5, 7)),
        ({"padding": "valid", "dilation": (2, 1)}, {"dilation": (2, 1)}, (2, 4, 2, 5)),
        ({"groups": 2}, {"groups": 2}, (2, 4, 4, 5)),
    ):
        reference = _convolved(**{**attrs, **full})
        yield LayerSample("conv2d", {**config, **changed}, (values(2, 2, 6, 7),), output, reference=reference)
    last = {**config, "kernel_size": (1, 2), "layout": "NHWC"}
    reference = _convolved(**{**attrs, "layout": "NHWC"})
    yield LayerSample("conv2d", last, (values(2, 3, 4, 2),), (2, 3, 3, 4), reference=reference)
    yield LayerSample("conv2d", config, (values(2, 5, 6),), (4, 3, 4))
    yield LayerSample("conv2d", config, (values(2, 3, 6, 7),), raises=ShapeError)
    yield LayerSample("conv2d", config, (values(2, 2, 2, 7),), raises=ShapeError)


def _pooling() -> Iterator[LayerSample]:
    for layout in ("NCHW", "NHWC"):
        shape, out = ((2, 3, 5, 6), (2, 3, 2, 3)) if layout == "NCHW" else ((2, 5, 6, 3), (2, 2, 3, 3))
        config, attrs = {"kernel_size": 2, "layout": layout}, {"kernel": (2, 2), "stride": (2, 2), "padding": NONE}
        x, average = distinct(*shape, layout=layout), _stateless(pooling.avg_pool2d, **attrs, layout=layout)
        largest = _stateless(pooling.max_pool2d, **attrs, layout=layout)
        yield LayerSample("max_pool2d", config, (x,), out, reference=largest)
        yield LayerSample("avg_pool2d", config, (values(*shape),), out, reference=average)
    wide: dict[str, Any] = {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)}
    full: dict[str, Any] = {"kernel": (3, 2), "stride": (1, 1), "padding": ((1, 1), (0, 0)), "layout": "NCHW"}
    largest, average = _stateless(pooling.max_pool2d, **full), _stateless(pooling.avg_pool2d, **full)
    yield LayerSample("max_pool2d", wide, (distinct(1, 2, 4, 5),), (1, 2, 4, 4), reference=largest)
    yield LayerSample("avg_pool2d", wide, (values(1, 2, 4, 5),), (1, 2, 4, 4), reference=average)
    for name in ("max_pool2d", "avg_pool2d"):
        yield LayerSample(name, {"kernel_size": 2}, (distinct(1, 3, 4, 6)[0],), (3, 2, 3))
        yield LayerSample(name, {"kernel_size": 2}, (values(4, 4),), raises=ShapeError)
        yield LayerSample(name, {"kernel_size": 3}, (values(1, 1, 2, 4),), raises=ShapeError)


def _attended(heads: int, causal: bool = False) -> Callable[..., Any]:
    def reference(state: State, query: np.ndarray, *others: np.ndarray) -> np.ndarray:
        key = others[0] if others else query
        value = others[1] if len(others) > 1 else key
        d = query.shape[-1] // heads

        def split(x: np.ndarray) -> np.ndarray:
            return np.moveaxis(x.reshape((*x.shape[:-1], heads, d)), -2, -3)

        q, k, v = [split(_affine(state, x, f"{part}.")) for part, x in (("q", query), ("k", key), ("v", value))]
        mask = [np.broadcast_to(m[..., None, :, :], (*q.shape[:-1], k.shape[-2])) for m in others[2:]]
        y = np.moveaxis(attention(q, k, v, *mask, scale=d**-0.5, causal=causal)[0], -3, -2)
        return _affine(state, y.reshape((*y.shape[:-2], heads * d)), "out.")

    return reference


def _attention() -> Iterator[LayerSample]:
    name, config = "multi_head_attention", {"features": 6, "heads": 2}
    yield LayerSample(name, config, (values(2, 4, 6),), (2, 4, 6), reference=_attended(2))
    yield LayerSample(name, {**config, "causal": True}, (values(4, 6),), (4, 6), reference=_attended(2, True))
    yield LayerSample(name, {**config, "bias": False}, (values(2, 4, 6),), (2, 4, 6), reference=_attended(2))
    crossed = values(2, 3, 6), values(2, 5, 6)
    yield LayerSample(name, config, crossed, (2, 3, 6), reference=_attended(2))
    mask = np.array([[True, False, True, True, False], [True] * 5, [False, False, False, False, True]])
    inputs = *crossed, values(2, 5, 6), mask
    yield LayerSample(name, config, inputs, (2, 3, 6), reference=_attended(2))
    yield LayerSample(name, {"features": 4, "heads": 4}, (values(1, 1, 4),), (1, 1, 4), reference=_attended(4))
    yield LayerSample(name, config, (values(2, 4, 5),), raises=ShapeError)
    yield LayerSample(name, config, (values(2, 4, 6), values(3, 4, 6)), raises=ShapeError)


def _perceptron(state: State, x: np.ndarray) -> np.ndarray:
    hidden = np.tanh(_affine(state, x, "layers.0."))
    return _affine(state, hidden, "layers.2.")


def _containers() -> Iterator[LayerSample]:
    for start, output in ((1, (2, 12)), (0, (24,)), (-2, (2, 12)), (2, (2, 3, 4))):
        x = values(2, 3, 4)
        reference = _stateless(lambda x, shape: x.reshape(shape), shape=output)
        yield LayerSample("flatten", {"start": start}, (x,), output, reference=reference)
    yield LayerSample("flatten", {"start": 3}, (values(2, 3, 4),), raises=ShapeError)
    yield LayerSample(
        "sequential",
        inputs=(values(5, 3),),
        output=(5, 2),
        make=lambda: Sequential(Linear(3, 4), plugrad.tanh, Linear(4, 2)),
        reference=_perceptron,
    )
    yield LayerSample(
        "sequential",
        inputs=(values(2, 1, 6, 6),),
        output=(2, 3),
        make=lambda: Sequential(Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(8, 3)),
        smooth=False,
    )
    yield LayerSample("sequential", inputs=(values(2, 3),), output=(2, 3), reference=lambda state, x: x)
    yield LayerSample("sequential", inputs=(values(5, 4),), make=lambda: Sequential(Linear(3, 4)), raises=ShapeError)
