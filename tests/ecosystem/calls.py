"""Runs a call with NumPy's arrays, with those of array-api-strict, and with plugrad's, and judges the last by the
others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import array_api_strict
import numpy as np
import pytest
from kinds import kinds, values

import plugrad

Calls = Mapping[str, Callable[[Any], Any]]
Misses = Mapping[str, tuple[str, str]]
"""Calls that fail: what the error says, and the reason."""


def quietly(call: Callable[[Any], Any], make: Callable[[Any], Any]) -> Any:
    """The result, without the library's own warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(make)


def usual(call: Callable[[Any], Any]) -> list[str]:
    """The kinds that the library gives for other arrays of the standard; empty where it refuses them."""
    try:
        return kinds(quietly(call, array_api_strict.asarray), "array_api_strict")
    except Exception:  # whatever a library raises for arrays that it does not take
        return []


def judge(call: Callable[[Any], Any], rtol: float = 1e-7) -> None:
    """NumPy's values; and tensors, or what the library gives for other arrays: array-api-strict's, or NumPy's where it
    refuses those.
    """
    reference = quietly(call, np.asarray)
    wanted = values(reference)
    found = quietly(call, plugrad.asarray)
    for one, other in zip(values(found), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-9)
    mine, theirs = kinds(found, "plugrad"), usual(call) or kinds(reference, "plugrad")
    assert mine == theirs or set(mine) == {"own"}, f"gives {mine}, for other arrays {theirs}"


def judge_unless(name: str, calls: Calls, misses: Misses, rtol: float = 1e-7) -> None:
    """The same, except for calls that are known to fail, which must go on failing in that way."""
    if name not in misses:
        judge(calls[name], rtol)
        return
    with pytest.raises(Exception, match=misses[name][0]):
        judge(calls[name], rtol)


def passing(calls: Calls, misses: Misses) -> int:
    """How many calls are not known to fail; every miss must be one of them."""
    assert misses.keys() <= calls.keys()
    return len(calls) - len(misses)
