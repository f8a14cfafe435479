"""Compare plugrad with PyTorch and JAX by the table: values, vjp, jvp, second derivatives, and all at corners.

In float64 and complex128. Both peers are asked in plugrad's convention: a cotangent pairs with a tangent by Re<g, t>.
That is PyTorch's own; JAX's vjp is conjugated on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from measures import (
    QUANTITIES,
    Arrays,
    Asked,
    Difference,
    differenced,
    differences,
    distance,
    drawn,
    of_plugrad,
    pairing,
    place,
    shown,
)
from rows import Row

import plugrad as pg

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)


# -- what the peers give


def of_torch(f: Callable[..., Any], asked: Asked) -> Iterator[Callable[[], Arrays]]:
    """Value, vjp, jvp and the gradient of <vjp, t> of PyTorch, each when it is called for; zeros where there is no
    graph.
    """
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


class Measured(NamedTuple):
    """The errors of one row: by peer and quantity (None: no such function, or derivative), of the pairing, and from
    differences (None: the derivative is meant to be another).
    """

    errors: dict[str, list[float | None]]
    paired: float
    differenced: float | None


def measure(row: Row) -> Measured:
    """A row at its regular inputs."""
    asked = drawn(row.plugrad, row.inputs)
    ours = [get() for get in of_plugrad(row.plugrad, asked)]
    errors: dict[str, list[float | None]] = {}
    for name, call, of in (("torch", row.torch, of_torch), ("jax", row.jax, of_jax)):
        theirs = [given(get) for get in of(call, asked)] if call is not None else [None] * len(ours)
        errors[name] = [None if b is None else distance(a, b) for a, b in zip(ours, theirs, strict=True)]
    paired = pairing(asked, ours[1], ours[2])
    return Measured(errors, paired, differenced(row.plugrad, asked, ours[2], ours[3]) if row.smooth else None)


def apart(name: str, row: Row, one: Measured) -> Iterator[Difference]:
    """The peers' results at regular inputs that are too far away."""
    for peer, errors in one.errors.items():
        for quantity, error in zip(QUANTITIES, errors, strict=True):
            if error is not None and error > row.tolerance:
                yield Difference(name, quantity, peer, "regular", "regular inputs", "–", f"{error:.1e} away")


def given(get: Callable[[], Arrays]) -> Arrays | None:
    """What a peer gives; None for a derivative that it says it does not have."""
    try:
        return get()
    except NotImplementedError:
        return None


# -- corners


def corner(name: str, row: Row, inputs: Sequence[np.ndarray]) -> Iterator[Difference]:
    """Differences of value, vjp and jvp, with ones for cotangents and tangents."""
    asked = Asked(list(inputs), np.ones(0), [np.ones_like(x) for x in inputs])
    asked = asked._replace(g=np.ones_like(row.plugrad(*[pg.asarray(x) for x in inputs]).numpy()))
    for peer, call, of in (("torch", row.torch, of_torch), ("jax", row.jax, of_jax)):
        if call is None:
            continue
        for quantity, one, two in zip(QUANTITIES[:3], of_plugrad(row.plugrad, asked), of(call, asked), strict=False):
            try:
                theirs = given(two)
            except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
                ours, failed = shown(one()), type(error).__name__
                yield Difference(name, quantity, peer, place(inputs), shown(inputs), ours, failed)
                continue
            for a, b in zip(one(), theirs, strict=True) if theirs is not None else ():
                yield from differences(name, quantity, peer, asked, a, b)


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
