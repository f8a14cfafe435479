"""What a row of the table is, the inputs that rows share, and short ways to write rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import torch

import plugrad as pg

Call = Callable[..., Any]
Inputs = tuple[np.ndarray, ...]
INF, NAN = float("inf"), float("nan")


class Row(NamedTuple):
    """One function of plugrad with the same of each peer (None: it has none), at floating or complex inputs.

    ``corners`` are further inputs, where values, vjp and jvp must agree, NaN and infinities included, unless there is a
    reason in ``reasons``. ``smooth``: the derivative is that of the function; not so where one is meant to differ.
    """

    plugrad: Call
    torch: Call | None
    jax: Call | None
    inputs: Inputs
    corners: tuple[Inputs, ...] = ()
    tolerance: float = 1e-10
    smooth: bool = True


def same(name: str, *inputs: np.ndarray, corners: tuple[Inputs, ...] = (), torch_name: str = "") -> Row:
    """The function of this name in all three."""
    return Row(getattr(pg, name), getattr(torch, torch_name or name), getattr(jnp, name), inputs, corners)


def every(call: Call, *inputs: np.ndarray, corners: tuple[Inputs, ...] = ()) -> Row:
    """``call(namespace, *inputs)`` in all three namespaces."""
    calls = [lambda *xs, xp=xp: call(xp, *xs) for xp in (pg, torch, jnp)]
    return Row(calls[0], calls[1], calls[2], inputs, corners)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


A, B = numbers(3, 4), numbers(3, 4, seed=1)
P, Q = np.abs(A) + 0.5, np.abs(B) + 0.5
ROW, COLUMN, SQUARE, CUBE = numbers(4, seed=2), numbers(3, 1, seed=3), numbers(4, 4, seed=4), numbers(2, 3, 4, seed=5)
Z, W = A + 1j * B, B - 1j * P
POSITIONS = np.array([2, 0, 2, 1])
ALONG = np.array([[0, 1], [2, 2], [3, 0]])
U = np.random.default_rng(9).uniform(-0.9, 0.9, (3, 4))
FULL = SQUARE + 4 * np.eye(4)
IMAGE, FILTERS = numbers(2, 3, 7, 6, seed=6), numbers(4, 3, 3, 2, seed=7)

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e300, -1e300, 1e-300, INF, -INF, NAN])
"""No number below the normal ones: XLA takes those for zeros on a processor."""
_ONE, _TWO = np.meshgrid(SPECIAL, SPECIAL)
UNARY: tuple[Inputs, ...] = ((SPECIAL,), (np.array(0.3),), (np.zeros((0, 2)),))
"""Zeros, infinities, NaN, huge, tiny; no axes; no elements."""
BINARY: tuple[Inputs, ...] = (
    (_ONE.ravel(), _TWO.ravel()), (np.array(0.3), np.array(-2.0)), (np.zeros((0, 2)), np.zeros((1, 2))),
    (np.array([1.5, -2.0, 0.25], "float32"), np.array([0.5, 1.0, -3.0])),
)  # fmt: skip
"""Every pair of these, which has ties; no axes; no elements; two dtypes."""
_TIED, _INFINITE = ([1.0, 3.0, 3.0], [0.0, 2.0, 0.0], [0.0, 2.0, 3.0]), ([INF, 1.0, INF], [INF, -INF])
_REDUCED = (*_TIED, [1.0, NAN, 3.0], [NAN, NAN], *_INFINITE, 0.3, [1e308, 1e308], [2.0])
REDUCED: tuple[Inputs, ...] = tuple((np.array(x),) for x in _REDUCED)
"""Ties, zeros, NaN, infinities, no axes, sums that overflow."""
EMPTY: tuple[Inputs, ...] = ((np.zeros((0,)),),)
LINES = tuple(one for one in REDUCED if one[0].ndim)
"""The same without those of no axes."""
_CUTS = [0, 1, -1, 1j, -1j, 2, complex(2, -0.0), -2, complex(-2, -0.0), 2j, complex(-0.0, 2), -2j, complex(-0.0, -2)]
COMPLEX: tuple[Inputs, ...] = ((np.array([*_CUTS, 1e-20 + 1e-20j, 1e20 + 1e20j]),), (np.zeros((0, 2)) * 1j,))
"""Poles, both sides of branch cuts, tiny and large numbers; no elements."""
TIED_WRITES: tuple[Inputs, ...] = (
    (np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 3.0])), (np.array([1.0, 2.0, NAN]), np.array([3.0, NAN, 3.0]))
)  # fmt: skip
"""Old and new values that are equal, or NaN."""


def named(space: str, name: str, *inputs: np.ndarray, corners: tuple[Inputs, ...] = ()) -> Row:
    """The function of this name in a module of all three."""
    return Row(*[getattr(getattr(xp, space), name) for xp in (pg, torch, jnp)], inputs, corners)


def transform(name: str, x: np.ndarray, size: Any = None, axis: Any = None, norm: str = "backward") -> Row:
    """A Fourier transform of all three."""
    many = name.endswith("n")
    axis = -1 if axis is None and not many else axis
    words = {"s" if many else "n": size, "axes" if many else "axis": axis, "norm": norm}
    return Row(
        lambda x: getattr(pg.fft, name)(x, **words),
        lambda x: getattr(torch.fft, name)(x, size, axis, norm),
        lambda x: getattr(jnp.fft, name)(x, size, axis, norm),
        (x,),
    )
