"""``plugrad doctor``: checks the environment, every plugin, every backend and every target, and says what to do."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata

from .. import hot
from ..backend import __version__
from ..errors import BackendUnavailableError, PluginError
from ..plugins import backend_index, default_backend
from ..plugins.loader import Registry, discover
from ..plugins.names import because

Finding = tuple[str, str, bool]
"""A word, a text, and whether something is broken."""


def main(argv: Sequence[str]) -> int:
    """Check everything that is installed; the exit code is 1 when something is broken."""
    argparse.ArgumentParser(prog="plugrad doctor", description=main.__doc__).parse_args(argv)
    broken = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a warning would say is a finding here
        for section in (environment, plugins, backends, targets):
            print(section.__name__)
            for word, text, bad in section(discover()):
                broken += bad
                print(f"  {'BROKEN: ' if bad else ''}{word:<12} {text}")
    print(f"{broken} broken" if broken else "nothing is broken")
    return 1 if broken else 0


def environment(registry: Registry) -> Iterator[Finding]:
    """Versions, a compiler, and the environment variables that plugrad reads."""
    yield "python", f"{platform.python_version()} on {platform.platform(terse=True)}, {platform.machine()}", False
    yield "plugrad", __version__, False
    yield "core", *_core()
    for name in ("numpy", "ml_dtypes", "pluggy"):
        yield name, metadata.version(name), False
    compilers = filter(None, map(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang", "cl")))
    yield "C compiler", next(compilers, "none found; only building a compiled backend from source needs one"), False
    yield from ((name, text, False) for name, text in sorted(os.environ.items()) if name.startswith("PLUGRAD_"))


def _core() -> tuple[str, bool]:
    """Whether the hot modules of the core are compiled."""
    modules = hot.compiled()
    if hot.stale():
        return "compiled from other sources than those that lie beside it; run make, or build it again", True
    if len(modules) == len(hot.names()):
        return f"compiled ({', '.join(modules)})", False
    some = f"compiled in part ({', '.join(modules)})" if modules else "plain Python"
    return f"{some}; with a C compiler and Cython, installing it again makes calls several times faster", False


def plugins(registry: Registry) -> Iterator[Finding]:
    """Every plugin with its status."""
    for plugin in registry.plugins:
        what = f"{plugin.provider} (entry point {plugin.provider.entry_point})"
        yield plugin.status, because(what, plugin.reason), plugin.broken
    yield from (("note", note, True) for note in registry.notes)


def backends(registry: Registry) -> Iterator[Finding]:
    """What each probe answered; a backend that says it is available is loaded."""
    for name, entry in registry.select("backend").items():
        outcome = entry.outcome()
        try:
            if outcome.available:
                backend_index(name)
        except BackendUnavailableError as error:
            yield "not loaded", str(error).removesuffix(" (see: plugrad doctor)"), True
        else:
            what = because(f"{name} of {entry.provider}", outcome.reason)
            yield outcome.status, what, outcome.status in ("timed out", "raised")
    yield "default", default_backend(), False


def targets(registry: Registry) -> Iterator[Finding]:
    """Import what every other registration points at, save kernels for backends that cannot be used here."""
    usable = {name for name, entry in registry.select("backend").items() if entry.outcome().available} | {""}
    good = 0
    for entry in registry.entries:
        try:
            if entry.word != "backend" and entry.backend in usable:
                entry.load()
                good += 1
        except PluginError as error:
            yield entry.word, str(error), True
    yield "imported", str(good), False
