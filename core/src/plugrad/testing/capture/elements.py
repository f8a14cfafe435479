"""What is kept of an operand's elements, and arrays made of it: random, deterministic, and legal where those were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..contract.numbers import Shape
from ..contract.subject import kind_of

Elements = Mapping[str, Any]
"""``true``: the share of True. ``values``: the elements themselves, of few integers. ``low``, ``high``: the bounds of
what is finite; of floats also ``mean``, ``std``, and the shares ``nan``, ``inf`` and ``-inf`` if there are any. Of
complex numbers real and imaginary parts together. Empty for an array without elements.
"""

FEW = 64
"""Integer operands of so many elements are kept by value: labels, positions, keys."""
ODD: dict[str, float] = {"nan": float("nan"), "inf": float("inf"), "-inf": -float("inf")}


def look(array: np.ndarray) -> Elements:
    """What is kept of an array.

    >>> look(np.array([3, 1])), look(np.array([True, False]))
    ({'values': [3, 1]}, {'true': 0.5})
    """
    kind = kind_of(array.dtype)
    if not array.size:
        return {}
    if kind == "b":
        return {"true": float(array.mean())}
    if kind in "iu":
        if array.size <= FEW:
            return {"values": array.ravel().tolist()}
        return {"low": int(array.min()), "high": int(array.max())}
    return _of_floats(_parts(array))


def _parts(array: np.ndarray) -> np.ndarray:
    """The elements as float64; real and imaginary parts in turn."""
    flat = np.ascontiguousarray(array).ravel()
    with np.errstate(invalid="ignore"):  # bfloat16 NaN
        return (flat.view(flat.real.dtype) if kind_of(flat.dtype) == "c" else flat).astype(np.float64)


def _of_floats(x: np.ndarray) -> dict[str, Any]:
    finite = x[np.isfinite(x)]
    found: dict[str, Any] = {}
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = float(finite.mean()), float(finite.std())
        if not np.isfinite([mean, std]).all():  # of numbers near the largest
            mean, std = low / 2 + high / 2, high / 2 - low / 2
        found = {"low": low, "high": high, "mean": mean, "std": std}
    if finite.size < x.size:
        shares = {"nan": np.isnan(x), "inf": x == np.inf, "-inf": x == -np.inf}
        found |= {name: float(where.mean()) for name, where in shares.items() if where.any()}
    return found


def merge(a: Elements, b: Elements) -> Elements:
    """What is kept of two arrays of one shape and dtype: bounds of both, the rest of the one that varies more. Values
    stay those of the first.
    """
    if "values" in a or not a or not b:
        return a or b
    if "true" in a:
        return min(a, b, key=lambda e: abs(e["true"] - 0.5))
    merged = dict(b if b.get("std", -1.0) > a.get("std", -1.0) else a)
    for bound, choose in (("low", min), ("high", max)):
        if given := [e[bound] for e in (a, b) if bound in e]:
            merged[bound] = choose(given)
    return merged


def make(shape: Shape, dtype: np.dtype, elements: Elements, rng: np.random.Generator) -> np.ndarray:
    """An array of what was kept.

    Floats that were all alike come from them to one more: zeros would hide most faults.
    """
    kind = kind_of(dtype)
    if kind == "b":
        return np.asarray(rng.random(shape) < elements.get("true", 0.5))
    if "values" in elements:
        return np.array(elements["values"], dtype).reshape(shape)
    if kind in "iu":
        low, high = elements.get("low", 0), elements.get("high", 0)
        return np.asarray(rng.integers(low, high, shape, dtype, endpoint=True))
    if kind == "c":
        return np.array(_floats(shape, elements, rng) + 1j * _floats(shape, elements, rng), dtype)
    return _floats(shape, elements, rng).astype(dtype)


def _floats(shape: Shape, elements: Elements, rng: np.random.Generator) -> np.ndarray:
    """Normal with the mean and deviation; what is out of bounds is drawn evenly between them."""
    low, high = elements.get("low", -1.0), elements.get("high", 1.0)
    size = int(np.prod(shape, dtype=np.int64))
    if low == high and size > 1:
        high = low + 1.0
        x = rng.random(size) + low
    else:
        x = rng.normal(elements.get("mean", 0.0), elements.get("std", 1.0), size)
        out = (x < low) | (x > high)
        u = rng.random(np.count_nonzero(out))
        x[out] = u * high + (1 - u) * low
    for name, value in ODD.items():
        if name in elements:
            x[rng.random(size) < elements[name]] = value
    return np.asarray(x.reshape(shape))
