"""One line for each differentiable public function: how plugrad, torch and jax call it, and at which inputs.

A key is the function's name, and words that tell rows of one function apart. Every public function is here, in the
tables of the extensions and the plugins, or in ``reasons.EXEMPT``. Where a corner differs, ``reasons.REASONS`` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from rows import (
    A, ALONG, B, BINARY, COLUMN, COMPLEX, CUBE, EMPTY, FULL, LINES, P, POSITIONS, Q, REDUCED, ROW, SQUARE,
    TIED_WRITES, U, UNARY, W, Z, Row, every, numbers, same,
)  # fmt: skip
from table_extensions import FOURIER, LINALG
from table_plugins import PLUGINS

import plugrad as pg

T = torch.tensor
COND = A > 0
FAR = A + np.sign(A)


def _zeros(x: np.ndarray, count: int) -> np.ndarray:
    """The array with zeros at some places."""
    found = x.copy()
    found.flat[np.random.default_rng(0).choice(x.size, count, replace=False)] = 0
    return found


def written(x: Any, index: Any, value: Any) -> Any:
    """A copy with a part assigned, in plugrad and torch."""
    out = pg.copy(x) if isinstance(x, pg.Tensor) else x.clone()
    out[index] = value
    return out


def stepped(c: Any, xs: Any) -> Any:
    """A scan of torch's, step by step."""
    seen = []
    for x in xs:
        seen.append(torch.sin(c))
        c = c * x + 1
    return c, torch.stack(seen)


def whiled(c: Any) -> Any:
    """The loop of the row, in torch."""
    while (c * c).sum() < 100:
        c = c * 1.5 + torch.sin(c)
    return c


def newton(f: Callable[..., Any], x: Any) -> Any:
    """A root by Newton's method, as far as the numbers go."""
    for _ in range(30):
        y, slope = pg.jvp(f, (x,), (x * 0 + 1,))
        x = x - y / slope
    return x


def inverse(g: Callable[..., Any], y: Any) -> Any:
    """The solution of a linear equation of numbers."""
    return y / g(y * 0 + 1)


def cardano(xp: Any, a: Any) -> Any:
    """The real root of ``x**3 + x - a`` as a formula."""
    root = xp.sqrt(a * a / 4 + 1 / 27)
    one, two = root + a / 2, root - a / 2
    return one ** (1 / 3) - two ** (1 / 3)


def solved(a: Any) -> Callable[..., Any]:
    """A solver for the matrix."""
    return lambda _, b: pg.linalg.solve(a, b)


# fmt: off
ROWS: dict[str, Row] = {
    # elementwise
    "abs": same("abs", A, corners=UNARY),
    "abs complex": same("abs", Z, corners=((np.zeros(2) * 1j,),)),
    "negative": same("negative", A, corners=UNARY),
    "positive": same("positive", A),
    "sign": same("sign", A, corners=UNARY),
    "floor": same("floor", A, corners=UNARY),
    "exp": same("exp", A, corners=UNARY),
    "exp complex": same("exp", Z),
    "expm1": same("expm1", A, corners=UNARY),
    "log": same("log", P, corners=UNARY),
    "log complex": same("log", Z),
    "log1p": same("log1p", P, corners=UNARY),
    "sqrt": same("sqrt", P, corners=UNARY),
    "sqrt complex": same("sqrt", Z),
    "square": same("square", A, corners=UNARY),
    "reciprocal": same("reciprocal", P, corners=UNARY),
    "sin": same("sin", A, corners=UNARY),
    "sin complex": same("sin", Z),
    "cos": same("cos", A, corners=UNARY),
    "tan": same("tan", A, corners=UNARY),
    "tanh": same("tanh", A, corners=UNARY),
    "erf": Row(pg.erf, torch.erf, jax.scipy.special.erf, (A,), UNARY),
    "conj": same("conj", Z),
    "real": same("real", Z),
    "imag": same("imag", Z),
    "add": same("add", A, ROW, corners=BINARY),
    "add complex": same("add", Z, A),
    "subtract": same("subtract", COLUMN, ROW, corners=BINARY),
    "multiply": same("multiply", A, COLUMN, corners=BINARY),
    "multiply complex": same("multiply", Z, W),
    "divide": same("divide", A, Q, corners=BINARY),
    "divide complex": same("divide", Z, W),
    "pow": same("pow", P, ROW, corners=BINARY),
    "pow 2": Row(lambda x: x**2, lambda x: x**2, lambda x: x**2, (A,), UNARY),
    "pow 3": Row(lambda x: x**3, lambda x: x**3, lambda x: x**3, (A,), UNARY),
    "pow half": Row(lambda x: x**0.5, lambda x: x**0.5, lambda x: x**0.5, (P,), UNARY),
    "remainder": same("remainder", A, P, corners=BINARY),
    "floor_divide": Row(pg.floor_divide, lambda x, y: torch.floor_divide(x.detach(), y.detach()), jnp.floor_divide, (A, P), BINARY),
    "maximum": same("maximum", A, B, corners=BINARY),
    "minimum": same("minimum", A, ROW, corners=BINARY),
    "where": Row(lambda x, y: pg.where(COND, x, y), lambda x, y: torch.where(T(COND), x, y), lambda x, y: jnp.where(COND, x, y), (A, B)),
    "clip": Row(lambda x: pg.clip(x, -0.5, 0.5), lambda x: torch.clip(x, -0.5, 0.5), lambda x: jnp.clip(x, -0.5, 0.5), (A,), UNARY),
    "astype": Row(lambda x: x.astype("complex128"), lambda x: x.to(torch.complex128), lambda x: x.astype("complex128"), (A,)),
    "stop_gradient": Row(lambda x: x * pg.stop_gradient(x), lambda x: x * x.detach(), lambda x: x * jax.lax.stop_gradient(x), (A,), smooth=False),

    # elementwise, further
    "sign complex": same("sign", Z, torch_name="sgn"),
    "real real": same("real", A),
    "conj real": same("conj", A),
    "imag of real parts": every(lambda xp, x: xp.imag(x * x), Z),
    "square complex": same("square", Z),
    "reciprocal complex": same("reciprocal", Z),
    "negative complex": same("negative", Z),
    "cos complex": same("cos", Z),
    "tan complex": same("tan", Z),
    "tanh complex": same("tanh", Z),
    "expm1 complex": same("expm1", Z),
    "log1p complex": same("log1p", Z),
    "pow complex": same("pow", Z, W),
    "pow 2.5": every(lambda xp, x: x**2.5, P, corners=UNARY),
    "pow -1": every(lambda xp, x: x**-1, FAR, corners=UNARY),
    "pow -0.5": every(lambda xp, x: x**-0.5, P, corners=UNARY),
    "pow 0": every(lambda xp, x: x**0, A, corners=UNARY),
    "pow of a number": every(lambda xp, x: 2.0**x, A, corners=UNARY),
    "pow of sizes": every(lambda xp, x: xp.sum(xp.abs(x) ** 0.5), FAR, corners=REDUCED + EMPTY),
    "clip tensors": every(lambda xp, x, y, z: xp.clip(x, y, z), A, -Q, P),
    "safe_where": Row(lambda x: pg.safe_where(x > 0, pg.sqrt, x), lambda x: torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1.0)), 0.0), lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0), (FAR,), UNARY),
    "acos": same("acos", U, corners=UNARY),
    "acos complex": same("acos", Z, corners=COMPLEX),
    "acosh": same("acosh", P + 1, corners=UNARY),
    "acosh complex": same("acosh", Z, corners=COMPLEX),
    "asin": same("asin", U, corners=UNARY),
    "asin complex": same("asin", Z, corners=COMPLEX),
    "asinh": same("asinh", A, corners=UNARY),
    "asinh complex": same("asinh", Z, corners=COMPLEX),
    "atan": same("atan", A, corners=UNARY),
    "atan complex": same("atan", Z, corners=COMPLEX),
    "atan2": same("atan2", A, B, corners=BINARY),
    "atanh": same("atanh", U, corners=UNARY),
    "atanh complex": same("atanh", Z, corners=COMPLEX),
    "ceil": same("ceil", A, corners=UNARY),
    "copysign": same("copysign", A, B, corners=BINARY),
    "cosh": same("cosh", A, corners=UNARY),
    "cosh complex": same("cosh", Z),
    "hypot": same("hypot", A, B, corners=BINARY),
    "log2": same("log2", P, corners=UNARY),
    "log2 complex": same("log2", Z),
    "log10": same("log10", P, corners=UNARY),
    "log10 complex": same("log10", Z),
    "logaddexp": same("logaddexp", A, B, corners=BINARY),
    "nextafter": Row(pg.nextafter, lambda x, y: x + (torch.nextafter(x, y) - x).detach(), lambda x, y: x + jax.lax.stop_gradient(jnp.nextafter(x, y) - x), (A, B)),
    "round": same("round", A, corners=UNARY),
    "round complex": Row(pg.round, lambda x: torch.complex(x.real.round(), x.imag.round()), jnp.round, (Z,)),
    "sinh": same("sinh", A, corners=UNARY),
    "sinh complex": same("sinh", Z),
    "trunc": same("trunc", A, corners=UNARY),

    # reduction
    "sum": every(lambda xp, x: xp.sum(x), A, corners=REDUCED + EMPTY),
    "sum axis": Row(lambda x: pg.sum(x, axis=1), lambda x: x.sum(1), lambda x: x.sum(1), (CUBE,)),
    "prod": every(lambda xp, x: xp.prod(x), P, corners=REDUCED + EMPTY),
    "prod axis": Row(lambda x: pg.prod(x, axis=1), lambda x: x.prod(1), lambda x: x.prod(1), (A,)),
    "max": every(lambda xp, x: xp.max(x), A, corners=REDUCED),
    "max axis": Row(lambda x: pg.max(x, axis=1), lambda x: x.amax(1), lambda x: x.max(1), (A,)),
    "min": every(lambda xp, x: xp.min(x), A, corners=REDUCED),
    "mean": every(lambda xp, x: xp.mean(x), A, corners=REDUCED),
    "var": Row(lambda x: pg.var(x), lambda x: torch.var(x, correction=0), jnp.var, (A,), REDUCED),
    "var correction": Row(lambda x: pg.var(x, axis=1, correction=1), lambda x: torch.var(x, 1), lambda x: jnp.var(x, 1, ddof=1), (A,)),
    "logsumexp": Row(pg.logsumexp, lambda x: torch.logsumexp(x, tuple(range(x.ndim))), jax.nn.logsumexp, (A,), REDUCED + EMPTY),
    "logsumexp axis": Row(lambda x: pg.logsumexp(x, axis=1), lambda x: torch.logsumexp(x, 1), lambda x: jax.nn.logsumexp(x, 1), (A,)),
    "std": Row(lambda x: pg.std(x), lambda x: torch.std(x, correction=0), jnp.std, (A,), REDUCED),
    "cumulative_sum": Row(lambda x: pg.cumulative_sum(x, axis=1), lambda x: x.cumsum(1), lambda x: x.cumsum(1), (A,)),
    "sum complex": every(lambda xp, x: xp.sum(x), Z),
    "prod complex": every(lambda xp, x: xp.prod(x), Z),
    "prod axes": Row(lambda x: pg.prod(x, axis=(0, 2)), lambda x: x.prod(2).prod(0), lambda x: x.prod((0, 2)), (CUBE,), ((_zeros(CUBE, 1),), (_zeros(CUBE, 5),))),
    "min axis": Row(lambda x: pg.min(x, axis=1), lambda x: x.amin(1), lambda x: x.min(1), (A,)),
    "mean complex": every(lambda xp, x: xp.mean(x), Z),
    "var complex": Row(lambda x: pg.var(x, axis=1), lambda x: torch.var(x, 1, correction=0), lambda x: jnp.var(x, 1), (Z,)),
    "std complex": Row(lambda x: pg.std(x, axis=1), lambda x: torch.std(x, 1, correction=0), lambda x: jnp.std(x, 1), (Z,)),
    "std axis": Row(lambda x: pg.std(x, axis=1, correction=1), lambda x: torch.std(x, 1), lambda x: jnp.std(x, 1, ddof=1), (A,)),
    "cumulative_sum line": Row(pg.cumulative_sum, lambda x: x.cumsum(0), jnp.cumsum, (ROW,), LINES),
    "cumulative_prod": Row(lambda x: pg.cumulative_prod(x, axis=1), lambda x: x.cumprod(1), lambda x: x.cumprod(1), (A,)),
    "cumulative_prod line": Row(pg.cumulative_prod, lambda x: x.cumprod(0), jnp.cumprod, (ROW,), LINES),
    "cumulative_prod complex": Row(lambda x: pg.cumulative_prod(x, axis=1), lambda x: x.cumprod(1), lambda x: jnp.cumprod(x, 1), (Z,)),

    # movement and indexing
    "reshape": every(lambda xp, x: xp.reshape(x, (2, 6)), A),
    "permute_dims": Row(lambda x: pg.permute_dims(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1), (CUBE,)),
    "transpose": Row(pg.transpose, lambda x: x.permute(2, 1, 0), jnp.transpose, (CUBE,)),
    "matrix_transpose": Row(pg.matrix_transpose, lambda x: x.mT, lambda x: x.mT, (CUBE,)),
    "moveaxis": every(lambda xp, x: xp.moveaxis(x, 0, 2), CUBE),
    "broadcast_to": every(lambda xp, x: xp.broadcast_to(x, (2, 3, 4)), COLUMN),
    "broadcast_arrays": Row(lambda x, y: pg.broadcast_arrays(x, y)[0] * y, lambda x, y: torch.broadcast_tensors(x, y)[0] * y, lambda x, y: jnp.broadcast_arrays(x, y)[0] * y, (COLUMN, ROW)),
    "expand_dims": Row(lambda x: pg.expand_dims(x, 1), lambda x: x[:, None], lambda x: x[:, None], (A,)),
    "squeeze": every(lambda xp, x: xp.squeeze(x, 1), COLUMN),
    "flip": Row(lambda x: pg.flip(x, axis=1), lambda x: x.flip(1), lambda x: jnp.flip(x, 1), (A,)),
    "concat": Row(lambda x, y: pg.concat([x, y], axis=1), lambda x, y: torch.cat([x, y], 1), lambda x, y: jnp.concatenate([x, y], 1), (A, COLUMN)),
    "stack": Row(lambda x, y: pg.stack([x, y], axis=1), lambda x, y: torch.stack([x, y], 1), lambda x, y: jnp.stack([x, y], 1), (A, B)),
    "split": Row(lambda x: pg.split(x, 2, axis=1)[1], lambda x: x[:, 2:], lambda x: jnp.split(x, 2, 1)[1], (A,)),
    "pad": Row(lambda x: pg.pad(x, [(1, 0), (2, 3)], value=1.5), lambda x: F.pad(x, (2, 3, 1, 0), value=1.5), lambda x: jnp.pad(x, [(1, 0), (2, 3)], constant_values=1.5), (A,)),
    "copy": Row(pg.copy, torch.clone, jnp.copy, (A,)),
    "tril": Row(lambda x: pg.tril(x, k=1), lambda x: x.tril(1), lambda x: jnp.tril(x, 1), (A,)),
    "triu": Row(lambda x: pg.triu(x, k=-1), lambda x: x.triu(-1), lambda x: jnp.triu(x, -1), (A,)),
    "take": Row(lambda x: pg.take(x, POSITIONS, axis=1), lambda x: x.index_select(1, T(POSITIONS)), lambda x: jnp.take(x, POSITIONS, 1), (A,)),
    "take_along_axis": Row(lambda x: pg.take_along_axis(x, ALONG, axis=1), lambda x: torch.take_along_dim(x, T(ALONG), 1), lambda x: jnp.take_along_axis(x, ALONG, 1), (A,)),
    "sliding_window_view": Row(lambda x: pg.sliding_window_view(x, 3, 1, stride=2), lambda x: x.unfold(1, 3, 2), None, (numbers(3, 8),)),

    # order
    "diff": Row(lambda x, y: pg.diff(x, n=2, prepend=y), lambda x, y: torch.diff(x, n=2, prepend=y), lambda x, y: jnp.diff(x, n=2, prepend=y), (A, COLUMN)),
    "meshgrid": Row(lambda x, y: pg.meshgrid(x, y)[0] * pg.meshgrid(x, y)[1] ** 2, lambda x, y: torch.meshgrid(x, y, indexing="xy")[0] * torch.meshgrid(x, y, indexing="xy")[1] ** 2, lambda x, y: jnp.meshgrid(x, y)[0] * jnp.meshgrid(x, y)[1] ** 2, (ROW, numbers(3))),
    "repeat": Row(lambda x: pg.repeat(x, 3, axis=0), lambda x: x.repeat_interleave(3, 0), lambda x: jnp.repeat(x, 3, 0), (A,)),
    "repeat each": Row(lambda x: pg.repeat(x, pg.asarray([2, 0, 1, 3]), axis=1), lambda x: x.repeat_interleave(T([2, 0, 1, 3]), 1), lambda x: jnp.repeat(x, np.array([2, 0, 1, 3]), 1), (A,)),
    "roll": Row(lambda x: pg.roll(x, (1, -2), axis=(0, 1)), lambda x: torch.roll(x, (1, -2), (0, 1)), lambda x: jnp.roll(x, (1, -2), (0, 1)), (A,)),
    "roll flat": Row(lambda x: pg.roll(x, 5), lambda x: torch.roll(x, 5), lambda x: jnp.roll(x, 5), (A,)),
    "tile": every(lambda xp, x: xp.tile(x, (2, 1, 3)), A),
    "unstack": Row(lambda x: pg.unstack(x, axis=1)[2] * pg.unstack(x, axis=1)[0], lambda x: x.unbind(1)[2] * x.unbind(1)[0], lambda x: jnp.unstack(x, axis=1)[2] * jnp.unstack(x, axis=1)[0], (CUBE,)),
    "top_k": Row(lambda x: pg.top_k(x, 2).values, lambda x: torch.topk(x, 2).values, lambda x: jax.lax.top_k(x, 2)[0], (A,)),
    "sort": Row(lambda x: pg.sort(x, axis=0), lambda x: torch.sort(x, dim=0, stable=True).values, lambda x: jnp.sort(x, 0), (A,)),
    "sort line": Row(pg.sort, lambda x: torch.sort(x, stable=True).values, jnp.sort, (ROW,), LINES),
    "sort descending": Row(lambda x: pg.sort(x, descending=True), lambda x: torch.sort(x, descending=True, stable=True).values, lambda x: jnp.sort(x, descending=True), (A,), LINES),
    "unique_values": Row(pg.unique_values, None, lambda x: jnp.unique(x, size=12), (A,)),
    "unique_values ties": Row(pg.unique_values, None, lambda x: jnp.unique(x, size=3), (np.array([3.0, 1.0, 3.0, 2.0, 1.0]),), smooth=False),
    "unique_all": Row(lambda x: pg.unique_all(x).values, None, lambda x: jnp.unique(x, size=12), (A,)),
    "unique_counts": Row(lambda x: pg.unique_counts(x).values, None, lambda x: jnp.unique(x, size=12), (A,)),
    "unique_inverse": Row(lambda x: pg.unique_inverse(x).values, None, lambda x: jnp.unique(x, size=12), (A,)),

    # subscripts
    "getitem": Row(lambda x: x[1, :, 1:4:2], lambda x: x[1, :, 1:4:2], lambda x: x[1, :, 1:4:2], (CUBE,)),
    "getitem backwards": Row(lambda x: x[..., ::-2, None], lambda x: x.flip(-1)[..., ::2, None], lambda x: x[..., ::-2, None], (CUBE,)),
    "getitem positions": Row(lambda x: x[:, POSITIONS % 3, POSITIONS], lambda x: x[:, T(POSITIONS % 3), T(POSITIONS)], lambda x: x[:, POSITIONS % 3, POSITIONS], (CUBE,)),
    "getitem apart": Row(lambda x: x[POSITIONS % 2, :, POSITIONS], lambda x: x[T(POSITIONS % 2), :, T(POSITIONS)], lambda x: x[POSITIONS % 2, :, POSITIONS], (CUBE,)),
    "getitem mask": Row(lambda x: x[COND], lambda x: x[T(COND)], lambda x: x[COND], (A,)),
    "getitem mask complex": Row(lambda x: x[COND], lambda x: x[T(COND)], lambda x: x[COND], (Z,)),
    "setitem": Row(lambda x, v: written(x, (slice(None), slice(1, 3)), v), lambda x, v: written(x, (slice(None), slice(1, 3)), v), lambda x, v: x.at[:, 1:3].set(v), (A, COLUMN)),
    "setitem mask": Row(lambda x, v: written(x, COND, v), lambda x, v: written(x, T(COND), v), lambda x, v: jnp.where(COND, v, x), (A, numbers())),
    "at.set": Row(lambda x, v: x.at[[2, 0]].set(v), lambda x, v: x.index_put((T([2, 0]),), v), lambda x, v: x.at[np.array([2, 0])].set(v), (A, numbers(2, 4))),
    "at.set again": Row(lambda x, v: x.at[[2, 0, 2]].set(v), lambda x, v: x.index_put((T([0, 2]),), v[1:]), None, (A, numbers(3, 4))),
    "at.add": Row(lambda x, v: x.at[[2, 0, 2]].add(v), lambda x, v: x.index_put((T([2, 0, 2]),), v, accumulate=True), lambda x, v: x.at[np.array([2, 0, 2])].add(v), (A, numbers(3, 4))),
    "at.add complex": Row(lambda x, v: x.at[[2, 0, 2]].add(v), lambda x, v: x.index_put((T([2, 0, 2]),), v, accumulate=True), lambda x, v: x.at[np.array([2, 0, 2])].add(v), (Z, W)),
    "at.multiply": Row(lambda x, v: x.at[[2, 0]].multiply(v), lambda x, v: x.index_reduce(0, T([2, 0]), v, "prod"), lambda x, v: x.at[np.array([2, 0])].multiply(v, unique_indices=True), (A, numbers(2, 4))),
    "at.multiply again": Row(lambda x, v: x.at[[2, 0, 2]].multiply(v), lambda x, v: x.index_reduce(0, T([2, 0, 2]), v, "prod"), None, (A, numbers(3, 4)), ((np.array([2.0, 3.0, 4.0]), np.array([0.0, 5.0, 2.0])), (np.array([2.0, 3.0, 0.0]), np.array([3.0, 5.0, 0.0])), (np.array([2.0, 3.0, 4.0]), np.array([0.0, 5.0, 0.0])))),
    "at.multiply complex": Row(lambda x, v: x.at[[2, 0]].multiply(v), lambda x, v: torch.stack([x[0] * v[1], x[1], x[2] * v[0]]), lambda x, v: x.at[np.array([2, 0])].multiply(v, unique_indices=True), (Z, W[:2])),
    "at.divide": Row(lambda x, v: x.at[[2, 0]].divide(v), lambda x, v: x / torch.ones_like(x).index_put((T([2, 0]),), v), lambda x, v: x.at[np.array([2, 0])].divide(v, unique_indices=True), (A, P[:2])),
    "at.min": Row(lambda x, v: x.at[[2, 0, 2]].min(v), lambda x, v: x.index_reduce(0, T([2, 0, 2]), v, "amin"), None, (A, numbers(3, 4, seed=8)), TIED_WRITES),
    "at.max": Row(lambda x, v: x.at[[2, 0, 2]].max(v), lambda x, v: x.index_reduce(0, T([2, 0, 2]), v, "amax"), None, (A, numbers(3, 4, seed=8)), TIED_WRITES),
    "take complex": Row(lambda x: pg.take(x, POSITIONS, axis=1), lambda x: x.index_select(1, T(POSITIONS)), lambda x: jnp.take(x, POSITIONS, 1), (Z,)),
    "take_along_axis negative": Row(lambda x: pg.take_along_axis(x, -1 - ALONG, axis=1), lambda x: torch.take_along_dim(x, T(3 - ALONG), 1), lambda x: jnp.take_along_axis(x, -1 - ALONG, 1), (A,)),
    "pad complex": Row(lambda x: pg.pad(x, [(1, 0), (2, 3)]), lambda x: F.pad(x, (2, 3, 1, 0)), lambda x: jnp.pad(x, [(1, 0), (2, 3)]), (Z,)),
    "concat mixed": Row(lambda x, y: pg.concat([x, y]), lambda x, y: torch.cat([x, y]), lambda x, y: jnp.concatenate([x, y]), (A, Z)),
    "where mixed": Row(lambda x, y: pg.where(COND, x, y), lambda x, y: torch.where(T(COND), x.to(torch.complex128), y), lambda x, y: jnp.where(COND, x, y), (A, Z)),
    "astype real": Row(lambda x: x.astype("float64"), lambda x: x.real, lambda x: x.real, (Z,)),

    # control flow and implicit functions
    "cond": Row(lambda x: pg.cond(pg.sum(x) > 0, lambda v: v * v, pg.sin, x), lambda x: x * x if x.sum() > 0 else torch.sin(x), lambda x: jax.lax.cond(jnp.sum(x) > 0, lambda v: v * v, jnp.sin, x), (A,), ((-A,), (np.zeros(4),))),
    "scan": Row(lambda c, x: pg.scan(lambda c, x: (c * x + 1, pg.sin(c)), c, x)[1], lambda c, x: stepped(c, x)[1], lambda c, x: jax.lax.scan(lambda c, x: (c * x + 1, jnp.sin(c)), c, x)[1], (ROW, A)),
    "scan reverse": Row(lambda c, x: pg.scan(lambda c, x: (c * x + 1, c), c, x, reverse=True)[0], lambda c, x: stepped(c, x.flip(0))[0], lambda c, x: jax.lax.scan(lambda c, x: (c * x + 1, c), c, x, reverse=True)[0], (W[0], Z)),
    "while_loop": Row(lambda x: pg.while_loop(lambda c: pg.sum(c * c) < 100, lambda c: c * 1.5 + pg.sin(c), x), whiled, None, (ROW,)),
    "fori_loop": Row(lambda x: pg.fori_loop(1, 4, lambda i, c: c * c / i + x, x), lambda x: ((((x * x + x) ** 2) / 2 + x) ** 2) / 3 + x, lambda x: jax.lax.fori_loop(1, 4, lambda i, c: c * c / i + x, x), (A,)),
    "custom_root": Row(lambda a: pg.custom_root(lambda x: x**3 + x - a, a, newton, inverse), lambda a: cardano(torch, a), lambda a: jax.lax.custom_root(lambda x: x**3 + x - a, a, lambda f, x: cardano(jnp, -f(x * 0)), lambda g, y: y / g(jnp.ones_like(y))), (numbers(),)),
    "linear_solve": Row(lambda a, b: pg.linear_solve(lambda x: a @ x, b, solved(a), solved(a.mT)), torch.linalg.solve, lambda a, b: jax.lax.custom_linear_solve(lambda x: a @ x, b, lambda _, b: jnp.linalg.solve(jax.lax.stop_gradient(a), b), lambda _, b: jnp.linalg.solve(jax.lax.stop_gradient(a).T, b)), (FULL, ROW)),
    "checkpoint": Row(lambda x: pg.checkpoint(lambda v: pg.sin(v * v))(x), lambda x: torch.sin(x * x), jax.checkpoint(lambda v: jnp.sin(v * v)), (A,)),

    # contraction
    "matmul": same("matmul", CUBE, SQUARE),
    "matmul complex": same("matmul", Z, W.T),
    "tensordot": Row(lambda x, y: pg.tensordot(x, y, axes=([1], [0])), lambda x, y: torch.tensordot(x, y, ([1], [0])), lambda x, y: jnp.tensordot(x, y, ([1], [0])), (A, SQUARE)),
    "outer": same("outer", ROW, numbers(3)),
    "einsum": every(lambda xp, x, y, z: xp.einsum("ij,kjl,lm->mik", x, y, z), numbers(3, 2), numbers(4, 2, 3), numbers(3, 5)),
    "einsum trace": every(lambda xp, x: xp.einsum("ii", x), SQUARE),
    "einsum dots": every(lambda xp, x, y: xp.einsum("...ij,...kj->...ik", x, y), CUBE, A),
    "einsum complex": every(lambda xp, x, y: xp.einsum("ij,kj->ki", x, y), Z, W),
    "matmul lines": same("matmul", ROW, SQUARE),
    "outer complex": same("outer", Z[0], W[1]),
    "tensordot complex": Row(lambda x, y: pg.tensordot(x, y, axes=2), lambda x, y: torch.tensordot(x, y, 2), lambda x, y: jnp.tensordot(x, y, 2), (Z, W)),
    "vecdot": Row(pg.vecdot, torch.linalg.vecdot, jnp.vecdot, (CUBE, A)),
    "vecdot complex": Row(pg.vecdot, torch.linalg.vecdot, jnp.vecdot, (Z, W)),

    **LINALG,
    **FOURIER,
    **PLUGINS,
}
# fmt: on
