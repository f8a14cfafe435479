"""Random programs: a list of codes (four numbers a step) is decoded against the shapes and dtypes of the values so far,
so that it means the same eager, staged, batched and differentiated. Which functions there are is found by looking.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import plugrad as pg
from plugrad.dtypes import KIND
from plugrad.errors import LeakedTracerError, PlugradError

Code = tuple[int, int, int, int]
FAMILIES = pg.elementwise, pg.reduction, pg.movement, pg.contraction, pg.indexing
OPERANDS = {"x", "y", "a", "b", "x1", "x2", "condition"}
DTYPES = ["bool", "int8", "int32", "int64", "uint8", "float32", "float64", "complex64", "float16", "bfloat16"]
LAYOUTS = 6
SHAPES = [(), (3,), (2, 3), (1, 3), (2, 1), (4, 2, 3), (0, 3), (1,)]


def array(shape: int, dtype: int, layout: int, seed: int, dtypes: list[str] = DTYPES) -> np.ndarray:
    """Small numbers in one of several layouts."""
    sizes, kind = SHAPES[shape % len(SHAPES)], pg.as_dtype(dtypes[dtype % len(dtypes)])
    doubled = (*sizes[:-1], sizes[-1] * 2) if sizes else ()
    rng = np.random.default_rng(seed)
    real = rng.integers(0 if KIND[pg.dtypes.CODE[kind]] in "bu" else -4, 5, doubled if layout == 3 else sizes)
    values = np.asarray(real / 2 if kind.kind not in "biu" else real).astype(kind)
    if layout == 1:
        return np.asfortranarray(values)
    if layout == 2 and sizes:
        return np.flip(np.flip(values).copy())
    if layout == 3 and sizes:
        return values[..., ::2]
    if layout == 4 and sizes:
        return np.broadcast_to(values[:1], sizes) if sizes[0] else values
    return np.moveaxis(np.moveaxis(values, 0, -1).copy(), -1, 0) if layout == 5 and sizes else values


# -- arguments that are not operands, by their names


def _axis(pick: random.Random, x: Any) -> Any:
    return pick.randrange(-x.ndim, x.ndim) if x.ndim else 0


def _axes(pick: random.Random, x: Any) -> Any:
    return tuple(pick.sample(range(x.ndim), pick.randint(0, x.ndim)))


def _shape(pick: random.Random, x: Any) -> Any:
    choices = [(-1,), x.shape[::-1], (*x.shape, 1), (1, *x.shape), (x.size,)]
    return pick.choice(choices)


def _permutation(pick: random.Random, x: Any) -> Any:
    return tuple(pick.sample(range(x.ndim), x.ndim))


def _positions(pick: random.Random, n: int, count: int) -> np.ndarray:
    return np.array([pick.randrange(-n, n) for _ in range(count)] if n else [], np.int64)


def _widths(pick: random.Random, x: Any) -> Any:
    return [(pick.randint(0, 2), pick.randint(0, 1)) for _ in x.shape]


def _any_axis(pick: random.Random, x: Any) -> Any:
    return pick.choice([None, _axis(pick, x), _axes(pick, x)])


ARGUMENTS: dict[str, Callable[[random.Random, Any], Any]] = {
    "axis": _any_axis,
    "axes": _permutation,
    "keepdims": lambda pick, x: pick.random() < 0.5,
    "correction": lambda pick, x: pick.choice([0, 0.5]),
    "dtype": lambda pick, x: pick.choice(DTYPES[:7]),
    "shape": _shape,
    "source": _axis,
    "destination": _axis,
    "sections": lambda pick, x: 1,
    "widths": _widths,
    "shift": lambda pick, x: pick.randint(-3, 3),
    "repeats": lambda pick, x: pick.randint(0, 2),
    "repetitions": lambda pick, x: (pick.randint(1, 2),) * x.ndim,
    "k": lambda pick, x: pick.randint(-1, 1),
    "min": lambda pick, x: -1,
    "max": lambda pick, x: 1,
    "value": lambda pick, x: pick.randint(0, 2),
    "descending": lambda pick, x: pick.random() < 0.5,
}


def _is_value(x: Any) -> bool:
    return isinstance(x, pg.Tensor)


def _finite(x: Any, unsigned: bool) -> Any:
    """What every backend casts to an integer alike."""
    real = pg.real(x)
    return pg.clip(pg.where(pg.isfinite(real), real, 0), 0 if unsigned else -100, 100)


def _guarded(name: str, xs: list[Any], arguments: dict[str, Any]) -> list[Any]:
    """Operands for which the result is defined, so that it is the same everywhere."""
    kinds = [KIND[x.dt] for x in xs]
    if arguments.get("dtype") and KIND[pg.dtypes.CODE[pg.as_dtype(arguments["dtype"])]] in "biu" and kinds[0] in "fc":
        return [_finite(xs[0], "u" in arguments["dtype"]), *xs[1:]]
    if len(xs) == 2 and set(kinds) <= {"i", "u", "b"}:
        if "divide" in name or "remainder" in name:
            return [xs[0], pg.where(xs[1] == 0, xs[1].ones_like(), xs[1])]
        if "shift" in name:
            return [xs[0], pg.bitwise_and(xs[1], pg.full((), 7, dtype=xs[1].dtype, device=xs[1].device))]
        if name == "pow":
            return [xs[0], pg.bitwise_and(xs[1], pg.full((), 3, dtype=xs[1].dtype, device=xs[1].device))]
    return xs


# -- the steps


class Call:
    """A public function with operands and, where its signature has them, arguments that fit."""

    def __init__(self, name: str, function: Any) -> None:
        self.name, self.function = name, function
        parameters = list(inspect.signature(function).parameters.values())
        self.many = bool(parameters) and parameters[0].name == "xs"
        self.spread = self.many and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        self.operands = sum(p.name in OPERANDS for p in parameters)
        rest = [p for p in parameters if p.name not in OPERANDS and p.name != "xs"]
        self.positional = [p.name for p in rest if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
        self.keywords = [p.name for p in rest if p.name in ARGUMENTS and p.name not in self.positional]
        self.known = (self.many or self.operands) and all(name in ARGUMENTS for name in self.positional)

    def __call__(self, xs: list[Any], pick: random.Random) -> Any:
        given = {name: ARGUMENTS[name](pick, xs[0]) for name in self.positional}
        given |= {name: ARGUMENTS[name](pick, xs[0]) for name in self.keywords if pick.random() < 0.6}
        xs = _guarded(self.name, xs, given)
        if self.many:
            return self.function(*xs, **given) if self.spread else self.function(xs, **given)
        return self.function(*xs, **given)


def _index(xs: list[Any], pick: random.Random) -> Any:
    x = xs[0]
    parts: list[Any] = []
    for n in x.shape:
        start, step = pick.randint(-n - 1, n + 1), pick.choice([1, 2, -1, -2])
        one = pick.randrange(-n, n) if n else slice(None)
        parts.append(pick.choice([slice(None), slice(start, None, step), one, slice(None, start, step)]))
    return x[(*parts, None) if pick.random() < 0.2 else tuple(parts)]


def _gather(xs: list[Any], pick: random.Random) -> Any:
    a = pick.randrange(xs[0].ndim)
    return pg.take(xs[0], _positions(pick, xs[0].shape[a], 3), axis=a)


def _write(xs: list[Any], pick: random.Random) -> Any:
    """An assignment to rows, then augmented ones, of a copy; and what another handle on its value kept."""
    x = pg.copy(xs[0])
    other = pg.positive(x)
    n = x.shape[0]
    if n:
        x[pick.randrange(n)] = pick.choice([1, 0, xs[1]])
    x[pick.randint(-n, n) :: pick.choice([1, -1, 2])] = pick.choice([1, x.zeros_like(())])
    x += x.ones_like()
    x *= xs[1]
    return x, other


def _matmul(xs: list[Any], pick: random.Random) -> Any:
    a = pg.expand_dims(xs[0], 0) if xs[0].ndim == 1 else xs[0]
    return pg.matmul(a, pg.matrix_transpose(a))


EXTRA: dict[str, tuple[int, Callable[[list[Any], random.Random], Any]]] = {
    "[]": (1, _index),
    "gather": (1, _gather),
    "[]=": (2, _write),
    "a @ a.T": (1, _matmul),
}


def _discovered() -> dict[str, Call]:
    calls = [Call(name, getattr(family, name)) for family in FAMILIES for name in family.__all__]
    return {call.name: call for call in calls if call.known}


def samples() -> list[Any]:
    """Operands that suit one function or another."""
    names = ["float32", "int64", "bool", "uint8", "complex64"]
    return [pg.asarray(array(shape, 0, 0, 3, [name]), device="numpy") for name in names for shape in (2, 1, 3, 5, 0)]


def works(call: Call, tries: int = 200) -> bool:
    """Whether the function takes some of the operands and can be staged: its shapes do not depend on values."""
    pool = samples()
    for seed in range(tries):
        pick = random.Random(seed)
        first = pick.choice(pool)
        xs = [first, *[pick.choice([first, pick.choice(pool)]) for _ in range(max(call.operands, 1) - 1)]]
        try:
            pg.stage(lambda *xs, seed=seed: call(list(xs), random.Random(seed)), *xs)
        except LeakedTracerError:
            return False
        except (PlugradError, IndexError, ValueError, TypeError):
            continue
        return True
    return False


CALLS = _discovered()
STEPS: list[tuple[str, int, Any]] = [(name, max(c.operands, 1 + c.many), c) for name, c in CALLS.items() if works(c)]
STEPS += [(name, count, f) for name, (count, f) in EXTRA.items()]


def step(code: Code, values: list[Any]) -> tuple[str, list[Any], Callable[[list[Any]], Any]]:
    """The name, the operands and the function of one step. Operands are taken where the shapes fit."""
    which, i, j, seed = code
    name, count, call = STEPS[which % len(STEPS)]
    xs = [values[i % len(values)]]
    for k in range(1, count):
        near = [v for v in values if v.shape == xs[0].shape or v.shape in ((), xs[0].shape[-1:])]
        bools = [v for v in near if v.dtype == pg.bool]
        xs.append(near[(j + k) % len(near)])
        if name == "where" and k == 1 and bools:
            xs[0] = bools[j % len(bools)]
    return name, xs, lambda given: call(given, random.Random(seed))


Said = list[tuple[str, list[Any], Any, Callable[[list[Any]], Any]]]


def run(codes: list[Code], xs: list[Any], said: Said | None = None) -> tuple[Any, ...]:
    """The values of a program. A step that the operands do not suit is left out; ``said`` hears of all others."""
    values = list(xs)
    for code in codes:
        name, given, call = step(code, values)
        try:
            found = call(given)
        except LeakedTracerError:
            raise
        except (PlugradError, IndexError, ValueError, TypeError, OverflowError):
            continue
        results = list(found) if isinstance(found, (list, tuple)) else [found]
        values += [y for y in results if _is_value(y) and y.size <= 200]
        if said is not None:
            said.append((name, given, results, call))
    return tuple(values)
