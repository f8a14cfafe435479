"""What this distribution registers. Light: neither the extension modules nor NumPy are needed to import it."""

from __future__ import annotations

from typing import Any

from plugrad.plugins import hookimpl

API = (1, 0)


@hookimpl
def plugrad_backends(registrar: Any) -> None:
    """Register the backend ``cpu``."""
    registrar.backend(
        "cpu",
        target="plugrad_cpu.backend:CpuBackend",
        probe="plugrad_cpu.probe:available",
        api=API,
        priority=50,
    )


@hookimpl
def plugrad_components(registrar: Any) -> None:
    """Register what exchanges the dtypes that NumPy does not."""
    registrar.component("dlpack", "export", target="plugrad_cpu.dlpack:export")
    registrar.component("dlpack", "take", target="plugrad_cpu.dlpack:take")
