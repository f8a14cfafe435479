"""Linear algebra by LAPACK as NumPy calls it. Kernels take matrices in the last two axes and any axes before them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import LinAlgError
from .reduction import silent


def _named(name: str, remedy: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel whose errors name the op and the remedy; arrays, also where NumPy gives scalars or named tuples."""

    @silent
    @functools.wraps(f)
    def kernel(*values: Any, **attrs: Any) -> Any:
        try:
            found = f(*values, **attrs)
        except np.linalg.LinAlgError as error:
            words = str(error)
            words = words if words[1:2].isupper() else words[:1].lower() + words[1:]  # "SVD did not converge"
            raise LinAlgError(f"{name}: {words}; {remedy}") from error
        return tuple(map(np.asarray, found)) if isinstance(found, tuple) else np.asarray(found)

    return kernel


def _adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


def _triangular_solve(a: Any, b: Any, *, upper: bool, unit_diagonal: bool) -> Any:
    """Substitution: LU leaves an upper triangular matrix as it is. A lower one is turned round."""
    if not upper:
        turned = _triangular_solve(a[..., ::-1, ::-1], b[..., ::-1, :], upper=True, unit_diagonal=unit_diagonal)
        return turned[..., ::-1, :].copy()
    ones = np.eye(a.shape[-1], dtype=a.dtype)
    return np.linalg.solve(np.triu(a, 1) + ones if unit_diagonal else np.triu(a), b)


def _adjugate(x: Any) -> Any:
    """From u s vh: the adjugate of a product is that of its factors the other way round, of a unitary matrix its
    adjoint times its determinant, of a diagonal one the products of all others.
    """
    u, s, vh = np.linalg.svd(x)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(-1)
    phase = np.linalg.det(u) * np.linalg.det(vh)
    return ((phase[..., None] * others)[..., None, :] * _adjoint(vh)) @ _adjoint(u)


def _complex(x: Any) -> Any:
    return x.astype(np.result_type(x, np.complex64), copy=False)


_PADE = (
    *(64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0),
    *(10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0),
)
"""Coefficients of the [13/13] Pade approximant of the exponential."""
_RADIUS = 5.371920351148152
"""The norm up to which it is exact to double precision."""


def _expm(x: Any) -> Any:
    """Scaling and squaring, in double precision (Higham, "The scaling and squaring method for the matrix exponential
    revisited", 2005).
    """
    a = x.astype(np.result_type(x, np.float64))
    norm = np.abs(a).sum(-2).max(-1, initial=0)
    norm = np.where(np.isfinite(norm), norm, 0)
    times = np.ceil(np.log2(np.maximum(norm / _RADIUS, 1)))
    a = a * np.exp2(-times)[..., None, None]
    b, one = _PADE, np.eye(a.shape[-1], dtype=a.dtype)
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a2 @ a4
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    y = np.linalg.solve(even - odd, even + odd)
    for k in range(int(times.max(initial=0))):
        y = np.where((k < times)[..., None, None], y @ y, y)
    return y.astype(x.dtype)


_SINGULAR = "add a multiple of the identity, or use pinv"
_FINITE = "look for NaN and infinity in the operand"
KERNELS: dict[str, Any] = {
    "cholesky": _named(
        "cholesky", "its eigenvalues must be above 0, add a multiple of the identity", np.linalg.cholesky
    ),
    "triangular_solve": _named("triangular_solve", "the diagonal must not hold zeros", _triangular_solve),
    "solve": _named("solve", _SINGULAR, np.linalg.solve),
    "inv": _named("inv", _SINGULAR, np.linalg.inv),
    "pinv": _named("pinv", _FINITE, lambda x, rtol: np.linalg.pinv(x, rtol)),
    "det": _named("det", _FINITE, np.linalg.det),
    "slogdet": _named("slogdet", _FINITE, np.linalg.slogdet),
    "adjugate": _named("adjugate", _FINITE, _adjugate),
    "qr": _named("qr", _FINITE, np.linalg.qr),
    "eigh": _named("eigh", _FINITE, np.linalg.eigh),
    "eigvalsh": _named("eigvalsh", _FINITE, np.linalg.eigvalsh),
    "eig": _named("eig", _FINITE, lambda x: tuple(map(_complex, np.linalg.eig(x)))),
    "eigvals": _named("eigvals", _FINITE, lambda x: _complex(np.linalg.eigvals(x))),
    "svd": _named("svd", _FINITE, np.linalg.svd),
    "svdvals": _named("svdvals", _FINITE, np.linalg.svdvals),
    "expm": _named("expm", _FINITE, _expm),
}
