"""jaxtyping's shape annotations with beartype, and hypothesis' strategies for arrays of the standard."""

from __future__ import annotations

from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from beartype import beartype
from beartype.roar import BeartypeException
from hypothesis.extra.array_api import make_strategies_namespace
from jaxtyping import BFloat16, Bool, Float, Float32, Int, TypeCheckError, jaxtyped

import plugrad as pg
from plugrad import Tensor

xps = make_strategies_namespace(pg)
settings = hypothesis.settings(max_examples=50, derandomize=True, deadline=None)


@jaxtyped(typechecker=beartype)
def product(x: Float[Tensor, "n k"], y: Float[Tensor, "k m"]) -> Float[Tensor, "n m"]:  # noqa: F722 - its syntax
    return x @ y


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_right_shapes_are_accepted(dtype: str) -> None:
    assert product(pg.ones((2, 3), dtype=dtype), pg.ones((3, 4), dtype=dtype)).shape == (2, 4)


@pytest.mark.parametrize(
    "x, y",
    [
        (pg.ones((2, 3)), pg.ones((4, 4))),
        (pg.ones((2, 3)), pg.ones(3)),
        (pg.ones((2, 3), dtype="int32"), pg.ones((3, 4), dtype="int32")),
        (np.ones((2, 3)), np.ones((3, 4))),
    ],
)
def test_wrong_ones_are_refused(x: Any, y: Any) -> None:
    with pytest.raises((TypeCheckError, BeartypeException)):
        product(x, y)


def test_dtypes_by_name() -> None:
    assert isinstance(pg.ones(2, dtype="bfloat16"), BFloat16[Tensor, "2"])
    assert isinstance(pg.ones(2, dtype="bool"), Bool[Tensor, "_"])
    assert isinstance(pg.arange(3), Int[Tensor, "3"]) and not isinstance(pg.arange(3), Float32[Tensor, "3"])


@settings
@hypothesis.given(xps.arrays(dtype=xps.scalar_dtypes(), shape=xps.array_shapes(max_dims=3, max_side=4)))
def test_arrays(x: Any) -> None:
    assert isinstance(x, Tensor) and 1 <= x.ndim <= 3
    np.testing.assert_array_equal(pg.asarray(x.numpy()).numpy(), x.numpy())


@settings
@hypothesis.given(st.data())
def test_indices_of_arrays(data: st.DataObject) -> None:
    x = data.draw(xps.arrays(dtype=xps.floating_dtypes(), shape=xps.array_shapes(max_dims=3, max_side=4)))
    key = data.draw(xps.indices(x.shape))
    np.testing.assert_array_equal(x[key].numpy(), x.numpy()[key])


@settings
@hypothesis.given(xps.mutually_broadcastable_shapes(2, max_dims=3, max_side=3), xps.numeric_dtypes())
def test_shapes_that_broadcast(shapes: Any, dtype: Any) -> None:
    one, two = shapes.input_shapes
    assert (pg.ones(one, dtype=dtype) + pg.ones(two, dtype=dtype)).shape == shapes.result_shape
