"""The rows of plugrad.linalg and plugrad.fft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rows import A, B, CUBE, FULL, P, ROW, SQUARE, W, Z, Row, named, numbers, transform

import plugrad as pg

TL, JL, PL = torch.linalg, jnp.linalg, pg.linalg
INF = float("inf")
FULL_Z = FULL + 1j * numbers(4, 4, seed=10)
BATCH = numbers(2, 3, 3, seed=11) + 3 * np.eye(3)
POSITIVE, POSITIVE_Z = FULL @ FULL.T, FULL_Z @ FULL_Z.conj().T
TALL, TALL_Z = numbers(5, 3, seed=12), numbers(5, 3, seed=12) + 1j * numbers(5, 3, seed=13)
RANKS = ((np.zeros((3, 3)),), (np.diag([1.0, 2.0, 0.0]),), (np.diag([1.0, 0.0, 0.0]),), (np.zeros((0, 0)),))
"""Matrices of all ranks."""
EQUAL = ((np.eye(3),), (np.diag([1.0, 1.0, 2.0]),))
NORMS = ((np.zeros((2, 3)),), (np.array([[1.0, -1.0], [-1.0, 1.0]]),))


def hermitian(call: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch's function of the Hermitian part: it reads one triangle."""
    return lambda x: call((x + x.mH) / 2)


def sizes(xp: Any, x: Any) -> Any:
    """Squares of absolute values: without the phases, which are arbitrary."""
    return xp.real(x * xp.conj(x))


def projected(xp: Any, vectors: Any, values: Any) -> Any:
    """A function of eigenvectors and eigenvalues that does not depend on phases."""
    return sizes(xp, vectors) * values


def right(xp: Any, found: Any) -> Any:
    """The same of right singular vectors."""
    return projected(xp, found[2].mT, found[1])


# fmt: off
LINALG: dict[str, Row] = {
    "linalg.cholesky": Row(PL.cholesky, hermitian(TL.cholesky), JL.cholesky, (POSITIVE,), ((np.eye(2),), (np.zeros((0, 0)),))),
    "linalg.cholesky complex": Row(PL.cholesky, hermitian(TL.cholesky), JL.cholesky, (POSITIVE_Z,)),
    "linalg.cholesky upper": Row(lambda x: PL.cholesky(x, upper=True), hermitian(lambda x: TL.cholesky(x, upper=True)), lambda x: JL.cholesky(x, upper=True), (POSITIVE_Z,)),
    "linalg.cross": Row(PL.cross, lambda x, y: TL.cross(*torch.broadcast_tensors(x, y)), jnp.cross, (numbers(2, 3), numbers(3, seed=1))),
    "linalg.cross complex": Row(lambda x, y: PL.cross(x, y, axis=0), lambda x, y: TL.cross(x, y, dim=0), lambda x, y: jnp.cross(x, y, axis=0), (Z, W)),
    "linalg.det": named("linalg", "det", BATCH, corners=RANKS),
    "linalg.det complex": named("linalg", "det", FULL_Z),
    "linalg.diagonal": Row(lambda x: PL.diagonal(x, offset=1), lambda x: TL.diagonal(x, offset=1), lambda x: jnp.diagonal(x, 1, -2, -1), (CUBE,)),
    "linalg.eig": Row(lambda x: projected(pg, *PL.eig(x)[::-1]), lambda x: projected(torch, *TL.eig(x)[::-1]), lambda x: projected(jnp, *JL.eig(x)[::-1]), (SQUARE,)),
    "linalg.eig complex": Row(lambda x: projected(pg, *PL.eig(x)[::-1]), lambda x: projected(torch, *TL.eig(x)[::-1]), lambda x: projected(jnp, *JL.eig(x)[::-1]), (FULL_Z,)),
    "linalg.eigvals": named("linalg", "eigvals", SQUARE),
    "linalg.eigvals complex": named("linalg", "eigvals", FULL_Z),
    "linalg.eigh": Row(lambda x: projected(pg, *PL.eigh(x)[::-1]), hermitian(lambda x: projected(torch, *TL.eigh(x)[::-1])), lambda x: projected(jnp, *JL.eigh(x)[::-1]), (SQUARE,)),
    "linalg.eigh complex": Row(lambda x: projected(pg, *PL.eigh(x)[::-1]), hermitian(lambda x: projected(torch, *TL.eigh(x)[::-1])), lambda x: projected(jnp, *JL.eigh(x)[::-1]), (FULL_Z,)),
    "linalg.eigvalsh": Row(PL.eigvalsh, hermitian(TL.eigvalsh), JL.eigvalsh, (SQUARE,), EQUAL),
    "linalg.eigvalsh complex": Row(PL.eigvalsh, hermitian(TL.eigvalsh), JL.eigvalsh, (FULL_Z,)),
    "linalg.expm": Row(PL.expm, TL.matrix_exp, jax.scipy.linalg.expm, (BATCH,), ((np.zeros((2, 2)),), (np.array([[0.0, 1.0], [0.0, 0.0]]),))),
    "linalg.expm complex": Row(PL.expm, TL.matrix_exp, jax.scipy.linalg.expm, (FULL_Z,)),
    "linalg.expm large": Row(PL.expm, TL.matrix_exp, jax.scipy.linalg.expm, (SQUARE * 5,), tolerance=1e-9),
    "linalg.inv": named("linalg", "inv", BATCH),
    "linalg.inv complex": named("linalg", "inv", FULL_Z),
    "linalg.kron": Row(PL.kron, torch.kron, jnp.kron, (A, numbers(2, 3))),
    "linalg.kron complex": Row(PL.kron, torch.kron, jnp.kron, (Z, W)),
    "linalg.matmul": named("linalg", "matmul", CUBE, SQUARE),
    "linalg.matrix_norm": named("linalg", "matrix_norm", CUBE, corners=NORMS),
    "linalg.matrix_norm complex": named("linalg", "matrix_norm", Z),
    "linalg.matrix_norm nuc": Row(lambda x: PL.matrix_norm(x, ord="nuc"), lambda x: TL.matrix_norm(x, "nuc"), lambda x: JL.matrix_norm(x, ord="nuc"), (TALL_Z,), NORMS),
    "linalg.matrix_norm 2": Row(lambda x: PL.matrix_norm(x, ord=2), lambda x: TL.matrix_norm(x, 2), lambda x: JL.matrix_norm(x, ord=2), (CUBE,), NORMS),
    "linalg.matrix_norm -2": Row(lambda x: PL.matrix_norm(x, ord=-2), lambda x: TL.matrix_norm(x, -2), lambda x: JL.matrix_norm(x, ord=-2), (A,), NORMS),
    "linalg.matrix_norm 1": Row(lambda x: PL.matrix_norm(x, ord=1), lambda x: TL.matrix_norm(x, 1), lambda x: JL.matrix_norm(x, ord=1), (CUBE,), NORMS),
    "linalg.matrix_norm -1": Row(lambda x: PL.matrix_norm(x, ord=-1), lambda x: TL.matrix_norm(x, -1), lambda x: JL.matrix_norm(x, ord=-1), (Z,)),
    "linalg.matrix_norm inf": Row(lambda x: PL.matrix_norm(x, ord=INF), lambda x: TL.matrix_norm(x, INF), lambda x: JL.matrix_norm(x, ord=INF), (A,), NORMS),
    "linalg.matrix_norm -inf": Row(lambda x: PL.matrix_norm(x, ord=-INF), lambda x: TL.matrix_norm(x, -INF), lambda x: JL.matrix_norm(x, ord=-INF), (CUBE,)),
    "linalg.matrix_power": Row(lambda x: PL.matrix_power(x, 5), lambda x: TL.matrix_power(x, 5), lambda x: JL.matrix_power(x, 5), (SQUARE,), ((np.zeros((2, 2)),),)),
    "linalg.matrix_power -3": Row(lambda x: PL.matrix_power(x, -3), lambda x: TL.matrix_power(x, -3), lambda x: JL.matrix_power(x, -3), (FULL_Z,)),
    "linalg.matrix_power 0": Row(lambda x: PL.matrix_power(x, 0), lambda x: TL.matrix_power(x, 0), lambda x: JL.matrix_power(x, 0), (SQUARE,)),
    "linalg.matrix_transpose": Row(PL.matrix_transpose, lambda x: x.mT, JL.matrix_transpose, (CUBE,)),
    "linalg.outer": Row(PL.outer, torch.outer, JL.outer, (ROW, P[0])),
    "linalg.pinv": named("linalg", "pinv", TALL),
    "linalg.pinv complex": named("linalg", "pinv", TALL_Z.T),
    "linalg.qr Q": Row(lambda x: PL.qr(x).Q, lambda x: TL.qr(x).Q, lambda x: JL.qr(x).Q, (TALL,)),
    "linalg.qr R": Row(lambda x: PL.qr(x).R, lambda x: TL.qr(x).R, lambda x: JL.qr(x).R, (BATCH,)),
    "linalg.qr complex": Row(lambda x: sizes(pg, PL.qr(x).Q) @ sizes(pg, PL.qr(x).R), lambda x: sizes(torch, TL.qr(x).Q) @ sizes(torch, TL.qr(x).R), lambda x: sizes(jnp, JL.qr(x).Q) @ sizes(jnp, JL.qr(x).R), (TALL_Z,)),
    "linalg.qr wide": Row(lambda x: PL.qr(x).R, lambda x: TL.qr(x).R, None, (TALL.T,)),
    "linalg.slogdet": Row(lambda x: PL.slogdet(x).logabsdet, lambda x: TL.slogdet(x).logabsdet, lambda x: JL.slogdet(x).logabsdet, (BATCH,)),
    "linalg.slogdet complex": Row(lambda x: PL.slogdet(x).sign * PL.slogdet(x).logabsdet, lambda x: TL.slogdet(x).sign * TL.slogdet(x).logabsdet, lambda x: JL.slogdet(x).sign * JL.slogdet(x).logabsdet, (FULL_Z,)),
    "linalg.solve": named("linalg", "solve", FULL, numbers(4, 2)),
    "linalg.solve batch": named("linalg", "solve", BATCH, numbers(3, 2)),
    "linalg.solve complex": named("linalg", "solve", FULL_Z, Z[0]),
    "linalg.solve_triangular": Row(PL.solve_triangular, lambda x, y: TL.solve_triangular(x, y, upper=False), lambda x, y: jax.scipy.linalg.solve_triangular(x, y, lower=True), (FULL, numbers(4, 2))),
    "linalg.solve_triangular unit": Row(lambda x, y: PL.solve_triangular(x, y, upper=True, unit_diagonal=True), lambda x, y: TL.solve_triangular(x, y, upper=True, unitriangular=True), lambda x, y: jax.scipy.linalg.solve_triangular(x, y, unit_diagonal=True), (FULL_Z, Z.T)),
    "linalg.svd": Row(lambda x: projected(pg, *PL.svd(x, full_matrices=False)[:2]), lambda x: projected(torch, *TL.svd(x, full_matrices=False)[:2]), lambda x: projected(jnp, *JL.svd(x, full_matrices=False)[:2]), (TALL,)),
    "linalg.svd complex": Row(lambda x: right(pg, PL.svd(x, full_matrices=False)), lambda x: right(torch, TL.svd(x, full_matrices=False)), lambda x: right(jnp, JL.svd(x, full_matrices=False)), (TALL_Z,)),
    "linalg.svd square": Row(lambda x: projected(pg, *PL.svd(x)[:2]), lambda x: projected(torch, *TL.svd(x)[:2]), lambda x: projected(jnp, *JL.svd(x)[:2]), (FULL,)),
    "linalg.svdvals": Row(PL.svdvals, TL.svdvals, JL.svdvals, (TALL,), EQUAL),
    "linalg.svdvals complex": Row(PL.svdvals, TL.svdvals, JL.svdvals, (TALL_Z.T,)),
    "linalg.tensordot": Row(lambda x, y: PL.tensordot(x, y, axes=1), lambda x, y: torch.tensordot(x, y, 1), lambda x, y: JL.tensordot(x, y, axes=1), (CUBE, SQUARE)),
    "linalg.trace": Row(lambda x: PL.trace(x, offset=-1), lambda x: TL.diagonal(x, offset=-1).sum(-1), lambda x: JL.trace(x, offset=-1), (CUBE,)),
    "linalg.trace complex": Row(PL.trace, torch.trace, JL.trace, (FULL_Z,)),
    "linalg.vecdot": named("linalg", "vecdot", Z, W),
    "linalg.vector_norm": named("linalg", "vector_norm", A, corners=((np.zeros(3),), (np.array([3.0, -4.0]),), (np.array(-2.0),), (np.zeros(0),))),
    "linalg.vector_norm complex": named("linalg", "vector_norm", Z, corners=((np.zeros(3) * 1j,),)),
    "linalg.vector_norm 1": Row(lambda x: PL.vector_norm(x, axis=1, ord=1), lambda x: TL.vector_norm(x, 1, 1), lambda x: JL.vector_norm(x, axis=1, ord=1), (Z,), NORMS),
    "linalg.vector_norm 3": Row(lambda x: PL.vector_norm(x, axis=1, ord=3), lambda x: TL.vector_norm(x, 3, 1), lambda x: JL.vector_norm(x, axis=1, ord=3), (Z,), NORMS),
    "linalg.vector_norm 0.5": Row(lambda x: PL.vector_norm(x, ord=0.5), lambda x: TL.vector_norm(x, 0.5), lambda x: JL.vector_norm(x, ord=0.5), (B,), NORMS),
    "linalg.vector_norm -1": Row(lambda x: PL.vector_norm(x, ord=-1), lambda x: TL.vector_norm(x, -1), lambda x: JL.vector_norm(x, ord=-1), (B,)),
    "linalg.vector_norm inf": Row(lambda x: PL.vector_norm(x, axis=0, ord=INF), lambda x: TL.vector_norm(x, INF, 0), lambda x: JL.vector_norm(x, axis=0, ord=INF), (A,), NORMS),
    "linalg.vector_norm -inf": Row(lambda x: PL.vector_norm(x, axis=0, ord=-INF), lambda x: TL.vector_norm(x, -INF, 0), lambda x: JL.vector_norm(x, axis=0, ord=-INF), (Z,)),
    "linalg.vector_norm 0": Row(lambda x: PL.vector_norm(x, ord=0), lambda x: TL.vector_norm(x, 0), lambda x: JL.vector_norm(x, ord=0), (A,)),
}

FOURIER: dict[str, Row] = {
    "fft.fft": transform("fft", A),
    "fft.fft complex": transform("fft", Z, axis=0),
    "fft.fft padded": transform("fft", Z, 7, norm="ortho"),
    "fft.fft trimmed": transform("fft", Z, 3, norm="forward"),
    "fft.ifft": transform("ifft", A),
    "fft.ifft complex": transform("ifft", Z, 5, 0, "ortho"),
    "fft.fftn": transform("fftn", CUBE),
    "fft.fftn complex": transform("fftn", CUBE * (1 + 2j), (3, 5), (0, 2), "ortho"),
    "fft.ifftn": transform("ifftn", CUBE, None, (0, 1)),
    "fft.ifftn complex": transform("ifftn", Z, (2, 6), (1, 0), "forward"),
    "fft.rfft": transform("rfft", A),
    "fft.rfft odd": transform("rfft", A, 5, 0, "ortho"),
    "fft.irfft": transform("irfft", Z),
    "fft.irfft odd": transform("irfft", Z, 5, norm="ortho"),
    "fft.irfft real": transform("irfft", A, axis=0, norm="forward"),
    "fft.rfftn": transform("rfftn", CUBE),
    "fft.rfftn axes": transform("rfftn", CUBE, (4, 3), (2, 0), "ortho"),
    "fft.irfftn": transform("irfftn", Z),
    "fft.irfftn axes": transform("irfftn", CUBE * (1 + 2j), (4, 5), (2, 1), "forward"),
    "fft.hfft": transform("hfft", Z),
    "fft.hfft odd": transform("hfft", Z, 5, 0, "ortho"),
    "fft.hfft real": transform("hfft", A),
    "fft.ihfft": transform("ihfft", A),
    "fft.ihfft odd": transform("ihfft", A, 5, 0, "forward"),
    "fft.fftshift": named("fft", "fftshift", CUBE),
    "fft.fftshift axes": Row(lambda x: pg.fft.fftshift(x, axes=1), lambda x: torch.fft.fftshift(x, 1), lambda x: jnp.fft.fftshift(x, 1), (Z,)),
    "fft.ifftshift": named("fft", "ifftshift", CUBE),
}
# fmt: on
