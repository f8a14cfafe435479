"""Nested state to flat arrays and back: what safetensors can hold is a flat mapping of arrays, and text.

Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plugrad import Tensor

_PLAIN = (bool, int, float, str, type(None))


def to_array(value: Any) -> np.ndarray:
    """A tensor or array as a C-contiguous NumPy array."""
    return np.asarray(value.detach().numpy() if isinstance(value, Tensor) else value, order="C")


def pack(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """A JSON value that stands for ``value``; its tensors go into ``arrays`` under paths that begin with ``path``.

    Takes dicts with string or integer keys, lists, tuples, tensors, arrays, and plain scalars; anything else raises
    ``TypeError`` that names the path.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        arrays[path] = to_array(value)
        return {"tensor": path}
    if type(value) in _PLAIN:
        return value
    if type(value) in (list, tuple):
        return {type(value).__name__: [pack(v, f"{path}/{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, Mapping):
        bad = [k for k in value if type(k) not in (str, int)]
        if bad:
            raise TypeError(f"{path} has the key {bad[0]!r}; only strings and integers can be saved")
        return {"dict": [[k, pack(v, f"{path}/{k}", arrays)] for k, v in value.items()]}
    raise TypeError(
        f"{path} is a {type(value).__name__}; tensors, arrays, numbers, strings, lists, "
        "tuples and dicts of them can be saved"
    )


def unpack(packed: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that ``pack`` was given, with NumPy arrays for tensors; ``KeyError`` names an array that is missing."""
    if not isinstance(packed, dict):
        return packed
    (kind, content), *_ = packed.items()
    if kind == "tensor":
        return arrays[content]
    if kind == "dict":
        return {k: unpack(v, arrays) for k, v in content}
    items = [unpack(v, arrays) for v in content]
    return tuple(items) if kind == "tuple" else items
