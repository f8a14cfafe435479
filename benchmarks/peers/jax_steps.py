"""jax's candidates: one jitted step whose state is donated. "jax-nchw" and "jax-nhwc" differ in the layout of images;
"jax" is for workloads without any.

Batch normalisation keeps no running statistics here, which spares jax a little work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .reference import Built, Reference, in_turn

Weights = dict[str, Any]
RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


class Net:
    """Layers by the names of plugrad's weights, in a layout."""

    def __init__(self, weights: Weights, last: bool) -> None:
        self.weights, self.last = weights, last

    def dense(self, name: str, x: Any) -> Any:
        y = x @ self.weights[f"{name}.weight"]
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def conv(self, name: str, x: Any, stride: int = 1) -> Any:
        w, names = self.weights[f"{name}.weight"], ("NHWC", "HWIO", "NHWC") if self.last else ("NCHW", "OIHW", "NCHW")
        pad = (w.shape[0] if self.last else w.shape[2]) // 2
        y = jax.lax.conv_general_dilated(x, w, (stride, stride), [(pad, pad)] * 2, dimension_numbers=names)
        bias = self.weights.get(f"{name}.bias")
        return y if bias is None else y + self.each(bias)

    def each(self, b: Any) -> Any:
        """A value for each channel."""
        return b if self.last else b[:, None, None]

    def pool(self, x: Any) -> Any:
        window = (1, 2, 2, 1) if self.last else (1, 1, 2, 2)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")

    def scaled(self, name: str, x: Any, axes: Any, each: Callable[[Any], Any]) -> Any:
        """(x - mean) / sqrt(var + eps) * weight + bias."""
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        y = (x - mean) * jax.lax.rsqrt(var + 1e-5)
        return y * each(self.weights[f"{name}.weight"]) + each(self.weights[f"{name}.bias"])

    def batch_norm(self, name: str, x: Any) -> Any:
        return self.scaled(name, x, (0, 1, 2) if self.last else (0, 2, 3), self.each)

    def layer_norm(self, name: str, x: Any) -> Any:
        return self.scaled(name, x, -1, lambda b: b)


def mlp(net: Net, x: Any, sizes: Any) -> Any:
    x = jax.nn.relu(net.dense("hidden.layers.0", x))
    return net.dense("last", jax.nn.relu(net.dense("hidden.layers.2", x)))


def cnn(net: Net, x: Any, sizes: Any) -> Any:
    for name in ("first.layers.0", "second.layers.0"):
        x = net.pool(jax.nn.relu(net.conv(name, x)))
    return net.dense("last", jax.nn.relu(net.dense("dense", x.reshape(x.shape[0], -1))))


def resnet(net: Net, x: Any, sizes: Any) -> Any:
    x = jax.nn.relu(net.batch_norm("stem_norm", net.conv("stem", x)))
    for i, stride in enumerate((1, 2, 2)):
        at = f"blocks.{i}"
        y = jax.nn.relu(net.batch_norm(f"{at}.first_norm", net.conv(f"{at}.first", x, stride)))
        y = net.batch_norm(f"{at}.second_norm", net.conv(f"{at}.second", y))
        known = f"{at}.shortcut.weight" in net.weights
        x = jax.nn.relu(y + (net.conv(f"{at}.shortcut", x, stride) if known else x))
    return net.dense("last", x.mean((1, 2) if net.last else (2, 3)))


def transformer(net: Net, x: Any, sizes: Any) -> Any:
    n, t, d = x.shape
    h = sizes["heads"]
    parts = net.dense("attention.qkv", net.layer_norm("attention_norm", x)).reshape(n, t, 3, h, d // h)
    q, k, v = jnp.moveaxis(parts, 2, 0)
    scores = jnp.einsum("bthd,bshd->bhts", q, k) / (d // h) ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -jnp.inf)
    y = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), v).reshape(n, t, d)
    x = x + net.dense("attention.out", y)
    return x + net.dense("down", jax.nn.gelu(net.dense("up", net.layer_norm("mlp_norm", x)), approximate=False))


def lstm(net: Net, x: Any, sizes: Any) -> Any:
    def cell(carry: Any, x: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(x + net.dense("hidden", h), 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    start = jnp.zeros((x.shape[1], sizes["cells"]), x.dtype)
    (h, _), _ = jax.lax.scan(cell, (start, start), net.dense("inputs", x))
    return net.dense("last", h)


MODELS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "transformer": transformer, "lstm": lstm}


def _cross_entropy(scores: Any, y: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1))


def _weights(workload: str, given: Reference, last: bool) -> Weights:
    """Matrices as (in, out), kernels in the layout; the rows of the layer behind the images too."""
    held = dict(given.weights)
    if workload == "transformer":
        for kind in ("weight", "bias"):
            held[f"attention.qkv.{kind}"] = np.concatenate([held.pop(f"attention.{part}.{kind}") for part in "qkv"])
    if workload == "cnn" and last:
        w, side = held["dense.weight"], given.sizes["size"] // 4
        held["dense.weight"] = w.reshape(len(w), -1, side, side).transpose(0, 2, 3, 1).reshape(w.shape)
    turned = {2: (1, 0), 4: (2, 3, 1, 0) if last else (0, 1, 2, 3)}
    return {name: jnp.asarray(w.transpose(turned.get(w.ndim, (0,)))) for name, w in held.items()}


def build(candidate: str, workload: str, given: Reference) -> Built:
    """One of the candidates above."""
    last = candidate == "jax-nhwc"
    model, sizes = MODELS[workload], given.sizes
    measure = (lambda z, y: jnp.mean((z - y) ** 2)) if workload == "transformer" else _cross_entropy

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def step(p: Weights, m: Weights, v: Weights, t: Any, x: Any, y: Any) -> Any:
        loss, g = jax.value_and_grad(lambda p: measure(model(Net(p, last), x, sizes), y))(p)
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        c1, c2 = 1 - BETA1**t, 1 - BETA2**t
        p = jax.tree.map(lambda p, m, v: p - RATE * (m / c1) / (jnp.sqrt(v / c2) + EPS), p, m, v)
        return p, m, v, t + 1, loss

    weights = _weights(workload, given, last)
    zeros = lambda: jax.tree.map(jnp.zeros_like, weights)  # noqa: E731
    held = [weights, zeros(), zeros(), jnp.float32(1)]

    def once(x: Any, y: Any) -> Any:
        *held[:], loss = step(*held, x, y)
        return jax.block_until_ready((loss, held[0]))[0]

    images = [(x.transpose(0, 2, 3, 1) if last else x, y) for x, y in given.batches]
    call = in_turn(once, [(jnp.asarray(x), jnp.asarray(y)) for x, y in images])
    return call, lambda: float(call())
