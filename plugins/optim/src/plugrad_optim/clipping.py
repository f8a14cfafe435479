"""Clipping of gradients: pure functions over trees of gradients, and their twins for the ``.grad`` of parameters."""

from __future__ import annotations

import math
from typing import Any

import plugrad as pg

from . import structure
from .checks import number
from .ops import working_dtype


def clip_grad_norm(grads: Any, max_norm: float) -> tuple[Any, pg.Tensor]:
    """(gradients, norm): scaled by one factor, so that their joint Euclidean norm is at most ``max_norm``; norm before.

    >>> grads, norm = clip_grad_norm({"a": pg.asarray([3.0]), "b": pg.asarray([4.0])}, 1.0)
    >>> norm.item(), [round(g.item(), 3) for g in grads.values()]
    (5.0, [0.6, 0.8])
    """
    max_norm = _positive("clip_grad_norm", "max_norm", max_norm)
    leaves, _, build = pg.tree.flatten(grads)
    scaled, norm = _scaled("clip_grad_norm", leaves, max_norm)
    return build(scaled), norm


def clip_grad_value(grads: Any, limit: float) -> Any:
    """Each element of the gradients clipped to [-limit, limit].

    >>> clip_grad_value([pg.asarray([-3.0, 0.5])], 1.0)[0].tolist()
    [-1.0, 0.5]
    """
    limit = _positive("clip_grad_value", "limit", limit)
    return pg.tree.map(lambda g: pg.clip(g, -limit, limit), grads)


def clip_grad_norm_(params: Any, max_norm: float) -> pg.Tensor:
    """``clip_grad_norm`` of the ``.grad`` of all parameters, in place; returns the norm before."""
    max_norm = _positive("clip_grad_norm_", "max_norm", max_norm)
    held = _held("clip_grad_norm_", params)
    with pg.no_grad():
        scaled, norm = _scaled("clip_grad_norm_", [p.grad for p in held], max_norm)
    for p, g in zip(held, scaled, strict=True):
        p.grad = g
    return norm


def clip_grad_value_(params: Any, limit: float) -> None:
    """``clip_grad_value`` of the ``.grad`` of all parameters, in place."""
    limit = _positive("clip_grad_value_", "limit", limit)
    with pg.no_grad():
        for p in _held("clip_grad_value_", params):
            p.grad = None if p.grad is None else pg.clip(p.grad, -limit, limit)


def _scaled(name: str, grads: list[Any], max_norm: float) -> tuple[list[pg.Tensor], pg.Tensor]:
    if not grads:
        raise ValueError(f"{name}: there are no gradients; call backward() first, or give what grad(f)(params) returns")
    squares = [_square(g.astype(working_dtype(g.dtype))).sum() for g in grads]
    total = squares[0]
    for s in squares[1:]:
        total = total + s.to(total.device)
    norm = pg.sqrt(total)
    factor = max_norm / pg.maximum(norm, max_norm)
    return [(g * factor.to(g.device)).astype(g.dtype) for g in grads], norm


def _square(g: pg.Tensor) -> pg.Tensor:
    return pg.real(g * g.conj()) if g.dtype.kind == "c" else g * g


def _held(name: str, params: Any) -> list[pg.Tensor]:
    params = params if isinstance(params, (pg.Module, pg.Tensor, dict, list, tuple)) else list(params)
    return [p for p in structure.trained(name, params).values() if p.grad is not None]


def _positive(name: str, label: str, value: float) -> float:
    found = number(name, label, value, 0.0)
    if found == 0.0 or math.isnan(found):
        raise ValueError(f"{name}: {label} is {value}; it must be above 0")
    return found
