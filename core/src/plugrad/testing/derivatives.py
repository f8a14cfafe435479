"""Checks of derivatives: forward mode against central differences, reverse against forward mode, second order,
batching against a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import tree
from ..ops import creation, random
from ..ops.elementwise import conj, real
from ..ops.reduction import sum as sum_
from ..tensor import Tensor
from ..transforms import as_leaves, jvp, vjp, vmap

F = Callable[..., Any]


def _flat_outputs(y: Any) -> list[Tensor]:
    return [t for t in as_leaves(y)[0] if t.dtype.kind in "fc"]


def numerical_jvp(f: F, primals: Sequence[Any], tangents: Sequence[Any], step: float = 1e-6) -> list[np.ndarray]:
    """Central difference of the floating outputs of ``f`` along the tangents; meant for float64."""

    def at(sign: float) -> list[np.ndarray]:
        moved = tree.map(lambda x, t: x + t * (sign * step), list(primals), list(tangents))
        return [y.detach().numpy() for y in _flat_outputs(f(*moved))]

    return [(hi - lo) / (2 * step) for hi, lo in zip(at(1.0), at(-1.0), strict=True)]


def _directions(primals: Sequence[Any], seed: int) -> list[Any]:
    numbers = iter(range(seed * 1000, seed * 1000 + 1000))

    def drawn(shape: tuple[int, ...]) -> np.ndarray:
        """On the reference: a device need not store the integers that random numbers are made of."""
        return random.normal(random.key(next(numbers), device="numpy"), shape, dtype="float64").numpy()

    def one(x: Tensor) -> Tensor:
        t = drawn(x.shape)
        made = t + 1j * drawn(x.shape) if x.dtype.kind == "c" else t
        return creation.asarray(made.astype(x.dtype), device=x.device, copy=True)

    return [tree.map(one, p) for p in primals]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Re<a, b>, the pairing of cotangents and tangents."""
    return sum_(real(conj(a) * b) if "c" in (a.dtype.kind, b.dtype.kind) else a * b)


def _close(what: str, got: Any, wanted: Any, tolerance: float) -> None:
    __tracebackhide__ = True
    got, wanted = np.asarray(got), np.asarray(wanted)
    scale = max(1.0, float(np.max(np.abs(wanted))) if wanted.size else 1.0)
    if got.shape != wanted.shape:
        raise AssertionError(f"{what}: the shapes are {got.shape} and {wanted.shape}")
    near = np.isclose(got, wanted, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    if not near.all():
        at = tuple(int(i) for i in np.argwhere(~near)[0])
        place = f" at {at} ({np.count_nonzero(~near)} of {near.size} elements differ)" if at else ""
        raise AssertionError(f"{what}: {got[at]!s} is not {wanted[at]!s}{place}")


def check_derivatives(f: F, *primals: Any, order: int = 2, difference: float = 1e-6, agreement: float = 1e-9) -> None:
    """Raise AssertionError unless the derivatives of ``f`` at the primals (float64 trees) are consistent.

    jvp is compared with a central difference (tolerance ``difference``), vjp with jvp by <g, Jt> = <J*g, t> (tolerance
    ``agreement``), and for ``order=2`` both again for the gradient of <g, f>.

    >>> import plugrad
    >>> check_derivatives(lambda x: plugrad.sin(x) * x, plugrad.asarray([0.3, 2.0], dtype="float64"))
    """
    __tracebackhide__ = True
    primals = tuple([creation.asarray(p) if not isinstance(p, (Tensor, tuple, list, dict)) else p for p in primals])
    tangents = _directions(primals, 1)
    outputs, dy = jvp(f, primals, tuple(tangents))
    got = _flat_outputs(dy)
    wanted = numerical_jvp(f, primals, tangents)
    for g, w in zip(got, wanted, strict=True):
        _close("jvp is not the central difference", g.detach().numpy(), w, difference)
    y, pullback = vjp(f, *primals)
    for one, two in zip(_flat_outputs(y), _flat_outputs(outputs), strict=True):
        _close("the value under vjp is not that under jvp", one.numpy(), two.numpy(), agreement)
    cotangent = _directions([y], 2)[0]
    pulled = pullback(cotangent)
    forward = sum([_dot(g, t).item() for g, t in zip(_flat_outputs(cotangent), _flat_outputs(dy), strict=True)])
    reverse = sum(
        [_dot(g, t).item() for g, t in zip(_flat_outputs(list(pulled)), _flat_outputs(tangents), strict=True)]
    )
    _close("vjp is not the transpose of jvp, <vjp(g), t> is not <g, jvp(t)>", reverse, forward, agreement)
    if order > 1:
        fixed = tree.map(lambda t: t.detach(), cotangent)

        def gradient(*xs: Any) -> Any:
            return vjp(f, *xs)[1](fixed)

        try:
            check_derivatives(gradient, *primals, order=order - 1, difference=difference * 10, agreement=agreement)
        except AssertionError as error:
            raise AssertionError(f"of the gradient: {error}") from None


def check_vmap(f: F, *args: Tensor, size: int = 3, tolerance: float = 1e-12) -> None:
    """Raise AssertionError unless ``vmap(f)`` equals a loop of ``f``, with every argument mapped and with each one
    mapped alone.

    ``args`` are examples; batches are drawn around them.
    """
    rng = np.random.default_rng(0)

    def batch(x: Tensor) -> Tensor:
        values = np.stack([x.numpy()] * size)
        if values.dtype.kind in "fc":
            values = values * (1 + 0.1 * rng.normal(size=values.shape)).astype(values.real.dtype)
        return creation.asarray(values, device=x.device, copy=True)

    masks = [(True,) * len(args)] + [tuple(i == j for j in range(len(args))) for i in range(len(args)) if len(args) > 1]
    for mask in masks:
        given = [batch(x) if m else x for x, m in zip(args, mask, strict=True)]
        got = as_leaves(vmap(f, tuple([0 if m else None for m in mask]))(*given))[0]
        rows = [as_leaves(f(*[g[i] if m else g for g, m in zip(given, mask, strict=True)]))[0] for i in range(size)]
        for k, g in enumerate(got):
            looped = np.stack([r[k].numpy() for r in rows])
            _close(f"vmap, mapped operands {mask}, is not the loop", g.numpy(), looped, tolerance)
