"""What plugrad-nn registers: its operations under ``nn``, and its layers, losses and initialisers by name. Imports
nothing heavy.
"""

from __future__ import annotations

from typing import Any

from plugrad.plugins import hookimpl

API = (1, 0)

LAYERS = {
    "avg_pool2d": "AvgPool2d",
    "conv2d": "Conv2d",
    "embedding": "Embedding",
    "flatten": "Flatten",
    "gelu": "GELU",
    "leaky_relu": "LeakyReLU",
    "linear": "Linear",
    "max_pool2d": "MaxPool2d",
    "multi_head_attention": "MultiHeadAttention",
    "relu": "ReLU",
    "sequential": "Sequential",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "softmax": "Softmax",
    "softplus": "Softplus",
    "tanh": "Tanh",
}
LOSSES = {
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "cross_entropy": "CrossEntropyLoss",
    "mse": "MSELoss",
}
INITIALISERS = ("kaiming_normal", "kaiming_uniform", "ones", "xavier_normal", "xavier_uniform", "zeros")


@hookimpl
def plugrad_ops(registrar: Any) -> None:
    """The operations called ``nn.something``."""
    registrar.ops(prefix="nn", target="plugrad_nn.ops")


@hookimpl
def plugrad_components(registrar: Any) -> None:
    """``plugrad.create("layer", "linear", in_features=3, out_features=2)``, ``("loss", "mse")``, ``("initialiser",
    "zeros", ...)``.
    """
    for name, layer in LAYERS.items():
        registrar.component("layer", name, target=f"plugrad_nn.layers:{layer}")
    for name, loss in LOSSES.items():
        registrar.component("loss", name, target=f"plugrad_nn.layers:{loss}")
    for name in INITIALISERS:
        registrar.component("initialiser", name, target=f"plugrad_nn.init:{name}")


@hookimpl
def plugrad_samples(registrar: Any) -> None:
    """Calls of the operations, layers and losses, for the conformance kit."""
    registrar.samples("plugrad_nn.samples:samples")
