"""What this distribution registers. Light: JAX is imported when a tensor is first put on one of the two devices."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from plugrad.plugins import hookimpl

API = (1, 0)


def available() -> bool | str:
    """Whether JAX is there, or what to do."""
    return find_spec("jax") is not None or "jax is not installed; pip install jax"


@hookimpl
def plugrad_backends(registrar: Any) -> None:
    """The devices ``jax_first`` and ``jax``; both are below plugrad-cpu, so they are used when asked for by name."""
    for name, target in (("jax_first", "first:First"), ("jax", "second:Second")):
        registrar.backend(name, f"backend_jax.{target}", probe="backend_jax.plugin:available", api=API, priority=20)
