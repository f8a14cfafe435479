"""Backends for tests of the contract's checks: an honest one, and its copies with one fault each."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from plugrad import dispatch
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import backend_checks

CHECKS = dict(backend_checks())
K = NumpyBackend.kernels
numbers = itertools.count()


class Honest(NumpyBackend):
    """The reference under another name: it passes, and each fault below changes one thing of it."""

    dtypes = "b1 i4 i8 u4 f4 f8"

    def borrow(self, array: np.ndarray, device: str) -> Any:
        return NotImplemented


def loaded(**members: Any) -> str:
    """The device of a new backend with these members."""
    name = f"faulty_{next(numbers)}"
    dispatch.add_backend(type("Faulty", (Honest,), {"name": name, **members})())
    return name


def kernel(name: str, fn: Any) -> dict[str, Any]:
    """The members of a backend with another kernel for one op."""
    return {"kernels": {**K, name: fn}}


def into(name: str, fn: Any) -> dict[str, Any]:
    """The members of a backend with another form that writes."""
    return {"into": {**NumpyBackend.into, name: fn}}
