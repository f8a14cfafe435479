"""What is asked of a function, how far results are apart, and which functions there are; no peer is needed for it.

Derivatives are compared with each other (<g, Jt> = <J*g, t>) and with differences of values here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import plugrad as pg
import plugrad_nn
import plugrad_norm
from plugrad.ops.assignment import Place

Arrays = list[np.ndarray]
Key = tuple[str, str, str, str]
QUANTITIES = ("value", "vjp", "jvp", "second")


class Asked(NamedTuple):
    """Inputs, the cotangent of the result, and tangents."""

    xs: Arrays
    g: np.ndarray
    ts: Arrays


def of_plugrad(f: Callable[..., Any], asked: Asked) -> Iterator[Callable[[], Arrays]]:
    """Value, vjp, jvp and the gradient of <vjp, t>, each when it is called for."""
    xs, (g, *ts) = [pg.asarray(x) for x in asked.xs], [pg.asarray(a) for a in (asked.g, *asked.ts)]

    def inner(*xs: Any) -> Any:
        pulled = pg.vjp(f, *xs)[1](g)
        return sum([pg.sum(pg.real(pg.conj(c) * t)) for c, t in zip(pulled, ts, strict=True)])

    every = tuple(range(len(xs)))
    yield lambda: [f(*xs).numpy()]
    yield lambda: [c.numpy() for c in pg.vjp(f, *xs)[1](g)]
    yield lambda: [pg.jvp(f, tuple(xs), tuple(ts))[1].numpy()]
    yield lambda: [c.numpy() for c in pg.grad(inner, every)(*xs)]


# -- at regular inputs


def drawn(f: Callable[..., Any], inputs: Sequence[np.ndarray]) -> Asked:
    """Random cotangents and tangents."""
    rng = np.random.default_rng(0)

    def like(a: np.ndarray) -> np.ndarray:
        found = rng.normal(size=a.shape)
        return found + 1j * rng.normal(size=a.shape) if a.dtype.kind == "c" else found

    value = f(*[pg.asarray(x) for x in inputs]).numpy()
    return Asked(list(inputs), like(value), [like(x) for x in inputs])


def distance(got: Arrays, wanted: Arrays) -> float:
    """The largest difference, relative to the largest number if above 1; infinite for another shape or dtype, and where
    only one has a NaN.
    """
    if any(a.shape != b.shape or a.dtype != b.dtype for a, b in zip(got, wanted, strict=True)):
        return float("inf")
    scale, largest = 1.0, 0.0
    for a, b in zip(got, wanted, strict=True):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        gaps = np.abs(np.where(same, 0, a) - np.where(same, 0, b))
        largest = max(largest, float(np.nan_to_num(gaps, nan=np.inf, posinf=np.inf).max(initial=0.0)))
        scale = max(scale, float(np.nan_to_num(np.abs(b), posinf=0.0).max(initial=0.0)))
    return largest / scale


def pairing(asked: Asked, pulled: Arrays, pushed: Arrays) -> float:
    """How far <g, Jt> and <J*g, t> are apart, relative to their size."""
    forward = np.vdot(asked.g, pushed[0]).real
    backward = sum([np.vdot(c, t).real for c, t in zip(pulled, asked.ts, strict=True)])
    return float(abs(forward - backward) / max(1.0, abs(forward)))


def quotient(f: Callable[[float], Arrays]) -> Arrays:
    """The derivative of a function of a number at 0, from four values, with an error of the step's fourth power."""
    step = 1e-3
    found = []
    for a, b, c, d in zip(f(step), f(-step), f(2 * step), f(-2 * step), strict=True):
        found.append((8 * (a - b) - (c - d)) / (12 * step))
    return found


def differenced(f: Callable[..., Any], asked: Asked, pushed: Arrays, second: Arrays) -> float:
    """How far the jvp, and the second derivative along the tangents, are from differences of values and of vjps."""

    def moved(step: float) -> list[Any]:
        return [pg.asarray(x + step * t) for x, t in zip(asked.xs, asked.ts, strict=True)]

    def value(step: float) -> Arrays:
        return [f(*moved(step)).numpy()]

    def pulled(step: float) -> Arrays:
        cotangents = pg.vjp(f, *moved(step))[1](pg.asarray(asked.g))
        return [np.array(sum([np.vdot(c.numpy(), t).real for c, t in zip(cotangents, asked.ts, strict=True)]))]

    along = np.array(sum([np.vdot(c, t).real for c, t in zip(second, asked.ts, strict=True)]))
    return max(distance(pushed, quotient(value)), distance([along], quotient(pulled)))


# -- at corners


class Difference(NamedTuple):
    """What differs in a row, and where."""

    row: str
    quantity: str
    peer: str
    place: str
    at: str
    ours: str
    theirs: str


def differences(
    name: str, quantity: str, peer: str, asked: Asked, a: np.ndarray, b: np.ndarray
) -> Iterator[Difference]:
    """Where two arrays differ; the places are told where there is one for each input element."""
    if a.shape != b.shape or a.dtype != b.dtype:
        yield Difference(
            name, quantity, peer, place(asked.xs), shown(asked.xs), f"{a.dtype} {a.shape}", f"{b.dtype} {b.shape}"
        )
        return
    with np.errstate(all="ignore"):
        room = (1e-5 if a.dtype.itemsize == 4 else 1e-9) * np.maximum(np.abs(a), np.abs(b))
        apart = ~((a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= 1e-15 + room))
    if not apart.any():
        return
    elementwise = a.ndim == 1 and all(x.shape == a.shape for x in asked.xs) and a.size > 3
    if not elementwise:
        yield Difference(name, quantity, peer, place(asked.xs), shown(asked.xs), shown([a]), shown([b]))
        return
    for i in np.flatnonzero(apart):
        at = [x[i] for x in asked.xs]
        yield Difference(name, quantity, peer, place(at), shown(at), shown([a[i]]), shown([b[i]]))


def place(inputs: Sequence[Any]) -> str:
    """What is most peculiar about the inputs."""
    every = np.concatenate([np.ravel(x) for x in inputs])
    if np.isnan(every).any():
        return "nan"
    return "inf" if np.isinf(every).any() else "zero" if (every == 0).any() else "finite"


def shown(arrays: Sequence[Any]) -> str:
    """Arrays in a few characters."""
    texts = [np.array2string(np.asarray(a), separator=", ", precision=4) for a in arrays]
    return " ; ".join([" ".join(text.split()) for text in texts])


def reason(difference: Difference, reasons: Iterable[Key]) -> Key | None:
    """The key of the reason for a difference."""
    name, quantity, peer, where = difference[:4]
    for key in reasons:
        if (key[0], key[2]) == (name, peer) and quantity in key[1].split() and where in key[3].split():
            return key
    return None


# -- which functions there are


def public() -> Iterator[str]:
    """The public functions of plugrad and its plugins, by the names that rows have; and what subscripts do."""
    yield from ("getitem", "setitem", *[f"at.{name}" for name in vars(Place) if not name.startswith("_")])
    spaces: list[tuple[str, ModuleType]] = [("", pg), ("nn.", plugrad_nn.functional), ("norm.", plugrad_norm)]
    for name in ("linalg", "fft", "random", "special"):
        if isinstance(space := getattr(pg, name, None), ModuleType):
            spaces.append((f"{name}.", space))
    for prefix, space in spaces:
        for name in space.__all__:
            if inspect.isroutine(getattr(space, name)):
                yield prefix + name


def unknown(rows: Iterable[str], exempt: Iterable[str]) -> list[str]:
    """Public functions without a row or a reason, and rows and reasons without a function."""
    known, found = {name.split()[0] for name in rows} | set(exempt), set(public())
    faults = [f"{name}: a public function without a row in tests/oracles" for name in sorted(found - known)]
    return faults + [f"{name}: in tests/oracles, but no public function" for name in sorted(known - found)]
