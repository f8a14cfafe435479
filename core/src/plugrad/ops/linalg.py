"""Linear algebra: the functions of ``plugrad.linalg``. Matrices lie in the last two axes, those before are a batch;
operands are float32, float64, complex64 or complex128.

>>> solve(asarray([[2.0, 0.0], [0.0, 4.0]]), asarray([1.0, 2.0])).tolist()
[0.5, 0.5]
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import bind
from ..dtypes import BF2, DTYPES, F2, KIND, float32, int64, real_code
from ..errors import DTypeError, ShapeError, shown
from ..op import conjugate
from ..tensor import Tensor
from . import decompositions as rules
from .common import Axis, cast, normal_axes, reduced_shape, tensors
from .contraction import matmul, outer, tensordot, vecdot
from .creation import eye
from .elementwise import abs, real, where
from .movement import broadcast_arrays, broadcast_to, copy, matrix_transpose, moveaxis, reshape, squeeze, stack
from .reduction import max, min, sum

# fmt: off
__all__ = [
    "EigResult", "EighResult", "QRResult", "SVDResult", "SlogdetResult", "cholesky", "cross", "det", "diagonal", "eig",
    "eigh", "eigvals", "eigvalsh", "expm", "inv", "kron", "matmul", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals", "tensordot",
    "trace", "vecdot", "vector_norm"
]
# fmt: on


class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangle."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """Sign, or phase, of determinants, and logarithms of their absolute values."""

    sign: Tensor
    logabsdet: Tensor


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, real, and orthonormal eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class EigResult(NamedTuple):
    """Eigenvalues in no order and eigenvectors as columns of length 1, complex."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """Left singular vectors as columns, singular values in descending order, right ones as conjugated rows."""

    U: Tensor
    S: Tensor
    Vh: Tensor


# -- parts and products


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonal of matrices that lies ``offset`` above the main one, (..., m, n) -> (..., k); a view.

    >>> diagonal(asarray([[1, 2], [3, 4]]), offset=1).tolist()
    [2]
    """
    (x,) = tensors(x)
    rules.matrices("diagonal", x)
    return rules.diagonal_view(x, offset)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """Sum of a diagonal; small integers are summed in 64 bits.

    >>> trace(asarray([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """Cross products of vectors of three elements along ``axis``; the other axes broadcast.

    >>> cross(asarray([1.0, 0.0, 0.0]), asarray([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    a, b = tensors(x1, x2)
    sizes = [x.shape[normal_axes("cross", x.ndim, axis)[0]] for x in (a, b)]
    if sizes != [3, 3] or (axis >= 0 and a.ndim != b.ndim):
        rule = "it must have 3 elements in both, and count from the end for different numbers of axes"
        raise ShapeError(f"cross: axis {axis} of shapes {a.shape} and {b.shape}; {rule}")
    a, b = [moveaxis(x, axis, -1) for x in broadcast_arrays(a, b)]
    (a0, a1, a2), (b0, b1, b2) = [[x[..., i] for i in range(3)] for x in (a, b)]
    return stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=axis)


def kron(x1: Any, x2: Any, /) -> Tensor:
    """Kronecker product: blocks of ``x2``, each times an element of ``x1``. As in NumPy, of all axes.

    >>> kron(asarray([1, 10]), asarray([1, 2])).tolist()
    [1, 2, 10, 20]
    """
    a, b = tensors(x1, x2)
    rank = a.ndim if a.ndim > b.ndim else b.ndim
    one, two = [(*(1,) * (rank - x.ndim), *x.shape) for x in (a, b)]
    left = reshape(a, tuple([size for d in one for size in (d, 1)]))
    right = reshape(b, tuple([size for d in two for size in (1, d)]))
    return reshape(left * right, tuple([d * e for d, e in zip(one, two, strict=True)]))


def matrix_power(x: Any, n: int, /) -> Tensor:
    """The product of ``n`` copies of square matrices, by repeated squaring; of their inverses for negative ``n``.

    >>> matrix_power(asarray([[1.0, 1.0], [0.0, 1.0]]), 5).tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """
    (x,) = tensors(x)
    shape, n = rules.square("matrix_power", x), operator.index(n)
    if n == 0:
        return copy(broadcast_to(eye(shape[-1], dtype=x.dtype, device=x.device), shape))
    if n < 0:
        return matrix_power(inv(x), -n)
    half = matrix_power(x, n // 2) if n > 1 else None
    return +x if half is None else half @ half @ x if n % 2 else half @ half


def expm(x: Any, /) -> Tensor:
    """Exponential of square matrices, computed in double precision.

    >>> expm(asarray([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return bind(rules.EXPM, (x,), {})


# -- solving, inverses, determinants


def _solved(name: str, op: Any, x1: Any, x2: Any, **attrs: Any) -> Tensor:
    """A right-hand side of one axis is a vector, for every matrix of a batch."""
    a, b = tensors(x1, x2)
    if b.ndim == 1:
        return squeeze(bind(op, (a, reshape(b, (b.shape[0], 1))), attrs), -1)
    return bind(op, (a, b), attrs)


def solve(x1: Any, x2: Any, /) -> Tensor:
    """``x`` with ``x1 @ x = x2``: (..., n, n), (..., n, k) -> (..., n, k), where the axes in front broadcast; a vector
    (n,) gives (..., n). A singular matrix raises LinAlgError.

    >>> solve(asarray([[1.0, 1.0], [0.0, 2.0]]), asarray([3.0, 4.0])).tolist()
    [1.0, 2.0]
    """
    return _solved("solve", rules.SOLVE, x1, x2)


def solve_triangular(x1: Any, x2: Any, /, *, upper: bool = False, unit_diagonal: bool = False) -> Tensor:
    """As ``solve`` for a triangular ``x1``: the other triangle is not read, nor the diagonal with ``unit_diagonal``,
    which takes ones.

    >>> solve_triangular(asarray([[2.0, 7.0], [1.0, 1.0]]), asarray([2.0, 3.0])).tolist()
    [1.0, 2.0]
    """
    attrs = {"upper": bool(upper), "unit_diagonal": bool(unit_diagonal)}
    return _solved("solve_triangular", rules.TRIANGULAR_SOLVE, x1, x2, **attrs)


def inv(x: Any, /) -> Tensor:
    """Inverse of square matrices; a singular one raises LinAlgError.

    >>> inv(asarray([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return bind(rules.INV, (x,), {})


def _tolerance(name: str, x: Tensor, rtol: Any) -> Tensor:
    """What counts as zero beside the largest singular value: by default the larger size times the machine epsilon."""
    m, n = rules.matrices(name, x)[-2:]
    if rtol is None:
        rtol = (m if m > n else n) * float(np.finfo(x.dtype).eps)
    return cast(Tensor._convert(rtol, device=x.device), rules.real_dtype(x))


def _factored(name: str, x: Any) -> Tensor:
    """A matrix of a dtype that has singular values."""
    (x,) = tensors(x)
    if x.dt not in rules.SVDVALS.codes:
        raise DTypeError(f"{name}: not defined for {x.dtype}; cast with .astype() to float32 or float64")
    return x


def pinv(x: Any, /, *, rtol: Any = None) -> Tensor:
    """Moore-Penrose inverse, (..., m, n) -> (..., n, m). Singular values up to ``rtol`` times the largest count as
    zero; by default max(m, n) times the machine epsilon. The derivative is that at constant rank.

    >>> pinv(asarray([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    x = _factored("pinv", x)
    return bind(rules.PINV, (x, _tolerance("pinv", x, rtol)), {})


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Tensor:
    """Number of singular values above ``rtol`` times the largest, int64; by default as in ``pinv``.

    >>> matrix_rank(asarray([[1.0, 2.0], [2.0, 4.0]])).item()
    1
    """
    x = _factored("matrix_rank", x)
    bound, s = _tolerance("matrix_rank", x, rtol), svdvals(x)
    if s.shape[-1] == 0:
        return sum(s, axis=-1, dtype=int64)
    return sum(s > max(s, axis=-1, keepdims=True) * rules.column(bound), axis=-1)


def det(x: Any, /) -> Tensor:
    """Determinant of square matrices. First and second derivatives are finite and right for singular matrices too;
    higher ones where the singular values of such a matrix differ.

    >>> det(asarray([[2.0, 5.0], [0.0, 3.0]])).item()
    6.0
    """
    return bind(rules.DET, (x,), {})


def slogdet(x: Any, /) -> SlogdetResult:
    """Sign (phase, for complex matrices) of the determinant and logarithm of its absolute value: 0 and -inf for a
    singular matrix, whose derivative raises LinAlgError.

    >>> [t.item() for t in slogdet(asarray([[-1.0, 0.0], [0.0, 1.0]]))]
    [-1.0, 0.0]
    """
    return SlogdetResult(*bind(rules.SLOGDET, (x,), {}))


# -- decompositions


def _hermitian(name: str, x: Any) -> Tensor:
    """The Hermitian part of square matrices: functions of it have derivatives in every direction."""
    x = _factored(name, x)
    rules.square(name, x)
    return rules.hermitian(x)


def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """The lower triangular ``L`` with ``x = L @ L^H``, or with ``upper`` its adjoint, of the Hermitian part of ``x``.
    One that is not positive definite raises LinAlgError.

    >>> cholesky(asarray([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    found = bind(rules.CHOLESKY, (_hermitian("cholesky", x),), {})
    return rules.adjoint(found) if upper else found


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """``x = Q @ R`` with orthonormal columns and an upper triangle: (..., m, n) -> (..., m, k), (..., k, n) with
    k = min(m, n), or m for ``mode="complete"``, which has no derivative for m > n.

    The derivative needs the first k columns of ``x`` to be independent.

    >>> q, r = qr(asarray([[3.0, 1.0], [4.0, 2.0]]))
    >>> (q @ r).numpy().round(5).tolist()
    [[3.0, 1.0], [4.0, 2.0]]
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode {shown(mode)} is unknown; use 'reduced' or 'complete'")
    x = _factored("qr", x)
    m, n = rules.matrices("qr", x)[-2:]
    return QRResult(*bind(rules.QR, (x,), {"mode": mode if m > n else "reduced"}))


def eigh(x: Any, /) -> EighResult:
    """Eigenvalues and eigenvectors of the Hermitian part of ``x``.

    The derivative of eigenvectors holds for what does not depend on their signs or phases, and is infinite or NaN where
    eigenvalues are equal. For functions of the eigenvalues alone use ``eigvalsh``.

    >>> eigh(asarray([[3.0, 0.0], [0.0, 2.0]])).eigenvalues.tolist()
    [2.0, 3.0]
    """
    return EighResult(*bind(rules.EIGH, (_hermitian("eigh", x),), {}))


def eigvalsh(x: Any, /) -> Tensor:
    """Eigenvalues of the Hermitian part of ``x``, ascending. Their derivative is finite for equal ones too.

    >>> eigvalsh(asarray([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [-1.0, 1.0]
    """
    return bind(rules.EIGVALSH, (_hermitian("eigvalsh", x),), {})


def eig(x: Any, /) -> EigResult:
    """Eigenvalues and eigenvectors of square matrices, complex. The derivative holds for what does not depend on the
    vectors' phases, and needs different eigenvalues.

    >>> eig(asarray([[2.0, 0.0], [0.0, 3.0]])).eigenvalues.tolist()
    [(2+0j), (3+0j)]
    """
    return EigResult(*bind(rules.EIG, (x,), {}))


def eigvals(x: Any, /) -> Tensor:
    """Eigenvalues of square matrices, complex, in no order. The derivative needs independent eigenvectors.

    >>> eigvals(asarray([[0.0, -1.0], [1.0, 0.0]])).tolist()
    [1j, -1j]
    """
    return bind(rules.EIGVALS, (x,), {})


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """``x = U @ diag(S) @ Vh``: (..., m, n) -> (..., m, m), (..., k), (..., n, n) with k = min(m, n); without
    ``full_matrices`` (..., m, k), (..., k), (..., k, n).

    ``full_matrices`` has no derivative unless m = n. That of the vectors holds for what does not depend on their signs
    or phases, and is infinite or NaN where singular values are equal or 0. For functions of the values alone use
    ``svdvals``.

    >>> u, s, vh = svd(asarray([[0.0, 2.0], [1.0, 0.0]]))
    >>> s.tolist(), (u * s @ vh).numpy().round(5).tolist()
    ([2.0, 1.0], [[0.0, 2.0], [1.0, 0.0]])
    """
    x = _factored("svd", x)
    m, n = rules.matrices("svd", x)[-2:]
    return SVDResult(*bind(rules.SVD, (x,), {"full_matrices": bool(full_matrices) and m != n}))


def svdvals(x: Any, /) -> Tensor:
    """Singular values, descending: (..., m, n) -> (..., min(m, n)). Their derivative is finite for equal ones too.

    >>> svdvals(asarray([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [2.0, 1.0]
    """
    return bind(rules.SVDVALS, (x,), {})


# -- norms


def _floating(name: str, x: Any) -> Tensor:
    """What a norm is computed in: float32 at least."""
    (x,) = tensors(x)
    if KIND[x.dt] not in "fc":
        raise DTypeError(f"{name}: not defined for {x.dtype}; cast with .astype('float32')")
    return cast(x, float32) if x.dt in (F2, BF2) else x


def _power(x: Tensor, p: float) -> Tensor:
    """x ** p of what is not negative, with the derivative 0 where x is 0."""
    zero = x == 0
    return where(zero, 0.0 if p > 0 else math.inf, where(zero, 1.0, x) ** p)


def _norm(x: Tensor, axes: tuple[int, ...], keepdims: bool, ord: float) -> Tensor:
    attrs: dict[str, Any] = {"axis": axes, "keepdims": keepdims}
    if ord == 2:
        return _power(sum(real(x * conjugate(x)), **attrs), 0.5)
    size = abs(x)
    if ord == 0:
        return cast(sum(size != 0, **attrs), size.dtype)
    if math.isinf(ord):
        return (max if ord > 0 else min)(size, **attrs)
    return sum(size, **attrs) if ord == 1 else _power(sum(_power(size, ord), **attrs), 1 / ord)


def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """``sum(abs(x) ** ord) ** (1 / ord)`` over axes (all by default), of floating dtypes; for ``ord`` inf and -inf the
    largest and the smallest absolute value, for 0 the number of elements other than 0.

    The derivative at a vector of zeros is 0. Low-precision floats compute in float32.

    >>> vector_norm(asarray([3.0, 4.0])).item()
    5.0
    """
    wide, (x,) = _floating("vector_norm", x), tensors(x)
    axes = normal_axes("vector_norm", x.ndim, axis)
    return cast(_norm(wide, axes, keepdims, ord), DTYPES[real_code(x.dt)])


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: float | str = "fro") -> Tensor:
    """Norm of matrices, of floating dtypes: ``"fro"``, the root of the sum of squares; ``"nuc"``, the sum of the
    singular values; 2 and -2, the largest and the smallest of them; 1 and -1, of the columns' sums of absolute values;
    inf and -inf, of the rows'.

    The derivative at a matrix of zeros is 0; equal extrema share it.

    >>> x = asarray([[3.0, 0.0], [4.0, 0.0]])
    >>> matrix_norm(x).item(), matrix_norm(x, ord=1).item(), matrix_norm(x, ord=float("inf")).item()
    (5.0, 7.0, 4.0)
    """
    wide, (x,) = _floating("matrix_norm", x), tensors(x)
    shape = rules.matrices("matrix_norm", x)
    rows, columns = x.ndim - 2, x.ndim - 1
    if ord in ("nuc", 2, -2):
        s = abs(svdvals(wide))  # the derivative of abs at 0 is 0
        found = sum(s, axis=-1) if ord == "nuc" else (max if ord == 2 else min)(s, axis=-1)
    elif ord == "fro":
        found = _norm(wide, (rows, columns), False, 2)
    elif ord in (1, -1, math.inf, -math.inf):
        inner = rows if ord in (1, -1) else columns
        sums = sum(abs(wide), axis=inner, keepdims=True)
        found = (max if ord in (1, math.inf) else min)(sums, axis=(rows, columns))
    else:
        raise ValueError(f"matrix_norm: ord {shown(ord)} is unknown; use 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
    out = cast(found, DTYPES[real_code(x.dt)])
    return reshape(out, reduced_shape(shape, (rows, columns), True)) if keepdims else out
