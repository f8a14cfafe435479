"""Ops on matrices and their derivatives: solving, inverses, determinants and decompositions. The last two axes hold a
matrix, those before them are a batch.

Where a decomposition leaves signs or phases open, derivatives are those of a function that does not depend on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Spec
from ..dtypes import C8, CODE, DTYPES, KIND, promote, real_code
from ..errors import LinAlgError, ShapeError
from ..op import Op, broadcast_shapes, conjugate, pad_rank, unbroadcast
from ..tensor import Tensor
from .common import batch_shape, cast, repeated, stop_gradient
from .creation import eye
from .elementwise import imag, real, where
from .indexing import tril, triu
from .movement import SLICE, concat, expand_dims, matrix_transpose, reshape
from .reduction import prod

MATRIX = "f4 f8 c8 c16"
"""The dtypes that LAPACK knows."""


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose."""
    return conjugate(matrix_transpose(x))


def hermitian(x: Tensor) -> Tensor:
    """The Hermitian part."""
    return x * 0.5 + adjoint(x) * 0.5


def column(x: Tensor) -> Tensor:
    """Vectors as columns: they scale rows."""
    return expand_dims(x, -1)


def row(x: Tensor) -> Tensor:
    """Vectors as rows: they scale columns."""
    return expand_dims(x, -2)


def scale(x: Tensor) -> Tensor:
    """Numbers as matrices of one element."""
    return row(column(x))


def on_diagonal(x: Tensor) -> Tensor:
    """A bool mask of the diagonal of square matrices."""
    return eye(x.shape[-1], dtype="bool", device=x.device)


def diagonal_view(x: Tensor, offset: int) -> Tensor:
    """A diagonal of matrices of shape (..., m, n): every (n + 1)th element of the flattened matrix; a view."""
    *batch, m, n = x.shape
    first, size = (offset, min(m, n - offset)) if offset >= 0 else (-offset * n, min(m + offset, n))
    start, size = (first, size) if size > 0 else (0, 0)
    flat = reshape(x, (*batch, m * n))
    return SLICE(flat, start=(*[0] * len(batch), start), size=(*batch, size), step=(*[1] * len(batch), n + 1))


def real_dtype(x: Any) -> np.dtype:
    """The dtype of norms and eigenvalues of Hermitian matrices."""
    return DTYPES[real_code(CODE[x.dtype])]


def complex_dtype(x: Any) -> np.dtype:
    """The complex dtype of the same precision."""
    return DTYPES[promote("complex", CODE[x.dtype], C8)]


def matrices(name: str, x: Any) -> tuple[int, ...]:
    """The shape of matrices; ShapeError for fewer than two axes."""
    if x.ndim < 2:
        raise ShapeError(f"{name}: shape {x.shape} is no matrix; it needs at least 2 axes, reshape it first")
    return tuple(x.shape)


def square(name: str, x: Any) -> tuple[int, ...]:
    """The shape of square matrices; ShapeError for others."""
    shape = matrices(name, x)
    if shape[-1] != shape[-2]:
        raise ShapeError(f"{name}: matrices of shape {shape} are not square; the last two axes must have one size")
    return shape


def filled(g: Tensor | None, y: Tensor) -> Tensor:
    """A cotangent, or zeros for None."""
    return y.zeros_like() if g is None else g


class _OneMatrix(Op):
    """An op of one matrix, over a batch the same op."""

    def batch(self, size: int, xs: Any, batched: Any, **attrs: Any) -> Any:
        return self(*xs, **attrs)


class _Square(_OneMatrix):
    """An op of one square matrix that gives one of its shape."""

    def spec(self, x: Any) -> Any:
        return Spec(square(self.name, x), x.dtype)


# -- solving


class _Solve(Op):
    """``a x = b``. An operand ``a`` that is triangular has attributes; its adjoint is the other triangle's."""

    def spec(self, a: Any, b: Any, **attrs: Any) -> Any:
        n = square(self.name, a)[-1]
        if b.ndim < 2 or b.shape[-2] != n:
            raise ShapeError(f"{self.name}: {a.shape} and {b.shape}: b must have {n} rows, as a has")
        return Spec((*batch_shape(self.name, a, b), *b.shape[-2:]), a.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        a, b = xs
        other = {**attrs, "upper": not attrs["upper"]} if attrs else {}
        gb = self(adjoint(a), g, **other)
        if not need[0]:
            return None, unbroadcast(gb, b.shape)
        ga = -(gb @ adjoint(y))
        if attrs:
            inside = int(attrs["unit_diagonal"])
            ga = triu(ga, k=inside) if attrs["upper"] else tril(ga, k=-inside)
        return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape) if need[1] else None

    def batch(self, size: int, xs: Any, batched: Any, **attrs: Any) -> Any:
        rank = max(x.ndim - m for x, m in zip(xs, batched, strict=True))
        return self(*[pad_rank(x, rank) if m else x for x, m in zip(xs, batched, strict=True)], **attrs)


SOLVE = _Solve("solve", dtypes=MATRIX, together="all", saves=(0,))
TRIANGULAR_SOLVE = _Solve("triangular_solve", dtypes=MATRIX, together="all", saves=(0,))


def solve_from_right(b: Tensor, a: Tensor, *, upper: bool) -> Tensor:
    """``b a^-H`` of a triangular ``a``."""
    return adjoint(TRIANGULAR_SOLVE(a, adjoint(b), upper=upper, unit_diagonal=False))


# -- inverses, determinants, powers


def _inv_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    back = adjoint(y)
    return (-(back @ g @ back),)


INV = _Square("inv", dtypes=MATRIX, saves=(), vjp=_inv_vjp)


class _Pinv(Op):
    """The Moore-Penrose inverse, without the singular values up to ``rtol`` (of the batch's shape) times the largest.
    Its derivative is that at constant rank (Golub and Pereyra, "The differentiation of pseudo-inverses", 1973).
    """

    def spec(self, x: Any, rtol: Any) -> Any:
        *batch, m, n = matrices("pinv", x)
        if broadcast_shapes("pinv", tuple(batch), rtol.shape) != tuple(batch):
            raise ShapeError(f"pinv: rtol of shape {rtol.shape} for matrices of shape {x.shape}; give one a matrix")
        return Spec((*batch, n, m), x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        x, back, turned = xs[0], adjoint(y), adjoint(g)
        left, right = turned @ y @ back, back @ y @ turned
        return left - x @ (y @ left) + right - (right @ y) @ x - back @ g @ back, None

    def batch(self, size: int, xs: Any, batched: Any) -> Any:
        x, rtol = repeated(size, xs[0], batched[0]), xs[1]
        return self(x, pad_rank(rtol, x.ndim - 3) if batched[1] else rtol)


PINV = _Pinv("pinv", dtypes=MATRIX, saves=(0,))


class _Adjugate(_Square):
    """The matrix of cofactors, transposed: ``det(x) inv(x)``, from singular values, so for singular matrices too."""

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        """In the bases of the singular vectors, where the matrix is diagonal: element (i, j) changes by minus the
        change of the matrix there times the product of all singular values but two, s_i and s_j; on the diagonal those
        of the others add up.
        """
        u, s, vh = SVD(xs[0], full_matrices=False)
        phase = scale(DET(u) * DET(vh))
        inner = conjugate(phase) * (vh @ g @ u)
        chosen = on_diagonal(inner)
        two = expand_dims(chosen, 1) | expand_dims(chosen, 0)
        others = where(chosen, 0, prod(where(two, 1, row(row(s))), axis=-1))
        sums = cast(others, g.dtype) @ column(diagonal_view(inner, 0))
        return (u @ where(chosen, sums, -(inner * others)) @ vh,)


ADJUGATE = _Adjugate("adjugate", dtypes=MATRIX, saves=(0,), save_output=False)


def adjugate(x: Tensor) -> Tensor:
    """``det(x) inv(x)``, which exists for singular matrices too.

    Well-conditioned matrices go that way, which can be differentiated any number of times; others by ``ADJUGATE``,
    exactly once. Each way is given the identity where it is not taken, so that it stays finite.
    """
    n = x.shape[-1]
    if n == 0:
        return x
    s = SVDVALS(stop_gradient(x))
    regular = row(s[..., -1:] > s[..., :1] * float(np.finfo(s.dtype).eps) ** 0.25)
    one = eye(n, dtype=x.dtype, device=x.device)
    inside = where(regular, x, one)
    return where(regular, scale(DET(inside)) * INV(inside), ADJUGATE(where(regular, one, x)))


class _Det(_OneMatrix):
    def spec(self, x: Any) -> Any:
        return Spec(square("det", x)[:-2], x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        """Jacobi's formula."""
        return (scale(g) * adjoint(adjugate(xs[0])),)


class _SLogDet(_OneMatrix):
    """Sign, or phase, of the determinant and logarithm of its absolute value."""

    def spec(self, x: Any) -> Any:
        batch = square("slogdet", x)[:-2]
        return Spec(batch, x.dtype), Spec(batch, real_dtype(x))

    def vjp(self, g: Any, y: Any, xs: Any, need: Any) -> Any:
        weight = filled(g[1], y[1])
        if g[0] is not None and KIND[g[0].dt] == "c":
            weight = weight + imag(conjugate(y[0]) * g[0]) * 1j
        return (scale(weight) * adjoint(INV(xs[0])),)


DET = _Det("det", dtypes=MATRIX, saves=(0,), save_output=False)
SLOGDET = _SLogDet("slogdet", dtypes=MATRIX, saves=(0,), save_output=(0, 1))


def _expm_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    """The derivative at x in direction e is the upper right block of the exponential of [[x, e], [0, x]]; its adjoint
    is that at the adjoint of x (Mathias, "A chain rule for matrix functions", 1996).
    """
    back, n = adjoint(xs[0]), g.shape[-1]
    upper, lower = concat([back, g], axis=-1), concat([back.zeros_like(), back], axis=-1)
    return (EXPM(concat([upper, lower], axis=-2))[..., :n, n:],)


EXPM = _Square("expm", dtypes=MATRIX, saves=(0,), save_output=False, vjp=_expm_vjp)


# -- decompositions


class _Cholesky(_Square):
    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        """Murray, "Differentiation of the Cholesky decomposition", 2016."""
        inner, back = adjoint(y) @ g, adjoint(y)
        half = where(on_diagonal(inner), inner * 0.5, tril(inner))
        half = TRIANGULAR_SOLVE(back, half, upper=True, unit_diagonal=False)
        return (hermitian(solve_from_right(half, back, upper=True)),)


class _QR(_OneMatrix):
    def spec(self, x: Any, *, mode: str) -> Any:
        *batch, m, n = matrices("qr", x)
        k = m if mode == "complete" else min(m, n)
        return Spec((*batch, m, k), x.dtype), Spec((*batch, k, n), x.dtype)

    def vjp(self, g: Any, y: Any, xs: Any, need: Any, *, mode: str) -> Any:
        """Roberts and Roberts, "QR and LQ decomposition matrix backpropagation algorithms for square, wide, and deep
        matrices and their software implementation", 2020: of a wide matrix, the square part has the factors, and
        the rest of ``r`` is a product with them.
        """
        (q, r), (gq, gr) = y, map(filled, g, y)
        k = min(xs[0].shape[-2:])
        if mode == "complete":
            what = f"the columns of q beyond {k}, of matrices of shape {xs[0].shape}, are one choice of many"
            raise LinAlgError(f"qr: mode='complete' has no derivative, since {what}; use mode='reduced'")
        if r.shape[-1] > k:
            gq = gq + q @ r[..., k:] @ adjoint(gr[..., k:])
        left = r[..., :k]
        inner = gr[..., :k] @ adjoint(left) - adjoint(q) @ gq
        upper = triu(inner, k=1)
        middle = where(on_diagonal(inner), real(inner), upper + adjoint(upper))
        gx = solve_from_right(gq + q @ middle, left, upper=True)
        return (concat([gx, q @ gr[..., k:]], axis=-1) if r.shape[-1] > k else gx,)


class _Eigh(_OneMatrix):
    """Eigenvalues in ascending order and eigenvectors, of the lower triangle of a Hermitian matrix."""

    def spec(self, x: Any) -> Any:
        shape = square("eigh", x)
        return Spec(shape[:-1], real_dtype(x)), Spec(shape, x.dtype)

    def vjp(self, g: Any, y: Any, xs: Any, need: Any) -> Any:
        (w, v), (gw, gv) = y, g
        if gv is None:
            return (hermitian((v * row(gw)) @ adjoint(v)),)
        inner = adjoint(v) @ gv
        chosen = on_diagonal(inner)
        inner = where(chosen, column(filled(gw, w)), inner / where(chosen, 1, row(w) - column(w)))
        return (hermitian(v @ inner @ adjoint(v)),)


class _Values(_OneMatrix):
    """Eigenvalues or singular values alone. Their derivative needs the vectors, but no differences of the values, so
    it is finite for equal ones.
    """

    def spec(self, x: Any) -> Any:
        shape = (matrices if self.name == "svdvals" else square)(self.name, x)
        dtype = complex_dtype(x) if self.name == "eigvals" else real_dtype(x)
        return Spec((*shape[:-2], min(shape[-2:])), dtype)


def _eigvalsh_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    v = EIGH(xs[0])[1]
    return (hermitian((v * row(g)) @ adjoint(v)),)


def _eigvals_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    back = adjoint(EIG(xs[0])[1])
    return (SOLVE(back, column(g) * back),)


def _svdvals_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    u, _, vh = SVD(xs[0], full_matrices=False)
    return ((u * row(g)) @ vh,)


class _Eig(_OneMatrix):
    """Eigenvalues and eigenvectors of length 1, both complex."""

    def spec(self, x: Any) -> Any:
        shape, dtype = square("eig", x), complex_dtype(x)
        return Spec(shape[:-1], dtype), Spec(shape, dtype)

    def vjp(self, g: Any, y: Any, xs: Any, need: Any) -> Any:
        """Boeddeker et al., "On the computation of complex-valued gradients with application to statistically optimum
        beamforming", 2017. The part of a change along the vector itself keeps its length.
        """
        (w, v), gw = y, filled(g[0], y[0])
        back = adjoint(v)
        if g[1] is None:
            return (SOLVE(back, column(gw) * back),)
        inner = back @ g[1]
        inner = inner - (back @ v) * row(real(diagonal_view(inner, 0)))
        chosen = on_diagonal(inner)
        inner = where(chosen, column(gw), inner / where(chosen, 1, conjugate(row(w) - column(w))))
        return (SOLVE(back, inner @ back),)


class _SVD(_OneMatrix):
    """Singular values in descending order between their vectors: ``u``, ``s``, ``vh``."""

    def spec(self, x: Any, *, full_matrices: bool) -> Any:
        *batch, m, n = matrices("svd", x)
        k = min(m, n)
        rows, columns = (m, n) if full_matrices else (k, k)
        return Spec((*batch, m, rows), x.dtype), Spec((*batch, k), real_dtype(x)), Spec((*batch, columns, n), x.dtype)

    def vjp(self, g: Any, y: Any, xs: Any, need: Any, *, full_matrices: bool) -> Any:
        """Wan and Zhang, "Automatic differentiation for complex valued SVD", 2019. A common phase of both vectors is
        free: the difference of their own changes has a half each.
        """
        (u, s, vh), (gu, gs, gvh) = y, map(filled, g, y)
        k = s.shape[-1]
        if full_matrices:
            what = f"the vectors beyond {k}, of matrices of shape {xs[0].shape}, are one choice of many"
            raise LinAlgError(f"svd: full_matrices=True has no derivative, since {what}; use full_matrices=False")
        if g[0] is None and g[2] is None:
            return ((u * row(gs)) @ vh,)
        gv = adjoint(gvh)
        of_u, of_v = adjoint(u) @ gu, vh @ gv
        chosen = on_diagonal(of_u)
        gap = where(chosen, 1, (row(s) - column(s)) * (row(s) + column(s)))
        inner = ((of_u - adjoint(of_u)) * row(s) + column(s) * (of_v - adjoint(of_v))) / gap
        values = column(gs)
        if KIND[u.dt] == "c":
            values = values + imag(of_u - of_v) / (2 * column(s)) * 1j
        gx = u @ where(chosen, values, inner) @ vh
        if u.shape[-2] > k:
            gx = gx + ((gu - u @ of_u) / row(s)) @ vh
        if vh.shape[-1] > k:
            gx = gx + (u / row(s)) @ (gvh - adjoint(of_v) @ vh)
        return (gx,)


CHOLESKY = _Cholesky("cholesky", dtypes=MATRIX, saves=())
QR = _QR("qr", dtypes=MATRIX, saves=())
EIGH = _Eigh("eigh", dtypes=MATRIX, saves=())
EIGVALSH = _Values("eigvalsh", dtypes=MATRIX, saves=(0,), save_output=False, vjp=_eigvalsh_vjp)
EIG = _Eig("eig", dtypes=MATRIX, saves=())
EIGVALS = _Values("eigvals", dtypes=MATRIX, saves=(0,), save_output=False, vjp=_eigvals_vjp)
SVD = _SVD("svd", dtypes=MATRIX, saves=())
SVDVALS = _Values("svdvals", dtypes=MATRIX, saves=(0,), save_output=False, vjp=_svdvals_vjp)
