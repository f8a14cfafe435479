"""The rows of plugrad-nn and plugrad-norm."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from rows import A, B, CUBE, FILTERS, IMAGE, POSITIONS, REDUCED, ROW, UNARY, Row, numbers

import plugrad_nn as nn
import plugrad_norm as norm

T = torch.tensor
COND = A > 0


def attention(*xs: torch.Tensor, is_causal: bool = False) -> torch.Tensor:
    """PyTorch's, of parts that have derivatives of every kind."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return F.scaled_dot_product_attention(*xs, is_causal=is_causal)


# fmt: off
PLUGINS: dict[str, Row] = {
    # plugrad-nn
    "nn.relu": Row(nn.relu, F.relu, jax.nn.relu, (A,), UNARY),
    "nn.leaky_relu": Row(nn.leaky_relu, F.leaky_relu, jax.nn.leaky_relu, (A,), UNARY),
    "nn.sigmoid": Row(nn.sigmoid, F.sigmoid, jax.nn.sigmoid, (A,), UNARY),
    "nn.silu": Row(nn.silu, F.silu, jax.nn.silu, (A,), UNARY),
    "nn.gelu": Row(nn.gelu, F.gelu, lambda x: jax.nn.gelu(x, approximate=False), (A,), UNARY),
    "nn.gelu tanh": Row(lambda x: nn.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh"), jax.nn.gelu, (A,), UNARY),
    "nn.softplus": Row(nn.softplus, F.softplus, jax.nn.softplus, (A,), UNARY),
    "nn.softmax": Row(nn.softmax, lambda x: F.softmax(x, -1), jax.nn.softmax, (A,), REDUCED[:-3]),
    "nn.log_softmax": Row(nn.log_softmax, lambda x: F.log_softmax(x, -1), jax.nn.log_softmax, (A,), REDUCED[:-3]),
    "nn.linear": Row(nn.linear, F.linear, lambda x, w, b: x @ w.T + b, (CUBE, numbers(5, 4), numbers(5))),
    "nn.mse_loss": Row(nn.mse_loss, F.mse_loss, lambda x, y: ((x - y) ** 2).mean(), (A, B)),
    "nn.cross_entropy": Row(lambda x: nn.cross_entropy(x, POSITIONS[:3]), lambda x: F.cross_entropy(x, T(POSITIONS[:3])), lambda x: -jnp.mean(jax.nn.log_softmax(x)[jnp.arange(3), POSITIONS[:3]]), (A,)),
    "nn.binary_cross_entropy_with_logits": Row(lambda x: nn.binary_cross_entropy_with_logits(x, COND * 1.0), lambda x: F.binary_cross_entropy_with_logits(x, T(COND * 1.0)), lambda x: jnp.mean(jax.nn.softplus(x) - x * COND), (A,)),
    "nn.attention": Row(nn.attention, attention, None, (numbers(2, 2, 3, 4), numbers(2, 2, 5, 4), numbers(2, 2, 5, 4, seed=1))),
    "nn.attention causal": Row(lambda q, k, v: nn.attention(q, k, v, causal=True), lambda q, k, v: attention(q, k, v, is_causal=True), None, (numbers(2, 2, 3, 4), numbers(2, 2, 3, 4), numbers(2, 2, 3, 4, seed=1))),
    "nn.conv2d": Row(lambda x, w: nn.conv2d(x, w, stride=2, padding=(1, 2)), lambda x, w: F.conv2d(x, w, stride=2, padding=(1, 2)), lambda x, w: jax.lax.conv_general_dilated(x, w, (2, 2), ((1, 1), (2, 2))), (IMAGE, FILTERS)),
    "nn.conv2d groups": Row(lambda x, w: nn.conv2d(x, w, groups=3, dilation=2), lambda x, w: F.conv2d(x, w, groups=3, dilation=2), lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", rhs_dilation=(2, 2), feature_group_count=3), (IMAGE, numbers(6, 1, 3, 2))),
    "nn.max_pool2d": Row(lambda x: nn.max_pool2d(x, 3, stride=2, padding=1), lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1))), (IMAGE,), ((np.zeros((1, 1, 3, 3)),),)),
    "nn.avg_pool2d": Row(lambda x: nn.avg_pool2d(x, 3, stride=2, padding=1), lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1))) / 9, (IMAGE,)),
    "nn.unfold": Row(lambda x: nn.unfold(x, (3, 2), stride=2, padding=1), lambda x: F.unfold(x, (3, 2), stride=2, padding=1), lambda x: jax.lax.conv_general_dilated_patches(x, (3, 2), (2, 2), ((1, 1), (1, 1))).reshape(2, 18, -1), (IMAGE,)),
    "nn.fold": Row(lambda x: nn.fold(x, (5, 6), (2, 3), padding=1), lambda x: F.fold(x, (5, 6), (2, 3), padding=1), None, (numbers(2, 12, 36),)),

    # plugrad-norm
    "norm.layer_norm": Row(norm.layer_norm, lambda x, w, b: F.layer_norm(x, (4,), w, b), None, (A, ROW, numbers(4))),
    "norm.batch_norm": Row(lambda x, w, b: norm.batch_norm(x, w, b)[0], lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), None, (CUBE, numbers(3), numbers(3, seed=1))),
}
# fmt: on
