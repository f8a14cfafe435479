"""The contract's checks find faults that show only at the edges: many elements, the ends of integers, zeros of both
signs, late positions, memory that is handed out twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from faulty_backends import CHECKS, K, into, kernel, loaded

from plugrad.backend import Kernel, Spec
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import check_backend

INTO = NumpyBackend.into
silent = np.errstate(all="ignore")


def first(name: str, n: int) -> Any:
    """The op's kernel, but zeros after the first n elements of the result."""

    def fn(*xs: Any, **attrs: Any) -> Any:
        found = np.array(K[name](*xs, **attrs))
        if found.size > n:
            found.reshape(-1)[n:] = 0
        return found

    return kernel(name, fn)


def of(name: str, when: Callable[..., Any], then: Callable[..., Any]) -> dict[str, Any]:
    """The op's kernel, but another function where ``when`` holds of the operands."""

    @silent
    def fn(*xs: Any, **attrs: Any) -> Any:
        return np.asarray(then(*xs, **attrs)) if when(*xs) else K[name](*xs, **attrs)

    return kernel(name, fn)


def floating(*xs: Any) -> bool:
    return bool(xs[-1].dtype.kind == "f")


def typed(name: str) -> Callable[..., bool]:
    return lambda *xs: bool(xs[0].dtype == name)


def wide_mul(x: Any, y: Any) -> Any:
    return np.clip(x.astype("i8") * y.astype("i8"), -(2**31), 2**31 - 1).astype("i4")


def blocks(x: Any, *, axis: int) -> Any:
    cuts = range(128, x.shape[axis], 128)
    return np.concatenate([K["cumsum"](p, axis=axis) for p in np.array_split(x, cuts, axis)], axis)


def into_gaps(x: Any) -> Any:
    if x.base is not None and x.ndim == 2 and x.base.shape == tuple(2 * d + 1 for d in x.shape):
        x.base[0, 0] = 77
    return K["exp"](x)


def neg_of_columns(x: Any) -> Any:
    if x.ndim == 2 and x.flags.f_contiguous and not x.flags.c_contiguous and x.flags.writeable:
        return np.negative(x, out=x)
    return np.negative(x)


def scratch(name: str) -> dict[str, Any]:
    """One result's memory for all calls of a shape."""
    memory: dict[Any, np.ndarray] = {}

    def fn(*xs: Any, **attrs: Any) -> Any:
        found = np.asarray(K[name](*xs, **attrs))
        space = memory.setdefault((found.shape, found.dtype), np.empty_like(found))
        space[...] = found
        return space[...]

    return kernel(name, fn)


def shared(name: str) -> dict[str, Any]:
    """Operands pass through memory that all threads share."""
    memory: dict[Any, np.ndarray] = {}

    def fn(x: Any, *rest: Any, **attrs: Any) -> Any:
        if x.size < 1000:
            return K[name](x, *rest, **attrs)
        space = memory.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
        space[...] = x
        time.sleep(1e-3)
        return K[name](space, *rest, **attrs)

    return kernel(name, fn)


def clamped(x: Any, i: Any, *, axis: int) -> Any:
    return np.take(x, np.clip(i, 0, x.shape[axis] - 1), axis=axis)


def hasty_scatter(out: Any, x: Any, i: Any, v: Any, *, axis: int) -> Any:
    out[...] = x
    np.add.at(out, (slice(None),) * axis + (i % max(x.shape[axis], 1),), v)
    if ((i >= x.shape[axis]) | (i < -x.shape[axis])).any():
        raise IndexError("too late")


@silent
def returns_out(out: Any, x: Any, y: Any) -> Any:
    return np.multiply(x, y, out=out) if type(out) is np.ndarray else NotImplemented


def not_of_itself(out: Any, x: Any, y: Any) -> Any:
    return None if out is x and x is y else INTO["sub"](out, x, y)


@silent
def contiguous_out(out: Any, x: Any, y: Any) -> Any:
    if type(out) is not np.ndarray:
        return NotImplemented
    out.reshape(-1)[:] = np.add(x, y).reshape(-1)
    return None


def finite_only(x: Any, y: Any) -> Any:
    return K["add"](x, x.dtype.type(0) if isinstance(y, float) and not np.isfinite(y) else y)


POOL: dict[Any, np.ndarray] = {}


def one_memory(self: Any, shape: Any, dtype: Any, device: str) -> Any:
    return POOL.setdefault((shape, dtype), np.empty(shape, dtype))[...]


def kept_if(condition: Callable[[Any], bool]) -> dict[str, Any]:
    """A from_host that keeps some arrays."""
    return {"from_host": lambda self, a, device: a[...] if condition(a) else np.array(a, order="C")}


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "mul drops elements after 1024": (first("mul", 1024), "values.mul"),
    "where drops elements after 1024": (first("where", 1024), "values.where"),
    "random_bits drops words after 1024": (first("random_bits", 1024), "values.random_bits"),
    "cumsum starts afresh": (kernel("cumsum", blocks), "values.cumsum"),
    "argmax looks at 256": (
        kernel("argmax", lambda x, *, axis, keepdims: K["argmax"](
            x[(slice(None),) * axis + (slice(256),)], axis=axis, keepdims=keepdims)), "values.argmax"),
    "max of four axes": (of("max", lambda x: x.ndim == 4, lambda x, **a: K["max"](x, **a) * 0), "values.max"),
    "sub of five axes": (of("sub", lambda x, y: x.ndim == 5, lambda x, y: K["sub"](x, y) * 0), "values.sub"),
    "uint32 compared as int32": (
        of("less", typed("u4"), lambda x, y: np.less(x.astype("i4"), y.astype("i4"))), "values.less"),
    "max of uint32 as int32": (
        of("max", typed("u4"), lambda x, **a: K["max"](x.astype("i4"), **a).astype("u4")), "values.max"),
    "shift_right of uint32 is arithmetic": (
        of("shift_right", typed("u4"), lambda x, y: (x.astype("i4") >> y.astype("i4")).astype("u4")),
        "values.shift_right"),
    "int64 added as float64": (
        of("add", typed("i8"), lambda x, y: (x.astype("f8") + y.astype("f8")).astype("i8")), "values.add"),
    "int32 mul saturates": (of("mul", typed("i4"), wide_mul), "values.mul"),
    "int64 is cast through float32": (
        of("cast", typed("i8"), lambda x, *, dtype: x.astype("f4").astype(dtype)), "values.cast"),
    "NaN is cast to False": (
        kernel("cast", lambda x, *, dtype: (x != 0) & (x == x) if dtype == "b1" else K["cast"](x, dtype=dtype)),
        "values.cast"),
    "int64 concatenated as float32": (
        of("concat", typed("i8"), lambda *xs, axis: np.concatenate([x.astype("f4") for x in xs], axis).astype("i8")),
        "values.concat"),
    "concat of one tensor twice": (
        of("concat", lambda *xs: len(xs) == 2 and xs[0] is xs[1], lambda *xs, axis: np.concatenate(xs, axis) * 0),
        "values.concat"),
    "integer prod is 1": (
        of("prod", lambda x: x.dtype.kind in "iu", lambda x, **a: np.ones_like(K["prod"](x, **a))), "values.prod"),
    "full knows 0 and 1": (
        kernel("full", lambda *, shape, dtype, value, device: np.full(shape, 1 if value else 0, dtype)),
        "values.full"),
    "iota wraps at 255": (
        kernel("iota", lambda *, size, dtype, device: np.arange(size).astype("u1").astype(dtype)), "values.iota"),
    "pow by logarithms": (of("pow", floating, lambda x, y: np.exp(y * np.log(x)).astype(x.dtype)), "values.pow"),
    "remainder of a negative divisor": (
        of("remainder", floating, lambda x, y: np.abs(np.remainder(x, np.abs(y)))), "values.remainder"),
    "div by zero is 0": (
        of("div", floating, lambda x, y: np.where(y == 0, x.dtype.type(0), np.divide(x, y))), "values.div"),
    "where multiplies": (
        of("where", floating, lambda c, x, y: (c * x + (~c) * y).astype(x.dtype)), "values.where"),
    "matmul skips NaN": (
        of("matmul", floating, lambda a, b: K["matmul"](a, np.nan_to_num(b))), "values.matmul"),
    "prod skips NaN": (of("prod", floating, lambda x, **a: K["prod"](np.where(x != x, 1, x).astype(x.dtype), **a)),
        "values.prod"),
    "neg of 0 is 0": (of("neg", floating, lambda x: x.dtype.type(0) - x), "values.neg"),
    "abs of -0 is -0": (of("abs", floating, lambda x: np.where(x < 0, -x, x)), "values.abs"),
    "copy loses the sign of 0": (of("copy", floating, lambda x: x + x.dtype.type(0)), "values.copy"),
    "expm1 is exp - 1": (of("expm1", floating, lambda x: np.exp(x) - x.dtype.type(1)), "values.expm1"),
    "log1p is log of 1 + x": (of("log1p", floating, lambda x: np.log(x + x.dtype.type(1))), "values.log1p"),
    "exp flushes small results": (
        of("exp", floating, lambda x: np.where(np.exp(x) < 1e-6, 0, np.exp(x)).astype(x.dtype)), "values.exp"),
    "sin of large arguments": (
        of("sin", floating, lambda x: np.where(np.abs(x) < 1000, np.sin(x), 0).astype(x.dtype)), "values.sin"),
    "erf of NaN": (of("erf", floating, lambda x: np.where(x != x, 1, K["erf"](x)).astype(x.dtype)), "values.erf"),
    "random_bits of many keys": (
        of("random_bits", lambda key: key.ndim == 3, lambda key, *, shape: K["random_bits"](key[::-1], shape=shape)),
        "values.random_bits"),
    "random_bits of no keys": (
        of("random_bits", lambda key: key.size == 0, lambda key, *, shape: 1 / 0), "values.random_bits"),
    "matmul of no batches": (
        of("matmul", lambda a, b: a.ndim > 2 and a.size == 0, lambda a, b: 1 / 0), "values.matmul"),
    "exp writes into gaps": (kernel("exp", into_gaps), "kernels.operands_are_not_written"),
    "neg writes transposed operands": (kernel("neg", neg_of_columns), "kernels.operands_are_not_written"),
    "sqrt has one result's memory": (scratch("sqrt"), "kernels.result_is_fresh"),
    "sqrt has one result's memory, no into": ({**scratch("sqrt"), "into": {}}, "kernels.result_is_fresh"),
    "full has one result's memory": (scratch("full"), "kernels.result_is_fresh"),
    "copy returns its operand, no into": ({**kernel("copy", lambda x: x), "into": {}}, "kernels.result_is_fresh"),
    "copy of a view is a view": (
        of("copy", lambda x: not x.flags.c_contiguous, lambda x: x[...]), "kernels.result_is_fresh"),
    "pad by nothing returns the operand": (
        kernel("pad", lambda x, *, low, high, interior: K["pad"](x, low=low, high=high, interior=interior)
            if not x.ndim or any((*low, *high, *interior)) else x[...]), "kernels.result_is_fresh"),
    "where all is true": (
        of("where", lambda c, x, y: c.all() and c.shape == x.shape == y.shape, lambda c, x, y: x[...]),
        "kernels.result_is_fresh"),
    "gather clamps float32": (of("gather", typed("f4"), clamped), "kernels.bad_index"),
    "gather clamps on axis 1": (
        kernel("gather", lambda x, i, *, axis: (clamped if axis else K["gather"])(x, i, axis=axis)),
        "kernels.bad_index"),
    "gather looks at four positions": (
        of("gather", lambda x, i: i.size > 4, clamped), "kernels.bad_index"),
    "gather from an empty axis": (
        kernel("gather", lambda x, i, *, axis: K["gather"](x, i, axis=axis) if x.shape[axis]
            else np.zeros(x.shape[:axis] + i.shape + x.shape[axis + 1:], x.dtype)), "kernels.bad_index"),
    "into scatter_add writes first": (into("scatter_add", hasty_scatter), "inplace.bad_index"),
    "into returns out": (into("mul", returns_out), "inplace.into_values"),
    "into of one operand twice": (into("sub", not_of_itself), "inplace.into_values"),
    "into wants a contiguous out": (into("add", contiguous_out), "inplace.into_values"),
    "a scalar that is not finite": (kernel("add", Kernel(finite_only, scalars=True)), "kernels.scalars"),
    "from_host keeps float64": (kept_if(lambda a: a.dtype == "f8"), "host.from_host_copies"),
    "from_host keeps views": (kept_if(lambda a: a.base is not None), "host.from_host_copies"),
    "from_host keeps read-only arrays": (kept_if(lambda a: not a.flags.writeable), "host.from_host_copies"),
    "to_host of float64 may be written": (
        {"to_host": lambda self, v: np.asarray(v) if v.dtype == "f8" else NumpyBackend.to_host(self, v)},
        "host.to_host_is_not_written"),
    "spec has NumPy's integers": (
        {"spec": lambda self, v: Spec(tuple(np.int64(d) for d in v.shape), v.dtype)}, "host.spec"),  # type: ignore[arg-type]
    "borrow of a 0-d array": ({"borrow": lambda self, a, device: np.atleast_1d(a)}, "memory.borrow"),
    "empty gives one memory": ({"empty": one_memory}, "memory.empty"),
    "threads share memory of prod": (shared("prod"), "threads.kernels"),
    "threads share memory of cumsum": (shared("cumsum"), "threads.kernels"),
    "threads share memory of concat": (shared("concat"), "threads.kernels"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_the_edge_is_caught(fault: str) -> None:
    members, check = FAULTS[fault]
    device = loaded(**members)
    with pytest.raises(AssertionError, match=device):
        for _ in range(5 if "threads" in fault else 1):
            CHECKS[check](device)


def test_the_backend_is_left_as_it_was() -> None:
    """Also one whose ``into`` is an attribute of the instance, or a property."""
    device = loaded(__init__=lambda self: setattr(self, "into", dict(INTO)))
    CHECKS["inplace.into_is_used"](device)
    computed = loaded(into=property(lambda self: dict(INTO)))
    CHECKS["inplace.into_is_used"](computed)
    check_backend(device, "inplace.into")


@pytest.mark.parametrize("setting", ["PLUGRAD_VIEW_WRITE", "PLUGRAD_FALLBACK"])
def test_the_environment_accuses_nobody(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting, "error")
    check_backend(loaded(kernels={name: fn for name, fn in K.items() if name != "erf"}), "inplace.")
    check_backend(loaded(kernels={name: fn for name, fn in K.items() if name != "erf"}), "values.erf")


def test_a_form_may_decline() -> None:
    check_backend(loaded(into={**INTO, "add": lambda out, x, y: NotImplemented}), "inplace.into")


def test_random_numbers_are_not_needed() -> None:
    check_backend(loaded(dtypes="b1 i8 f8"), "derivatives.differences")
