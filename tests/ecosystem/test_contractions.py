"""einops and opt_einsum work on tensors, and gradients flow through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import einops
import einops.array_api
import numpy as np
import opt_einsum
import pytest

import plugrad as pg
import plugrad.interop.einops
from plugrad.testing import check_derivatives

X = np.random.default_rng(0).normal(size=(2, 3, 4))
Y = np.random.default_rng(1).normal(size=(4, 5))

# name: a function of one array
PATTERNS: dict[str, Callable[[Any], Any]] = {
    "rearrange": lambda x: einops.rearrange(x, "a b c -> (c a) b"),
    "split": lambda x: einops.rearrange(x, "a b (c d) -> a d (b c)", d=2),
    "list": lambda x: einops.rearrange([x[0], x[1]], "n b c -> b (n c)"),
    "sum": lambda x: einops.reduce(x, "a b c -> b", "sum"),
    "mean": lambda x: einops.reduce(x, "a b (c d) -> a c", "mean", d=2),
    "max": lambda x: einops.reduce(x, "a b c -> a c", "max"),
    "repeat": lambda x: einops.repeat(x, "a b c -> a b c r", r=2),
    "einsum": lambda x: einops.einsum(x, x, "a b c, a b c -> a c"),
    "pack": lambda x: einops.pack([x, x[:, 0]], "a * c")[0],
}


def as_numpy(pattern: str) -> np.ndarray:
    return np.asarray(PATTERNS[pattern](X))


@pytest.mark.parametrize("name", PATTERNS)
def test_einops(name: str) -> None:
    found = PATTERNS[name](pg.asarray(X))
    assert isinstance(found, pg.Tensor)
    np.testing.assert_allclose(found.numpy(), as_numpy(name), rtol=1e-12)


@pytest.mark.parametrize("name", PATTERNS)
def test_einops_under_grad(name: str) -> None:
    def loss(x: Any) -> Any:
        return (PATTERNS[name](x) ** 2).sum()

    check_derivatives(loss, pg.asarray(X))


def test_einops_for_the_standard() -> None:
    found = einops.array_api.rearrange(pg.asarray(X), "a b c -> b (a c)")
    np.testing.assert_array_equal(found.numpy(), einops.rearrange(X, "a b c -> b (a c)"))


@pytest.mark.parametrize("subscripts", ["abc,cd->abd", "abc,cd,abd->", "abc,abc->a", "abc,cd->bd"])
def test_opt_einsum(subscripts: str) -> None:
    names = subscripts.partition("->")[0].split(",")
    arrays = [{"abc": X, "cd": Y, "abd": X @ Y}[name] for name in names]
    found = opt_einsum.contract(subscripts, *map(pg.asarray, arrays))
    assert isinstance(found, pg.Tensor)
    np.testing.assert_allclose(found.numpy(), np.einsum(subscripts, *arrays), rtol=1e-12)

    def loss(*xs: Any) -> Any:
        return (opt_einsum.contract(subscripts, *xs) ** 2).sum()

    check_derivatives(loss, *map(pg.asarray, arrays))


def test_a_contraction_made_once() -> None:
    expression = opt_einsum.contract_expression("abc,cd->abd", X.shape, Y.shape)
    np.testing.assert_allclose(expression(pg.asarray(X), pg.asarray(Y)).numpy(), X @ Y, rtol=1e-12)
