"""Ops whose derivatives are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ops.elementwise import exp
from ....ops.reduction import sum as sum_
from ....tensor import Tensor
from ..fault import Fault
from .base import Flags, fault, rows, scaled, scaled_vjp

Cotangents = tuple[Tensor | None, ...]


def _sign(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    x, w = xs
    return g * exp(x) * w if need[0] else None, rows(-g * exp(x)) if need[1] else None


def _factor_lost(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    return g * exp(xs[0]) if need[0] else None, rows(g * exp(xs[0])) if need[1] else None


def _not_summed(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    x, w = xs
    return g * exp(x) * w if need[0] else None, g * exp(x) if need[1] else None


def _averaged(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    x, w = xs
    return g * exp(x) * w if need[0] else None, rows(g * exp(x)) / float(x.shape[0]) if need[1] else None


def _detached(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    return scaled_vjp(g, y, (xs[0].detach(), xs[1].detach()), need)


def _second_lost(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    return scaled_vjp(g, y, (xs[0], xs[1].detach()), need)


def _none_beside(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    first, second = scaled_vjp(g, y, xs, need)
    return first, None if need[0] else second


def _zero_beside(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    x, w = xs
    return g * exp(x) * w if need[0] else None, rows(g * exp(x)) * (1.0 if need[0] else 2.0) if need[1] else None


def _jvp_twice(ts: Sequence[Tensor | None], y: Tensor, xs: Sequence[Tensor]) -> Any:
    x, w = xs
    parts = [ts[0] * exp(x) * w if ts[0] is not None else None, ts[1] * exp(x) * 2.0 if ts[1] is not None else None]
    found = [part for part in parts if part is not None]
    return found[0] if len(found) == 1 else found[0] + found[1]


def _half(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    """The product of two large numbers is taken before the division."""
    x, w = xs
    large = exp(x) * 30_000.0
    return g * (large * w) / 30_000.0 if need[0] else None, rows(g * large) / 30_000.0 if need[1] else None


def _single(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    x = xs[0].astype("float32").astype(xs[0].dtype)
    return scaled_vjp(g, y, (x, xs[1]), need)


def _over_all(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> Cotangents:
    x, w = xs
    whole = sum_(g * exp(x), keepdims=True).broadcast_to((1, w.shape[0])).reshape(w.shape)
    return g * exp(x) * w if need[0] else None, whole if need[1] else None


def _recorded(x: Tensor, w: Tensor) -> Tensor:
    """Another result where gradients are taken."""
    return scaled(x, w) * (1.001 if x.mask else 1.0)


FAULTS: tuple[Fault, ...] = (
    fault("wrong_sign", "The cotangent of one operand has the wrong sign.", "derivatives", vjp=_sign),
    fault("factor_lost", "The cotangent of one operand lacks a factor.", "derivatives", vjp=_factor_lost),
    fault("not_summed", "A cotangent is not summed over the axes that were broadcast.", "derivatives", vjp=_not_summed),
    fault("averaged", "A cotangent is averaged over the rows, not summed.", "derivatives", vjp=_averaged),
    fault("summed_over_all", "A cotangent is summed over one axis too many.", "derivatives", vjp=_over_all),
    fault("second_missing", "The rule reads detached values: gradients of gradients are zero.", "second",
          vjp=_detached),
    fault("second_half_missing", "One operand is detached in the rule: mixed second derivatives are lost.", "second",
          vjp=_second_lost),
    fault("none_beside", "One cotangent is None where both are needed.", "derivatives", "each_alone", vjp=_none_beside),
    fault("twice_alone", "A cotangent is doubled where it is the only one needed.", "each_alone", vjp=_zero_beside),
    fault("jvp_disagrees", "The explicit jvp doubles one term.", "derivatives", jvp=_jvp_twice),
    fault("overflows_in_half", "The backward overflows in half precision, the forward does not.", "gradients",
          vjp=_half),
    fault("backward_in_single", "The backward rounds to single precision.", "derivatives", vjp=_single),
    fault("saves_too_little", "The rule reads an operand whose value is not saved.", "derivatives", saves=(1,)),
    fault("recorded_differs", "The result differs where it is recorded for the tape.", "recorded", decompose=_recorded,
          vjp=None),
)  # fmt: skip
