"""What the core itself brings, declared like any plugin's: the reference backend, observers and commands."""

from __future__ import annotations

from .hookspecs import hookimpl
from .registrar import Registrar

API = (1, 0)


@hookimpl
def plugrad_backends(registrar: Registrar) -> None:
    """The NumPy reference; every other backend is preferred to it."""
    registrar.backend("numpy", target="plugrad.reference.backend:NumpyBackend", priority=0)


@hookimpl
def plugrad_observers(registrar: Registrar) -> None:
    """What ``plugrad.observe("profile")`` and ``plugrad.observe("find_nan")`` find."""
    registrar.observer("profile", "plugrad.diagnostics.profiler:profile")
    registrar.observer("find_nan", "plugrad.diagnostics.nan:find_nan")


@hookimpl
def plugrad_commands(registrar: Registrar) -> None:
    """``plugrad plugins``, ``doctor``, ``coverage``, ``new``, ``lint`` and ``capture``."""
    registrar.command("plugins", "plugrad.cli.plugins:main", help="what is installed, what it provides, its status")
    registrar.command("doctor", "plugrad.cli.doctor:main", help="check the environment, every plugin and every backend")
    registrar.command("coverage", "plugrad.testing.coverage_command:main", help="how a backend runs each op")
    registrar.command("new", "plugrad.testing.scaffold.command:main", help="write a plugin: a backend, op, layer, ...")
    registrar.command("lint", "plugrad.testing.lint.command:main", help="check a plugin against the contract, unrun")
    registrar.command("capture", "plugrad.testing.capture.command:main", help="record which ops a script calls")
