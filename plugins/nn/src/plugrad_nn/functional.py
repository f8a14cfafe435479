"""The operations of this package as functions, under one name."""

from .ops.activation import gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus
from .ops.attention import attention
from .ops.convolution import conv2d
from .ops.linear import linear
from .ops.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from .ops.pooling import avg_pool2d, max_pool2d
from .ops.unfolding import fold, unfold

__all__ = [
    "attention",
    "avg_pool2d",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "fold",
    "gelu",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "unfold",
]
