"""What the checks of derivatives say when rules disagree."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import plugrad as pg
from plugrad.testing import check_derivatives, check_vmap


class _Wrong(pg.Op):
    """x cubed, with a rule that is wrong by a factor."""

    name = "wrong_messages.cube"
    dtypes = "float"
    save_output = False

    def spec(self, x: pg.Tensor, *, first: float, second: float) -> pg.Spec:
        return pg.Spec(x.shape, x.dtype)

    def decompose(self, x: pg.Tensor, *, first: float, second: float) -> pg.Tensor:
        return x * x * x

    def vjp(
        self, g: pg.Tensor, y: pg.Tensor, xs: Sequence[pg.Tensor], need: Sequence[bool], *, first: float, second: float
    ) -> tuple[pg.Tensor]:
        square = xs[0] * xs[0]
        return (g * 3 * first * (second * square + (1 - second) * square.detach()),)


CUBE = _Wrong()
X = pg.asarray([[0.5, -1.0, 2.0]], dtype=pg.float64, device="numpy")


def test_a_wrong_vjp_is_said_to_be_no_transpose() -> None:
    with pytest.raises(AssertionError) as caught:
        check_derivatives(lambda x: CUBE(x, first=-1.0, second=1.0), X)
    said = "vjp is not the transpose of jvp, <vjp(g), t> is not <g, jvp(t)>: "
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    reverse, forward = str(caught.value).removeprefix(said).split(" is not ")
    assert float(reverse) == pytest.approx(-float(forward))


def test_a_wrong_second_derivative_is_said_to_be_of_the_gradient() -> None:
    def f(x: pg.Tensor) -> pg.Tensor:
        return CUBE(x, first=1.0, second=0.5)  # type: ignore[no-any-return]

    check_derivatives(f, X, order=1)
    with pytest.raises(AssertionError, match=r"^of the gradient: jvp is not the central difference: .* is not .* at "):
        check_derivatives(f, X)


def test_a_wrong_batch_is_said_where() -> None:
    calls = []

    def f(x: pg.Tensor) -> pg.Tensor:
        calls.append(x)
        return x * len(calls)

    said = (
        r"^vmap, mapped operands \(True,\), is not the loop: \S+ is not \S+ at \(0, 0, 0\) \(9 of 9 elements differ\)$"
    )
    with pytest.raises(AssertionError, match=said):
        check_vmap(f, X)
