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
FAMILIES = (
    pg.elementwise, pg.elementary, pg.reduction, pg.movement, pg.arrange, pg.contraction, pg.indexing, pg.sorting,
    pg.windows, pg.guarded, pg.fft, pg.linalg,
)  # fmt: skip
LEFT_OUT = {
    "bitcast", "broadcast_shapes", "fft.fftfreq", "fft.rfftfreq",
    "linalg.cholesky", "linalg.det", "linalg.eig", "linalg.eigh", "linalg.eigvals", "linalg.eigvalsh", "linalg.inv",
    "linalg.matrix_rank", "linalg.pinv", "linalg.qr", "linalg.slogdet", "linalg.solve", "linalg.solve_triangular",
    "linalg.svd", "linalg.svdvals",
}  # fmt: skip
"""Functions of no tensor, one that shows the last bits of sums, and those that raise, or whose derivative does, for
some values, which a graph or a batch cannot foresee.
"""
OPERANDS = {"x", "y", "a", "b", "x1", "x2", "condition"}
MANY = {"xs", "arrays"}
DTYPES = ["bool", "int8", "int32", "int64", "uint8", "float32", "float64", "complex64", "float16", "bfloat16"]
LAYOUTS = 6
SHAPES = [(), (3,), (2, 3), (1, 3), (2, 1), (4, 2, 3), (0, 3), (1,), (2, 2)]


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
    "window_shape": lambda pick, x: (1,) * x.ndim,
    "stride": lambda pick, x: pick.randint(1, 2),
    "indexing": lambda pick, x: pick.choice(["xy", "ij"]),
    "side": lambda pick, x: pick.choice(["left", "right"]),
    "invert": lambda pick, x: pick.random() < 0.5,
    "norm": lambda pick, x: pick.choice(["backward", "ortho", "forward"]),
    "n": lambda pick, x: pick.randint(1, 3),
    "offset": lambda pick, x: pick.randint(-1, 1),
    "upper": lambda pick, x: pick.random() < 0.5,
}
OF_NAME: dict[tuple[str, str], Callable[[random.Random, Any], Any]] = {
    ("roll", "axis"): _axis,
    ("top_k", "axis"): _axis,
    ("top_k", "k"): lambda pick, x: pick.randint(0, min(x.shape, default=0)),
    ("repeat", "axis"): _axis,
    ("fft.fftshift", "axes"): _any_axis,
    ("fft.ifftshift", "axes"): _any_axis,
    ("sliding_window_view", "axis"): lambda pick, x: None,
    **{(f"linalg.{name}", "dtype"): lambda pick, x: None for name in ("trace",)},
}
"""Arguments that mean something else for one function."""


def _is_value(x: Any) -> bool:
    return isinstance(x, pg.Tensor)


def _finite(x: Any, unsigned: bool) -> Any:
    """What every backend casts to an integer alike."""
    real = pg.real(x)
    return pg.clip(pg.where(pg.isfinite(real), real, 0), 0 if unsigned else -100, 100)


def _guarded(name: str, xs: list[Any], arguments: dict[str, Any]) -> list[Any]:
    """Operands for which the result is defined, so that it is the same everywhere."""
    kinds = [KIND[x.dt] for x in xs]
    if name == "searchsorted":
        return [pg.sort(xs[0]), xs[1]]
    if name in ("signbit", "copysign"):  # a NaN has either sign
        return [pg.where(pg.isnan(x), 1, x) for x in xs]
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
        self.many = bool(parameters) and parameters[0].name in MANY
        self.spread = self.many and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        self.operands = sum(p.name in OPERANDS for p in parameters)
        kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        rest = [p for p in parameters if p.name not in OPERANDS and p.name not in MANY and p.kind not in kinds]
        self.positional = [p.name for p in rest if p.kind is not p.KEYWORD_ONLY and p.default is p.empty]
        self.keywords = [p.name for p in rest if p.name in ARGUMENTS and p.name not in self.positional]
        self.known = (self.many or self.operands) and all(name in ARGUMENTS for name in self.positional)

    def _drawn(self, argument: str, pick: random.Random, x: Any) -> Any:
        return OF_NAME.get((self.name, argument), ARGUMENTS[argument])(pick, x)

    def __call__(self, xs: list[Any], pick: random.Random) -> Any:
        first = {name: self._drawn(name, pick, xs[0]) for name in self.positional}
        given = {name: self._drawn(name, pick, xs[0]) for name in self.keywords if pick.random() < 0.6}
        xs = _guarded(self.name, xs, first | given)
        if self.many:
            return self.function(*xs, **given) if self.spread else self.function(xs, *first.values(), **given)
        return self.function(*xs, *first.values(), **given)


def _index(x: Any, pick: random.Random) -> Any:
    """Integers, slices, positions and masks."""
    parts: list[Any] = []
    for n in x.shape:
        start, step = pick.randint(-n - 1, n + 1), pick.choice([1, 2, -1, -2])
        one = pick.randrange(-n, n) if n else slice(None)
        some = np.array([pick.random() < 0.5 for _ in range(n)], bool)
        kinds = [slice(None), slice(start, None, step), one, slice(None, start, step)]
        parts.append(pick.choice([*kinds, *kinds, _positions(pick, n, 2), some]))
    return (*parts, None) if pick.random() < 0.2 else tuple(parts)


def _read(xs: list[Any], pick: random.Random) -> Any:
    return xs[0][_index(xs[0], pick)]


def _changed(xs: list[Any], pick: random.Random) -> Any:
    """A place written as a function; the values are the same everywhere, so that their order does not matter."""
    place = xs[0].at[_index(xs[0], pick)]
    way = pick.choice([place.set, place.add, place.multiply, place.min, place.max])
    return way(pick.choice([1, 0, xs[0].ones_like(())]))


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


def _einsum(xs: list[Any], pick: random.Random) -> Any:
    a, b = "ij"[: xs[0].ndim], "ij"[: xs[1].ndim][::-1] if xs[1].ndim == 2 else "j"[: xs[1].ndim]
    return pg.einsum(f"{a},{b}->{pick.choice(['', 'i', 'ij', 'ji'])}", xs[0], xs[1])


def _cond(xs: list[Any], pick: random.Random) -> Any:
    return pg.cond(pg.any(xs[0] != 0), lambda x, y: (x * x, y), lambda x, y: (x + x, pg.flip(y)), *xs)


def _scan(xs: list[Any], pick: random.Random) -> Any:
    f = lambda c, row: (c + row, c * row)  # noqa: E731
    return pg.scan(f, xs[0].zeros_like(xs[0].shape[1:]), xs[0], reverse=pick.random() < 0.5)


def _while(xs: list[Any], pick: random.Random) -> Any:
    most, bounded = pick.randint(0, 3), pick.random() < 0.5
    step = lambda c: (c[0] + 1, c[1] + c[1])  # noqa: E731
    return pg.while_loop(lambda c: c[0] < most, step, (0, xs[0]), max_steps=4 if bounded else None)[1]


def _random(xs: list[Any], pick: random.Random) -> Any:
    return pg.random.uniform(pg.random.key(pick.randrange(99)), xs[0].shape)


def _along(xs: list[Any], pick: random.Random) -> Any:
    a = pick.randrange(xs[0].ndim)
    at = _positions(pick, xs[0].shape[a], xs[0].size).reshape(xs[0].shape)
    return pg.take_along_axis(xs[0], at, axis=a)


def _safe(xs: list[Any], pick: random.Random) -> Any:
    return pg.safe_where(xs[0] != 0, lambda v: v * v, xs[0])


EXTRA: dict[str, tuple[int, Callable[[list[Any], random.Random], Any]]] = {
    "[]": (1, _read),
    "at": (1, _changed),
    "take": (1, _gather),
    "take_along_axis": (1, _along),
    "one_hot": (1, lambda xs, pick: pg.one_hot(xs[0], 3)),
    "safe_where": (1, _safe),
    "einsum": (2, _einsum),
    "cond": (2, _cond),
    "scan": (1, _scan),
    "while_loop": (1, _while),
    "random.uniform": (1, _random),
    "[]=": (2, _write),
    "a @ a.T": (1, _matmul),
}


def public() -> dict[str, Any]:
    """The functions of the families, those of ``fft`` and ``linalg`` under dotted names."""
    prefixes = {pg.fft: "fft.", pg.linalg: "linalg."}
    pairs = [(family, name) for family in FAMILIES for name in family.__all__]
    found = {prefixes.get(family, "") + name: getattr(family, name) for family, name in pairs}
    return {name: f for name, f in found.items() if inspect.isroutine(f) and name not in LEFT_OUT}


def _discovered() -> dict[str, Call]:
    calls = [Call(name, function) for name, function in public().items()]
    return {call.name: call for call in calls if call.known}


def samples() -> list[Any]:
    """Operands that suit one function or another."""
    names = ["float32", "int64", "bool", "uint8", "complex64"]
    return [pg.asarray(array(shape, 0, 0, 3, [name]), device="numpy") for name in names for shape in (2, 1, 3, 5, 0, 8)]


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
