"""What plugrad-data registers: its datasets, by name. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from plugrad.plugins import hookimpl

API = (1, 0)


@hookimpl
def plugrad_components(registrar: Any) -> None:
    """``plugrad.create("dataset", "digits")`` and ``plugrad.create("dataset", "mnist", split="train")``."""
    registrar.component("dataset", "digits", target="plugrad_data.named:digits")
    registrar.component("dataset", "mnist", target="plugrad_data.named:mnist")


@hookimpl
def plugrad_samples(registrar: Any) -> None:
    """Calls of the datasets, for the conformance kit."""
    registrar.samples("plugrad_data.samples:samples")
