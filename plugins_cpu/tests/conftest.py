"""What the tests share: the backend, kernels called on NumPy arrays with their layout kept, arrays of every layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plugrad.backend import Spec
from plugrad.dtypes import as_dtype
from plugrad.program import Body, Eqn, Lit, Place, Plan, Program, nbytes
from plugrad_cpu import view
from plugrad_cpu.backend import CpuBackend

Call = Callable[..., Any]


@pytest.fixture(scope="session")
def backend() -> CpuBackend:
    """The backend."""
    return CpuBackend()


@pytest.fixture(scope="session")
def call(backend: CpuBackend) -> Call:
    """``call(op, *arrays, **attrs)``: the kernel on views that keep the arrays' strides; arrays out."""

    def run(op: str, *arrays: Any, **attrs: Any) -> Any:
        values = [view.over_array(a) if isinstance(a, np.ndarray) else a for a in arrays]
        before = [a.tobytes() if isinstance(a, np.ndarray) else None for a in arrays]
        result = backend.kernels[op].fn(*values, **attrs)
        for array, content in zip(arrays, before, strict=True):
            assert content is None or array.tobytes() == content, f"{op} wrote to an operand"
        results = result if isinstance(result, tuple) else (result,)
        outs = [settled(r) if isinstance(r, view.View) else np.asarray(r) for r in results]
        return tuple(outs) if isinstance(result, tuple) else outs[0]

    return run


def settled(value: view.View) -> np.ndarray:
    """The array on a view, which must know its own size and contiguity: later kernels rely on them."""
    array = np.asarray(value)
    assert value.is_contiguous == array.flags.c_contiguous, f"{value!r} says contiguous: {value.is_contiguous}"
    assert value.nbytes == array.nbytes
    return array


@pytest.fixture(scope="session")
def into(backend: CpuBackend) -> Call:
    """``into(op, k, *arrays, **attrs)``: the in-place form with operand k as the result; its new content."""

    def run(op: str, k: int, *arrays: Any, **attrs: Any) -> Any:
        values = [view.over_array(np.array(a, order="K")) for a in arrays]
        assert backend.into[op](values[k], *values, **attrs) is None
        return np.asarray(values[k])

    return run


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same elements under another layout."""
    if layout == "contiguous" or array.ndim == 0:
        return array
    if layout == "transposed":
        return np.asfortranarray(array)
    if layout == "swapped":
        return np.ascontiguousarray(np.moveaxis(array, 0, -1)).transpose(-1, *range(array.ndim - 1))
    if layout == "sliced":
        wide = np.zeros(tuple(2 * n + 3 for n in array.shape), array.dtype)
        wide[tuple(slice(1, 1 + 2 * n, 2) for n in array.shape)] = array
        return wide[tuple(slice(1, 1 + 2 * n, 2) for n in array.shape)]
    if layout == "flipped":
        return np.ascontiguousarray(np.flip(array))[(slice(None, None, -1),) * array.ndim]
    raise ValueError(layout)


LAYOUTS = ("contiguous", "transposed", "swapped", "sliced", "flipped")
INTS = tuple(np.dtype(t) for t in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"))
FLOATS = (np.dtype("f4"), np.dtype("f8"))
COMPLEX = (np.dtype("c8"), np.dtype("c16"))
COMPUTED = (np.dtype("?"), *INTS, *FLOATS)
STORED = (*COMPUTED, *COMPLEX, *map(as_dtype, ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")))


def sample(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, low: int = -9, high: int = 9
) -> np.ndarray:
    """Small values of a dtype, signs and repetitions included."""
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind == "c":
        return np.asarray(rng.normal(size=shape) * 3 + rng.normal(size=shape) * 3j).astype(dtype)
    if dtype.kind not in "iu":
        return np.asarray(rng.normal(size=shape) * 3).astype(dtype)
    return rng.integers(0 if dtype.kind == "u" else low, high, size=shape).astype(dtype)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20240607)


# -- programs, one equation after another in NumPy


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def _cumulative(update: Any) -> Call:
    def run(x: np.ndarray, i: np.ndarray, v: np.ndarray, axis: int) -> np.ndarray:
        out = x.copy()
        shape = (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :])
        update.at(out, (slice(None),) * axis + (i,), np.broadcast_to(v, shape))
        return out

    return run


def _pad(x: np.ndarray, low: Any, high: Any, interior: Any) -> np.ndarray:
    sizes = [a + b + n + (n - 1) * k for a, b, n, k in zip(low, high, x.shape, interior, strict=True)]
    out = np.zeros(sizes, x.dtype)
    out[tuple(slice(a, n - b, k + 1) for a, b, n, k in zip(low, high, sizes, interior, strict=True))] = x
    return out


def _at(start: Any, size: Any, step: Any) -> Any:
    """An index of the elements ``start + k * step``, k below ``size``."""
    rows = [np.arange(n) * k + first for first, n, k in zip(start, size, step, strict=True)]
    return np.ix_(*rows) if rows else ()


def _updated(x: np.ndarray, v: np.ndarray, start: Any, size: Any, step: Any) -> np.ndarray:
    out = x.copy()
    out[_at(start, size, step)] = v
    return out


NUMPY: dict[str, Call] = {
    **{name: getattr(np, name) for name in ("add", "maximum", "minimum", "remainder", "floor_divide", "invert")},
    **{name: getattr(np, name) for name in ("sqrt", "floor", "exp", "log", "tanh", "sin", "cos", "abs", "sign")},
    **{name: getattr(np, name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "equal", "less", "less_equal")},
    **{name: getattr(np, name) for name in ("where", "matmul", "real", "imag", "conj")},
    "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "neg": np.negative, "erf": _erf,
    "cast": lambda x, dtype: (x.real if x.dtype.kind == "c" and dtype.kind not in "cb" else x).astype(dtype),
    "sum": lambda x, axis, keepdims=False: np.sum(x, axis, dtype=x.dtype, keepdims=keepdims),
    "prod": lambda x, axis, keepdims=False: np.prod(x, axis, dtype=x.dtype, keepdims=keepdims),
    "max": lambda x, axis, keepdims=False: np.max(x, axis, keepdims=keepdims),
    "min": lambda x, axis, keepdims=False: np.min(x, axis, keepdims=keepdims),
    "argmax": lambda x, axis, keepdims=False: np.argmax(x, axis, keepdims=keepdims),
    "cumsum": lambda x, axis: np.cumsum(x, axis, dtype=x.dtype),
    "permute": lambda x, axes: np.transpose(x, axes),
    "reshape": lambda x, shape: np.reshape(x, shape),
    "broadcast_to": lambda x, shape: np.broadcast_to(x, shape),
    "slice": lambda x, **attrs: x[_at(**attrs)],
    "slice_update": _updated,
    "copy": np.copy,
    "alias": lambda x: x,
    "pad": _pad,
    "concat": lambda *xs, axis: np.concatenate(xs, axis),
    "gather": lambda x, i, axis: np.take(x, i, axis),
    "take_along": np.take_along_axis,
    "scatter_add": _cumulative(np.add),
    "full": lambda shape, dtype, value: np.full(shape, value, dtype),
    "iota": lambda size, dtype: np.arange(size).astype(dtype),
}  # fmt: skip
"""What each op means, said independently of the kernels."""


def evaluate(eqns: tuple[Eqn, ...], env: dict[int, Any]) -> dict[int, np.ndarray]:
    """All values, given those that equations do not give."""
    env = dict(env)
    for eqn in eqns:
        attrs = dict(eqn.attrs)
        ins = [np.asarray(x.value, x.dtype) if isinstance(x, Lit) else env[x] for x in eqn.ins]
        if eqn.op == "fused":
            body: Body = attrs["body"]
            inner = evaluate(body.eqns, dict(enumerate(ins)))
            env.update(zip(eqn.outs, [inner[v] for v in body.outputs], strict=True))
        else:
            with np.errstate(all="ignore"):
                env[eqn.outs[0]] = np.asarray(NUMPY[eqn.op](*ins, **attrs))
    return env


class Writer:
    """Writes equations down and works out the specs of their values, by running them on zeros in NumPy."""

    def __init__(self, *specs: tuple[tuple[int, ...], Any]) -> None:
        self.specs = [Spec(shape, np.dtype(dtype)) for shape, dtype in specs]
        self.eqns: list[Eqn] = []

    def __call__(self, op: str, *ins: Any, shape: Any = None, **attrs: Any) -> int:
        """One more equation; the number of its value. ``shape`` stretches the value in a group."""
        if shape is not None:
            attrs["shape"] = shape
        v = len(self.specs)
        env = {x: np.ones(self.specs[x].shape, self.specs[x].dtype) for x in ins if isinstance(x, int)}
        eqn = Eqn(op, ins, (v,), tuple(sorted(attrs.items())))
        for x in ins[1:2] if op in ("gather", "take_along", "scatter_add") else ():
            env[x] = env[x] * 0
        found = evaluate((eqn,), env)[v]
        self.specs.append(Spec(found.shape, found.dtype))
        self.eqns.append(eqn)
        return v

    def body(self, operands: int, outputs: tuple[int, ...], shape: tuple[int, ...]) -> Body:
        """The equations as a group's body; elementwise values have the group's shape."""
        ends = {v for e in self.eqns if e.op in ("sum", "prod", "max", "min") for v in e.outs}
        stretched = [s if v < operands or v in ends else Spec(shape, s.dtype) for v, s in enumerate(self.specs)]
        return Body(operands, tuple(stretched), tuple(self.eqns), outputs, shape)


MOVES = ("permute", "reshape", "broadcast_to", "slice", "alias")
IN_PLACE = ("add", "sub", "mul", "maximum", "neg", "tanh", "less", "cast", "slice_update", "scatter_add", "fused")


def planned(program: Program, donated: tuple[tuple[int, int], ...] = ()) -> Program:
    """The program with a place for each value: freed memory is used again, dying operands of ops that allow it give
    their memory to the result.
    """
    n = len(program.eqns)
    root = list(range(len(program.specs)))
    views = {}
    for e in program.eqns:
        if e.op in MOVES and e.outs[0] not in program.outputs:
            views[e.outs[0]] = e.ins[0]
            root[e.outs[0]] = root[e.ins[0]]
    last = [-1] * len(program.specs)
    for i, e in enumerate(program.eqns):
        for x in e.values:
            last[root[x]] = i
    for v in program.outputs:
        last[root[v]] = n
    for v in program.inputs:
        last[v] = max(last[v], -1)
    places: dict[int, Place] = {v: Place("input", k) for k, v in enumerate(program.inputs)}
    places |= {v: Place("const", 0) for v in program.consts}
    donors = {program.outputs[out]: k for k, out in donated}
    live: dict[int, tuple[int, int]] = {}
    top = 0
    for i, e in enumerate(program.eqns):
        for v in e.outs:
            if v in views:
                places[v] = Place("view", views[v])
            elif v in program.outputs:
                places[v] = Place("donated", donors[v]) if v in donors else Place("output", program.outputs.index(v))
            else:
                size = -(-max(nbytes(program.specs[v]), 1) // 64) * 64
                at = None
                for x in e.values if e.op in IN_PLACE else ():
                    same = nbytes(program.specs[x]) == nbytes(program.specs[v]) and x in live
                    alone = sum(root[y] == x for y in e.values) == 1
                    if same and alone and last[x] == i and program.specs[x].shape == program.specs[v].shape:
                        at = live.pop(x)[0]
                        break
                if at is None:
                    at = 0
                    for a, b in sorted(live.values()):
                        if at + size <= a:
                            break
                        at = max(at, b)
                live[v] = at, at + size
                top = max(top, at + size)
                places[v] = Place("arena", at)
        live = {v: where for v, where in live.items() if last[v] > i}
    return program.replace(plan=Plan(tuple([places[v] for v in range(len(program.specs))]), top), donated=donated)


def program(w: Writer, inputs: int, outputs: tuple[int, ...], consts: Any = None) -> Program:
    """What a writer has written."""
    return Program(tuple(w.specs), tuple(range(inputs)), consts or {}, tuple(w.eqns), outputs)


class Kit:
    """The helpers above, for tests: ``kit.laid_out``, ``kit.LAYOUTS``, ``kit.sample``."""

    evaluate = staticmethod(evaluate)
    evaluate_one = staticmethod(lambda op, *arrays, **attrs: NUMPY[op](*arrays, **attrs))
    Writer = Writer
    planned, program = staticmethod(planned), staticmethod(program)

    laid_out = staticmethod(laid_out)
    sample = staticmethod(sample)
    LAYOUTS, INTS, FLOATS, COMPLEX = LAYOUTS, INTS, FLOATS, COMPLEX
    COMPUTED, STORED = COMPUTED, STORED


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    """The helpers of this file."""
    return Kit


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``layout``, ``stored``, ``computed``, ``number`` and ``floating`` arguments run over all layouts and dtypes."""
    lists: dict[str, tuple[Any, ...]] = {
        "layout": LAYOUTS,
        "stored": STORED,
        "computed": COMPUTED,
        "number": (*INTS, *FLOATS),
        "floating": FLOATS,
    }
    for name, values in lists.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, ids=str)
