"""Ops that are wrong in what a call gives, refuses or leaves behind, and under vmap and staging."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....backend import Spec
from ....errors import ShapeError
from ....op import Op
from ....ops.creation import asarray
from ....ops.elementwise import exp, sqrt
from ....tensor import Tensor
from ...kit.declare import OpSample, values
from ..fault import Fault
from .base import NAME, SAMPLES, Flags, W, X, fault, scaled, scaled_numpy, scaled_spec

_count = itertools.count()
_kept: dict[Any, np.ndarray] = {}
_random = np.random.default_rng(0)


def _kernel(x: Any, w: Any) -> Any:
    return np.exp(x) * w


def _off(x: Any, w: Any) -> Any:
    """Wrong in the elements past the last whole block of eight of a long row."""
    y = _kernel(x, w)
    if y.shape[-1] > 8 and y.shape[-1] % 8:
        y[..., -(y.shape[-1] % 8) :] *= y.dtype.type(2)
    return y


def _writes(x: Any, w: Any) -> Any:
    y = _kernel(x, w)
    if isinstance(x, np.ndarray) and x.flags.writeable and x.size:
        x *= 2
    return y


def _stale(x: Any, w: Any) -> Any:
    y = _kernel(x, w)
    buffer = _kept.setdefault((y.shape, y.dtype), np.empty_like(y))
    buffer[...] = y
    return buffer


def _nan(x: Any, w: Any) -> Any:
    return np.nan_to_num(_kernel(x, w), nan=0.0, posinf=np.inf, neginf=-np.inf)


def _noisy(x: Tensor, w: Tensor) -> Tensor:
    return scaled(x, w) + float(_random.random()) * 1e-3


def _counting(x: Tensor, w: Tensor) -> Tensor:
    return scaled(x, w) * (1.0 + next(_count) * 1e-6)


def _any_spec(x: Any, w: Any) -> Spec:
    return Spec(x.shape, x.dtype)


def _crashing_spec(x: Any, w: Any) -> Spec:
    if w.shape[0] != x.shape[-1]:
        raise ShapeError(f"{NAME}: w {w.shape} does not fit {x.shape}")
    return Spec(x.shape, x.dtype)


def _nameless_spec(x: Any, w: Any) -> Spec:
    if x.ndim == 0 or w.shape != x.shape[-1:]:
        raise ShapeError("shapes do not fit")
    return Spec(x.shape, x.dtype)


def _plain_spec(x: Any, w: Any) -> Spec:
    if x.ndim == 0 or w.shape != x.shape[-1:]:
        raise ValueError(f"{NAME}: x has shape {x.shape}, w {w.shape}")
    return Spec(x.shape, x.dtype)


def _late(x: Tensor, w: Tensor) -> Tensor:
    y = exp(x)
    if w.shape != x.shape[-1:]:
        raise ShapeError(f"{NAME}: x has shape {x.shape}, w {w.shape}")
    return y * w


def _wide_spec(x: Any, w: Any) -> Spec:
    scaled_spec(x, w)
    return Spec(x.shape, np.dtype("float64"))


def _long_spec(x: Any, w: Any) -> Spec:
    scaled_spec(x, w)
    return Spec((*x.shape[:-1], 1), x.dtype)


def _in_single(x: Tensor, w: Tensor) -> Tensor:
    return scaled(x.astype("float32"), w.astype("float32")).astype(x.dtype)


def _squared(x: Tensor, w: Tensor) -> Tensor:
    """exp(x) as the root of its square, which overflows first."""
    return sqrt(exp(x) * exp(x)) * w


def _branch(x: Tensor, w: Tensor) -> Tensor:
    return scaled(x, w) if x.reshape((-1,))[0].item() < 1e30 else x


def _frozen(x: Tensor, w: Tensor) -> Tensor:
    return exp(x) * asarray(w.detach().numpy(), device=x.device)


def _wrong_axis(size: int, xs: Sequence[Tensor], batched: Flags, /) -> Tensor:
    """Takes every operand for batched along the last axis."""
    x, w = xs
    return exp(x) * (w[0] if batched[1] else w)


def _all_batched(size: int, xs: Sequence[Tensor], batched: Flags, /) -> Tensor:
    x, w = xs
    return exp(x) * w.reshape((w.shape[0], *(1,) * (x.ndim - w.ndim), *w.shape[1:]))


def _first_only(size: int, xs: Sequence[Tensor], batched: Flags, /) -> Tensor:
    x, w = xs
    first = (x[0] if batched[0] else x), (w[0] if batched[1] else w)
    one = scaled(*first)
    return one.broadcast_to((size, *one.shape))


class _Casting(Op):
    """Takes what it is not defined for, and casts."""

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        floating = [x.astype("float32") if isinstance(x, Tensor) and x.dtype.kind in "biu" else x for x in xs]
        return super().__call__(*floating, **attrs)


class _Copied(Op):
    """Comes back from a pickle as something else."""

    def __reduce__(self) -> Any:
        return str, (self.name,)


def _transposed_numpy(x: Tensor, w: Tensor) -> Tensor:
    return exp(x[..., ::-1]) * w


_LARGE = (OpSample(NAME, (values(3, 4, low=5.0, high=6.0), W)),)
_SPECIAL = (*SAMPLES, OpSample(NAME, (np.array([[np.nan, 1.0, np.inf, 0.0]]), W), smooth=False))
_FORMULA = (OpSample(NAME, (X, W), reference=scaled_numpy),)

FAULTS: tuple[Fault, ...] = (
    fault("tail", "The last elements of a long row, past the whole blocks of eight, are doubled.", "values.float32",
          "decomposition", kernel=_off),
    fault("writes_its_operand", "The kernel changes operand 0.", "inputs_unchanged", kernel=_writes),
    fault("stale_buffer", "All results of one shape share memory.", "repeatable", kernel=_stale),
    fault("nan_swallowed", "NaN becomes 0.", "values.float32", kernel=_nan, samples=_SPECIAL),
    fault("not_deterministic", "The result varies from call to call.", "repeatable", decompose=_noisy, vjp=None),
    fault("counts_its_calls", "The result depends on how often it was called.", "repeatable", decompose=_counting,
          vjp=None),
    fault("no_shape_rule", "Operands of any shape are let through, and an op inside complains.", "shapes", "errors",
          spec=_any_spec),
    fault("shape_rule_crashes", "The shape rule itself breaks on operands without axes.", "shapes",
          spec=_crashing_spec),
    fault("error_without_a_name", "The error does not say which op it is about.", "shapes", "errors",
          spec=_nameless_spec),
    fault("plain_error", "A plain ValueError where ShapeError is due.", "shapes", "errors", spec=_plain_spec),
    fault("late_error", "Bad shapes are noticed after a kernel has run.", "errors", spec=_any_spec, decompose=_late),
    fault("wrong_dtype", "The shape rule promises float64 whatever comes in.", "values.float32", spec=_wide_spec),
    fault("wrong_shape", "The shape rule promises a last axis of size 1.", "values.float32", spec=_long_spec),
    fault("in_single", "float64 is computed in single precision.", "derivatives", "reference", decompose=_in_single,
          vjp=None),
    fault("overflows_early", "An intermediate result overflows in half precision.", "values.float16",
          decompose=_squared, vjp=None, samples=_LARGE),
    fault("another_formula", "Consistent in itself, but not what its author's own implementation gives.", "reference",
          decompose=_transposed_numpy, vjp=None, samples=_FORMULA),
    fault("looks_at_values", "A Python branch on a value: no graph can be made of it.", "staging", decompose=_branch,
          vjp=None),
    fault("frozen_operand", "An operand leaves through NumPy and comes back as a constant.", "derivatives", "staging",
          decompose=_frozen, vjp=None),
    fault("batch_on_the_wrong_axis", "The batching rule takes the first example's weight for all.", "batching",
          batch=_wrong_axis),
    fault("batch_takes_all_for_batched", "The batching rule takes every operand for batched.", "batching",
          batch=_all_batched),
    fault("batch_of_the_first", "The batching rule repeats the result of the first example.", "batching",
          batch=_first_only),
    fault("casts_in_silence", "Integers are cast instead of refused.", "dtypes", kind=_Casting),
    fault("lost_in_a_pickle", "A pickled op comes back as its name.", "pickling", kind=_Copied),
    fault("advertises_too_much", "Complex dtypes are advertised, but no call of them is right.",
          "values.complex64", dtypes="float complex", spec=scaled_spec,
          decompose=lambda x, w: scaled(x.abs() if x.dtype.kind == "c" else x, w.abs() if w.dtype.kind == "c" else w)),
)  # fmt: skip
