"""Names for a new distribution: the rules of their form, and who has them already. Writes nothing."""

from __future__ import annotations

import keyword
import re
import sys
from importlib import metadata
from importlib.util import find_spec

from ...errors import PlugradError
from ...plugins import statuses

FORM = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
LONGEST_NAME = 24
LONGEST_DISTRIBUTION = 40
"""Longer ones would break the lines of the generated files."""

PREFIX = "plugrad-"
OWN = ("cpu", "cuda", "nn", "norm", "optim", "data", "train")
"""The project's own distributions, whether or not they are installed: an index has room for one of each name."""


class ScaffoldError(PlugradError, ValueError):
    """A distribution cannot be written as it was asked for. Nothing has been written."""


def check_name(name: str, label: str) -> str:
    """The name as it is registered, with underscores for dashes; ScaffoldError if it is malformed, reserved or taken.

    >>> check_name("my-chip", "backend")
    'my_chip'
    """
    if name.startswith((PREFIX, "plugrad_")) and FORM.fullmatch(name):
        bare = name[len(PREFIX) :]
        raise ScaffoldError(f"name {name!r}: the distribution gets the prefix by itself; write {bare!r}")
    _well_formed("name", name, LONGEST_NAME, "my-chip")
    registered = name.replace("-", "_")
    if registered in ("none", "plugrad"):
        meaning = "PLUGRAD_PLUGINS=none stands for no plugin" if registered == "none" else "it is the core"
        raise ScaffoldError(f"name {name!r}: it is reserved, {meaning}; choose another")
    for plugin in statuses():
        things = {entry.name.replace("-", "_") for entry in plugin.provides if (entry.kind or entry.word) == label}
        if registered in {plugin.provider.entry_point, *things}:
            raise ScaffoldError(f"name {name!r}: it is taken by {plugin.provider}, which is installed; choose another")
    if registered in OWN:
        raise ScaffoldError(f"name {name!r}: it is reserved for plugrad's own {PREFIX}{registered}; choose another")
    return registered


def check_distribution(distribution: str) -> str:
    """The package of a distribution of this name; ScaffoldError if either is malformed or taken.

    >>> check_distribution("chip-arrays")
    'chip_arrays'
    """
    _well_formed("distribution", distribution, LONGEST_DISTRIBUTION, "plugrad-my-chip")
    package = distribution.replace("-", "_")
    what = f"distribution {distribution!r}: its package"
    if keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise ScaffoldError(f"{what} {package!r} would be a word or module of Python; choose another name")
    if package.removeprefix("plugrad_") in OWN and package.startswith("plugrad"):
        raise ScaffoldError(f"distribution {distribution!r}: it is one of plugrad's own; choose another name")
    installed = version_of(distribution)
    if installed is not None:
        raise ScaffoldError(f"distribution {distribution!r}: {installed} is installed; uninstall it or choose another")
    found = find_spec(package)
    if found is not None:
        raise ScaffoldError(f"{what} {package!r} can be imported already, from {found.origin}; choose another name")
    return package


def version_of(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _well_formed(what: str, name: str, longest: int, example: str) -> None:
    if len(name) > longest:
        raise ScaffoldError(f"{what} {name!r}: {len(name)} characters are too many; use at most {longest}")
    if not FORM.fullmatch(name):
        plain = "-".join(re.findall("[a-z0-9]+", name.lower()))
        example = plain if FORM.fullmatch(plain) and name.isascii() else example
        raise ScaffoldError(
            f"{what} {name!r}: it must begin with a letter and consist of lower-case letters, digits and single dashes "
            f"or underscores between them; write for example {example!r}"
        )
