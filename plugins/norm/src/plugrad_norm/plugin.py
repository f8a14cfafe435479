"""What plugrad-norm registers: its ops and its layers, by name. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from plugrad.plugins import hookimpl

API = (1, 0)


@hookimpl
def plugrad_ops(registrar: Any) -> None:
    """``norm.layer_norm``, ``norm.batch_norm``, their backward twins, and ``norm.dropout``."""
    registrar.ops("norm", target="plugrad_norm.ops")


@hookimpl
def plugrad_components(registrar: Any) -> None:
    """``plugrad.create("layer", "layer_norm", shape=16)``."""
    registrar.component("layer", "batch_norm1d", target="plugrad_norm.layers:BatchNorm1d")
    registrar.component("layer", "batch_norm2d", target="plugrad_norm.layers:BatchNorm2d")
    registrar.component("layer", "dropout", target="plugrad_norm.layers:Dropout")
    registrar.component("layer", "layer_norm", target="plugrad_norm.layers:LayerNorm")


@hookimpl
def plugrad_samples(registrar: Any) -> None:
    """Calls of the operations and layers, for the conformance kit."""
    registrar.samples("plugrad_norm.samples:samples")
