"""array-api-extra's functions give tensors with NumPy's values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_extra as xpx
import numpy as np
import pytest

import plugrad as pg

A = np.random.default_rng(0).normal(size=(4, 3))
B = np.random.default_rng(1).normal(size=(2, 2))
LABELS = np.array([2, 0, 1, 2])
HOLES = np.array([1.0, np.nan, -np.inf])

# name: (a function of a namespace, NumPy's value)
CALLS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "at_set": (lambda xp: xpx.at(xp.asarray(A))[1].set(0.0), np.where(np.arange(4)[:, None] == 1, 0, A)),
    "at_add": (lambda xp: xpx.at(xp.asarray(A), 0).add(1.0), A + (np.arange(4) == 0)[:, None]),
    "pad": (lambda xp: xpx.pad(xp.asarray(A), 1), np.pad(A, 1)),
    "one_hot": (lambda xp: xpx.one_hot(xp.asarray(LABELS), 3), np.eye(3)[LABELS]),
    "cov": (lambda xp: xpx.cov(xp.asarray(A)), np.cov(A)),
    "kron": (lambda xp: xpx.kron(xp.asarray(A), xp.asarray(B)), np.kron(A, B)),
    "apply_where": (
        lambda xp: xpx.apply_where(xp.asarray(A) > 0, xp.asarray(A), lambda x: x * 2, lambda x: -x),
        np.where(A > 0, A * 2, -A),
    ),
    "lazy_apply": (lambda xp: xpx.lazy_apply(np.cumsum, xp.asarray(A[0]), as_numpy=True), np.cumsum(A[0])),
    "atleast_nd": (lambda xp: xpx.atleast_nd(xp.asarray(2.0), ndim=2), np.array([[2.0]])),
    "nan_to_num": (lambda xp: xpx.nan_to_num(xp.asarray(HOLES)), np.nan_to_num(HOLES)),
    "partition": (lambda xp: xpx.partition(xp.asarray(A[:, 0]), 2)[2], np.partition(A[:, 0], 2)[2]),
    "union1d": (lambda xp: xpx.union1d(xp.asarray(LABELS), xp.asarray(np.array([5]))), np.array([0, 1, 2, 5])),
    "isin": (lambda xp: xpx.isin(xp.asarray(LABELS), xp.asarray(np.array([2]))), LABELS == 2),
    "create_diagonal": (lambda xp: xpx.create_diagonal(xp.asarray(A[0])), np.diag(A[0])),
    "nunique": (lambda xp: xp.asarray(xpx.nunique(xp.asarray(LABELS))), np.asarray(3)),
    "setdiff1d": (lambda xp: xpx.setdiff1d(xp.asarray(LABELS), xp.asarray(np.array([0]))), np.array([1, 2])),
    "sinc": (lambda xp: xpx.sinc(xp.asarray(A)), np.sinc(A)),
    "isclose": (lambda xp: xpx.isclose(xp.asarray(A), xp.asarray(A + 1e-12)), np.full(A.shape, True)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name: str) -> None:
    call, wanted = CALLS[name]
    found = call(pg)
    assert isinstance(found, pg.Tensor)
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-6, atol=1e-12)
