"""The commands that the core brings, declared like any plugin's."""

from __future__ import annotations

from ..plugins import Registrar, hookimpl

API = (1, 0)


@hookimpl
def plugrad_commands(registrar: Registrar) -> None:
    """``plugrad plugins``, ``plugrad doctor`` and ``plugrad new``."""
    registrar.command("plugins", "plugrad.cli.plugins:main", help="what is installed, what it provides, its status")
    registrar.command("doctor", "plugrad.cli.doctor:main", help="check the environment, every plugin and every backend")
    registrar.command("new", "plugrad.testing.scaffold.command:main", help="write a distribution of your own: backend")
