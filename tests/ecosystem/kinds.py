"""What a call of another library gave: the kinds of arrays in it, and their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np


def leaves(found: Any) -> Iterator[Any]:
    """The arrays and numbers in a result: of tuples, lists, dicts, results with attributes."""
    if dataclasses.is_dataclass(found) and not isinstance(found, type):
        found = [getattr(found, field.name) for field in dataclasses.fields(found)]
    elif hasattr(found, "_asdict"):
        found = {name: value for name, value in found._asdict().items() if not name.startswith("_")}
    elif isinstance(found, dict) or hasattr(found, "keys"):
        found = {key: found[key] for key in found.keys()}  # noqa: SIM118 - SciPy's results are not all mappings
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, (list, tuple)):
        for item in found:
            yield from leaves(item)
    else:
        yield found


def library(leaf: Any) -> str:
    """The library that a value is of: ``number`` for Python's and NumPy's scalars."""
    if isinstance(leaf, (bool, int, float, complex, str, np.generic)) or leaf is None:
        return "number"
    return type(leaf).__module__.partition(".")[0]


def kinds(found: Any, own: str) -> list[str]:
    """The libraries of a result's leaves, the one under test called ``own``."""
    return ["own" if library(leaf) == own else library(leaf) for leaf in leaves(found)]


def values(found: Any) -> list[np.ndarray]:
    """The leaves as NumPy arrays."""
    return [np.asarray(leaf) for leaf in leaves(found)]
