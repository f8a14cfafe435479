"""Calls of the ops of linear algebra. Signs and phases that a decomposition leaves open are those of LAPACK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..numbers import Shape, numbers
from ..subject import kind_of
from .sample import Sample, Sampler

SQUARE: tuple[Shape, ...] = ((3, 3), (2, 3, 3), (1, 1), (0, 0), (0, 2, 2), (2, 1, 2, 2))
ANY: tuple[Shape, ...] = ((4, 3), (3, 4), (2, 4, 3), (1, 1), (0, 3), (3, 0), (0, 2, 3))


def _square(shape: Shape, dtype: np.dtype, seed: int = 0) -> np.ndarray:
    """Elements close to those of a diagonal with different ones: well-conditioned."""
    noise = numbers(shape, dtype, -0.4, 0.4, seed)
    return (noise + np.diag(np.arange(shape[-1]) + 2.0)).astype(dtype)


def _hermitian(shape: Shape, dtype: np.dtype) -> np.ndarray:
    x = _square(shape, dtype)
    return (x + np.conj(np.swapaxes(x, -1, -2))) / dtype.type(2)


def _turned(dtype: np.dtype) -> np.ndarray:
    """A matrix with zeros on the diagonal and a negative determinant."""
    return np.array([[0.0, 2.0], [3.0, 0.0]], dtype)


def _of_square(name: str, dtype: np.dtype) -> Iterator[Sample]:
    make = _hermitian if name in ("cholesky", "eigh", "eigvalsh") else _square
    for shape in SQUARE:
        yield Sample((make(shape, dtype),), {}, "derivative", shape == (2, 3, 3))
    if make is _square:
        ordered = name not in ("eig", "eigvals")  # two eigenvalues of one modulus: LAPACK's order of them is any
        yield Sample((_turned(dtype),), {}, "derivative", smooth=ordered)
    if name in ("det", "slogdet", "adjugate", "eigvalsh"):
        yield Sample((np.zeros((2, 2), dtype),), {}, "derivative", smooth=False)


def _attrs(name: str, shape: Shape) -> Iterator[dict[str, Any]]:
    if name == "qr":
        yield {"mode": "reduced"}
        if shape[-2] > shape[-1]:
            yield {"mode": "complete"}
    elif name == "svd":
        yield {"full_matrices": False}
        if shape[-2] != shape[-1]:
            yield {"full_matrices": True}
    else:
        yield {}


def _of_any(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shape in ANY:
        x = numbers(shape, dtype, -2, 2, 4)
        operands = (x, np.asarray(1e-3, x.real.dtype)) if name == "pinv" else (x,)
        for attrs in _attrs(name, shape):
            whole = attrs.get("mode") == "complete" or attrs.get("full_matrices", False)
            yield Sample(operands, attrs, "derivative", shape == (2, 4, 3), not whole)


def _solve(name: str, dtype: np.dtype) -> Iterator[Sample]:
    triangles = [{"upper": upper, "unit_diagonal": unit} for upper in (False, True) for unit in (False, True)]
    for one, two in (
        ((3, 3), (3, 2)),
        ((2, 3, 3), (2, 3, 2)),
        ((2, 1, 2, 2), (3, 2, 1)),
        ((1, 1), (1, 1)),
        ((0, 0), (0, 2)),
        ((2, 2), (2, 0)),
    ):
        operands = _square(one, dtype), numbers(two, dtype, -2, 2, 1)
        for attrs in triangles if name == "triangular_solve" else [{}]:
            yield Sample(operands, attrs, "derivative", one == (2, 3, 3))
    if name == "solve":
        yield Sample((_turned(dtype), numbers((2, 3), dtype, -2, 2, 1)), {}, "derivative")


def _expm(name: str, dtype: np.dtype) -> Iterator[Sample]:
    yield from _of_square(name, dtype)
    factor = 8j if kind_of(dtype) == "c" else 8
    yield Sample((np.stack([_square((2, 2), dtype), np.eye(2) * factor]).astype(dtype),), {}, "derivative")


SAMPLES: dict[str, Sampler] = {
    **dict.fromkeys(("cholesky", "inv", "det", "slogdet", "adjugate"), _of_square),
    **dict.fromkeys(("eigh", "eigvalsh", "eig", "eigvals"), _of_square),
    **dict.fromkeys(("qr", "svd", "svdvals", "pinv"), _of_any),
    **dict.fromkeys(("solve", "triangular_solve"), _solve),
    "expm": _expm,
}
