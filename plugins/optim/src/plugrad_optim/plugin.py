"""What plugrad-optim registers: its ops and its optimizers, by name. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from plugrad.plugins import hookimpl

API = (1, 0)


@hookimpl
def plugrad_ops(registrar: Any) -> None:
    """``optim.descent_step``, ``optim.sgd_step`` and ``optim.adam_step``."""
    registrar.ops("optim", target="plugrad_optim.ops")


@hookimpl
def plugrad_components(registrar: Any) -> None:
    """``plugrad.create("optimizer", "adam", params=model, learning_rate=1e-3)``."""
    registrar.component("optimizer", "sgd", target="plugrad_optim.sgd:SGD")
    registrar.component("optimizer", "adam", target="plugrad_optim.adam:Adam")
    registrar.component("schedule", "constant", target="plugrad_optim.schedules:constant")
    registrar.component("schedule", "step", target="plugrad_optim.schedules:step_decay")
    registrar.component("schedule", "cosine", target="plugrad_optim.schedules:cosine")


@hookimpl
def plugrad_samples(registrar: Any) -> None:
    """Calls of the operations and optimizers, for the conformance kit."""
    registrar.samples("plugrad_optim.samples:samples")
