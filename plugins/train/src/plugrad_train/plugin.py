"""What plugrad-train registers: the command ``plugrad demo``. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from plugrad.plugins import hookimpl

API = (1, 0)


@hookimpl
def plugrad_commands(registrar: Any) -> None:
    """``plugrad demo``."""
    registrar.command("demo", target="plugrad_train.demo:main", help="train a small network on handwritten digits")
