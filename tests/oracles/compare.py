"""Compare plugrad with PyTorch and JAX by the table: values, vjp, jvp, second derivatives, and all at corners.

In float64 and complex128. Both peers are asked in plugrad's convention: a cotangent pairs with a tangent by Re<g, t>.
That is PyTorch's own; JAX's vjp is conjugated on both sides.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rows import Row
from table import EXEMPT, REASONS, ROWS

import plugrad as pg
import plugrad_nn
import plugrad_norm

Arrays = list[np.ndarray]
jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)
QUANTITIES = ("value", "vjp", "jvp", "second")


class Asked(NamedTuple):
    """Inputs, the cotangent of the result, and tangents."""

    xs: Arrays
    g: np.ndarray
    ts: Arrays


# -- what each of the three gives


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


def of_torch(f: Callable[..., Any], asked: Asked) -> Iterator[Callable[[], Arrays]]:
    """The same of PyTorch; zeros where it has no graph."""
    xs = [torch.tensor(x, requires_grad=True) for x in asked.xs]
    g, *ts = [torch.tensor(a) for a in (asked.g, *asked.ts)]

    def gradients(y: Any, g: Any) -> list[Any]:
        if not y.requires_grad:
            return [torch.zeros_like(x) for x in xs]
        found = torch.autograd.grad(y, xs, g, create_graph=True, allow_unused=True)
        return [torch.zeros_like(x) if c is None else c for c, x in zip(found, xs, strict=True)]

    def pushed() -> Any:
        try:
            return torch.func.jvp(f, tuple([x.detach() for x in xs]), tuple(ts))[1]
        except NotImplementedError:  # by transposing the vjp
            return torch.autograd.functional.jvp(f, tuple(xs), tuple(ts))[1]

    def inner() -> Any:
        return sum([(c.conj() * t).real.sum() for c, t in zip(gradients(f(*xs), g), ts, strict=True)])

    yield lambda: [_array(f(*xs))]
    yield lambda: [_array(c) for c in gradients(f(*xs), g)]
    yield lambda: [_array(pushed())]
    yield lambda: [_array(c) for c in gradients(inner(), None)]


def _array(t: Any) -> np.ndarray:
    return np.asarray(t.detach().resolve_conj().numpy(force=True))


def of_jax(f: Callable[..., Any], asked: Asked) -> Iterator[Callable[[], Arrays]]:
    """The same of JAX, in plugrad's convention."""
    xs, (g, *ts) = [jnp.asarray(x) for x in asked.xs], [jnp.asarray(a) for a in (asked.g, *asked.ts)]

    def pulled(*xs: Any) -> list[Any]:
        return [c.conj() for c in jax.vjp(f, *xs)[1](g.conj())]

    def inner(*xs: Any) -> Any:
        return sum([jnp.sum((c.conj() * t).real) for c, t in zip(pulled(*xs), ts, strict=True)])

    every = tuple(range(len(xs)))
    yield lambda: [np.asarray(f(*xs))]
    yield lambda: [np.asarray(c) for c in pulled(*xs)]
    yield lambda: [np.asarray(jax.jvp(f, tuple(xs), tuple(ts))[1])]
    yield lambda: [np.asarray(c.conj()) for c in jax.grad(inner, every)(*xs)]


# -- regular points


def drawn(row: Row, inputs: Sequence[np.ndarray]) -> Asked:
    """Random cotangents and tangents."""
    rng = np.random.default_rng(0)

    def like(a: np.ndarray) -> np.ndarray:
        found = rng.normal(size=a.shape)
        return found + 1j * rng.normal(size=a.shape) if a.dtype.kind == "c" else found

    value = row.plugrad(*[pg.asarray(x) for x in inputs]).numpy()
    return Asked(list(inputs), like(value), [like(x) for x in inputs])


def distance(got: Arrays, wanted: Arrays) -> float:
    """The largest difference, relative to the largest number if above 1; infinite for another shape or dtype."""
    if any(a.shape != b.shape or a.dtype != b.dtype for a, b in zip(got, wanted, strict=True)):
        return float("inf")
    scale = max([1.0, *[float(np.abs(b).max()) for b in wanted if b.size]])
    return max([0.0, *[float(np.abs(a - b).max()) for a, b in zip(got, wanted, strict=True) if a.size]]) / scale


def pairing(asked: Asked, pulled: Arrays, pushed: Arrays) -> float:
    """How far <g, Jt> and <J*g, t> are apart, relative to their size."""
    forward = np.vdot(asked.g, pushed[0]).real
    backward = sum([np.vdot(c, t).real for c, t in zip(pulled, asked.ts, strict=True)])
    return float(abs(forward - backward) / max(1.0, abs(forward)))


class Measured(NamedTuple):
    """The errors of one row: by peer and quantity (None: no such function), and of the pairing."""

    errors: dict[str, list[float | None]]
    paired: float


def measure(row: Row) -> Measured:
    """A row at its regular inputs."""
    asked = drawn(row, row.inputs)
    ours = [get() for get in of_plugrad(row.plugrad, asked)]
    errors: dict[str, list[float | None]] = {}
    for name, call, of in (("torch", row.torch, of_torch), ("jax", row.jax, of_jax)):
        theirs = [get() for get in of(call, asked)] if call is not None else [None] * len(ours)
        errors[name] = [None if b is None else distance(a, b) for a, b in zip(ours, theirs, strict=True)]
    return Measured(errors, pairing(asked, ours[1], ours[2]))


# -- corners


class Difference(NamedTuple):
    """What differs at a corner of a row."""

    row: str
    quantity: str
    peer: str
    place: str
    at: str
    ours: str
    theirs: str


def corner(name: str, row: Row, inputs: Sequence[np.ndarray]) -> Iterator[Difference]:
    """Differences of value, vjp and jvp, with ones for cotangents and tangents."""
    asked = Asked(list(inputs), np.ones(0), [np.ones_like(x) for x in inputs])
    try:
        asked = asked._replace(g=np.ones_like(row.plugrad(*[pg.asarray(x) for x in inputs]).numpy()))
    except ValueError as error:
        yield Difference(name, "value", "both", place(inputs), shown(inputs), type(error).__name__, "-")
        return
    for peer, call, of in (("torch", row.torch, of_torch), ("jax", row.jax, of_jax)):
        if call is None:
            continue
        for quantity, one, two in zip(QUANTITIES[:3], of_plugrad(row.plugrad, asked), of(call, asked), strict=False):
            for a, b in zip(one(), two(), strict=True):
                yield from differences(name, quantity, peer, asked, a, b)


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
        apart = ~(
            (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= 1e-15 + 1e-9 * np.maximum(np.abs(a), np.abs(b)))
        )
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


# -- which functions there are


def public() -> Iterator[str]:
    """The public functions of plugrad and its plugins, by the names that rows have."""
    spaces: list[tuple[str, ModuleType]] = [("", pg), ("nn.", plugrad_nn.functional), ("norm.", plugrad_norm)]
    for name in ("linalg", "fft", "special"):
        if isinstance(space := getattr(pg, name, None), ModuleType):
            spaces.append((f"{name}.", space))
    for prefix, space in spaces:
        for name in space.__all__:
            if inspect.isfunction(getattr(space, name)):
                yield prefix + name


def unknown() -> list[str]:
    """Public functions without a row or a reason, and rows and reasons without a function."""
    rows = {name.split()[0] for name in ROWS}
    known = rows | {name for names in EXEMPT.values() for name in names.split()}
    found = set(public())
    faults = [f"{name}: a public function without a row in tests/oracles/table.py" for name in sorted(found - known)]
    return faults + [f"{name}: in tests/oracles/table.py, but no public function" for name in sorted(known - found)]


def reason(difference: Difference) -> tuple[str, str, str, str] | None:
    """The key of the reason for a difference."""
    name, quantity, peer, where = difference[:4]
    for key in REASONS:
        if (key[0], key[2]) == (name, peer) and quantity in key[1].split() and where in key[3].split():
            return key
    return None


# -- promotion

DTYPES = "bool int8 int16 int32 int64 uint8 float16 bfloat16 float32 float64 complex64 complex128"


def promotions() -> Iterator[tuple[str, str, str, str, str]]:
    """Pairs of dtypes of which the three give a sum of different dtypes: the pair, ours, torch's, jax's."""
    names = DTYPES.split()
    for i, one in enumerate(names):
        for two in names[i:]:
            try:
                ours = (pg.ones(1, dtype=one) + pg.ones(1, dtype=two)).dtype.name
            except pg.errors.DTypeError:
                ours = "DTypeError"
            theirs = torch.promote_types(getattr(torch, one), getattr(torch, two))
            found = str(theirs).removeprefix("torch."), jnp.promote_types(one, two).name
            if (ours, ours) != found:
                yield one, two, ours, *found
