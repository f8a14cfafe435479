"""The hooks of plugrad. A hook registers and never computes: it runs once, gets one registrar, returns nothing.

A plugin is a light module that an entry point of the group ``plugrad`` names::

    # pyproject.toml:  [project.entry-points.plugrad]
    #                  mine = "plugrad_mine.plugin"
    from plugrad.plugins import hookimpl

    API = (1, 0)  # the version of the protocol it was written for

    @hookimpl
    def plugrad_backends(registrar):
        registrar.backend("mine", target="plugrad_mine.backend:Mine", probe="plugrad_mine.probe:available", priority=20)

Targets are strings, so that nothing heavy is imported before it is used.
"""

from __future__ import annotations

import pluggy

from .registrar import Registrar

PROJECT = "plugrad"
hookimpl = pluggy.HookimplMarker(PROJECT)


def plugrad_backends(registrar: Registrar) -> None:
    """Backends: ``registrar.backend("mine", target="pkg.backend:Mine", probe="pkg.probe:available", priority=20)``."""


def plugrad_ops(registrar: Registrar) -> None:
    """Ops under a dotted prefix: ``registrar.ops("nn", target="plugrad_nn.ops")``. Importing the module makes them."""


def plugrad_kernels(registrar: Registrar) -> None:
    """Kernels for anyone's op on anyone's backend.

    ``registrar.kernel("nn.attention", backend="cuda", target="package.kernels:attention", priority=60)``
    """


def plugrad_components(registrar: Registrar) -> None:
    """What ``plugrad.create(kind, name, **config)`` finds.

    ``registrar.component("optimizer", "adamw", target="package.adam:AdamW")``
    """


def plugrad_samples(registrar: Registrar) -> None:
    """Test inputs of one's own ops and components, for the kit: ``registrar.samples("package.samples:samples")``."""


def plugrad_passes(registrar: Registrar) -> None:
    """Passes of compile, in ascending order: ``registrar.compile_pass("fuse", target="pkg.fuse:run", order=50)``."""


def plugrad_observers(registrar: Registrar) -> None:
    """Profilers, NaN finders: ``registrar.observer("nan", target="package.nan:Finder")``. Free while inactive."""


def plugrad_commands(registrar: Registrar) -> None:
    """Sub-commands of the CLI: ``registrar.command("demo", target="package.demo:main", help="train on digits")``.

    The target is ``main(argv: list[str]) -> int | None``: ``argv`` is what follows the command's name, the result the
    exit code.
    """


HOOKS = sorted(name for name in globals() if name.startswith("plugrad_"))
for _name in HOOKS:  # what the decorator @hookspec would do above each
    pluggy.HookspecMarker(PROJECT)(globals()[_name])
