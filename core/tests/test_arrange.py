"""Rolling, tiling, repeating, differences, grids; and what creation and movement take, as the Array API has it."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import AxisError, DTypeError, LeakedTracerError, ShapeError
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(6)
A, CUBE = R.normal(size=(3, 4)), R.normal(size=(2, 3, 4))

# name: (plugrad function, NumPy function, operand)
CALLS = {
    "roll": (lambda x: pg.roll(x, 5), lambda x: np.roll(x, 5), A),
    "roll_axis": (lambda x: pg.roll(x, -1, axis=1), lambda x: np.roll(x, -1, 1), A),
    "roll_axes": (lambda x: pg.roll(x, (1, -2), axis=(0, -1)), lambda x: np.roll(x, (1, -2), (0, -1)), CUBE),
    "roll_one_shift": (lambda x: pg.roll(x, 2, axis=(0, 1)), lambda x: np.roll(x, 2, (0, 1)), A),
    "roll_twice": (lambda x: pg.roll(x, (1, 2), axis=(1, 1)), lambda x: np.roll(x, 3, 1), A),
    "roll_nothing": (lambda x: pg.roll(x, 8, axis=1), lambda x: x, A),
    "tile": (lambda x: pg.tile(x, (2, 3)), lambda x: np.tile(x, (2, 3)), A),
    "tile_more": (lambda x: pg.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), A),
    "tile_fewer": (lambda x: pg.tile(x, (2,)), lambda x: np.tile(x, (2,)), CUBE),
    "repeat": (lambda x: pg.repeat(x, 2), lambda x: np.repeat(x, 2), A),
    "repeat_axis": (lambda x: pg.repeat(x, 3, axis=1), lambda x: np.repeat(x, 3, 1), CUBE),
    "repeat_each": (lambda x: pg.repeat(x, [2, 0, 1], axis=0), lambda x: np.repeat(x, [2, 0, 1], 0), A),
    "repeat_tensor": (lambda x: pg.repeat(x, pg.asarray([1, 0, 2]), axis=0), lambda x: np.repeat(x, [1, 0, 2], 0), A),
    "diff": (pg.diff, np.diff, A),
    "diff_2": (lambda x: pg.diff(x, axis=0, n=2), lambda x: np.diff(x, n=2, axis=0), A),
    "diff_ends": (
        lambda x: pg.diff(x, axis=0, prepend=pg.asarray(A[:1]), append=7),
        lambda x: np.diff(x, axis=0, prepend=A[:1], append=7),
        A,
    ),
    "meshgrid": (lambda x: pg.meshgrid(x[0], x[:, 1])[1], lambda x: np.meshgrid(x[0], x[:, 1])[1], A),
    "unstack": (lambda x: pg.unstack(x, axis=-2)[2], lambda x: x[:, 2], CUBE),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_values_and_derivatives(name):
    f, reference, x = CALLS[name]
    got = f(pg.asarray(x))
    np.testing.assert_array_equal(got.numpy(), reference(x))
    check_derivatives(f, pg.asarray(x))
    check_vmap(f, pg.asarray(x))
    np.testing.assert_array_equal(pg.stage(f, pg.asarray(x))(pg.asarray(x)).numpy(), reference(x))


@pytest.mark.parametrize(
    "f", [lambda x: pg.roll(x, 1, axis=0), lambda x: pg.repeat(x, 2, axis=0), lambda x: pg.tile(x, (2, 1))]
)
def test_empty_operands(f):
    assert f(pg.zeros((0, 3))).shape == (0, 3)


def test_nothing_is_repeated():
    assert pg.repeat(pg.asarray([1, 2]), 0).shape == pg.tile(pg.asarray([1, 2]), (0,)).shape == (0,)
    assert pg.repeat(pg.asarray([[1, 2]]), np.array([3]), axis=1).tolist() == [[1, 1, 1, 2, 2, 2]]


def test_a_rolled_tensor_is_another_handle():
    x = pg.asarray([1.0, 2.0])
    y = pg.roll(x, 0, axis=0)
    y[0] = 5.0
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(), (3,), (2, 3), (2, 3, 4), (0, 2)])
def test_meshgrid(indexing, sizes):
    lines = [R.normal(size=n) for n in sizes]
    got = pg.meshgrid(*map(pg.asarray, lines), indexing=indexing)
    wanted = np.meshgrid(*lines, indexing=indexing)
    assert isinstance(got, tuple) and len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(g.numpy(), w)


def test_broadcast_shapes():
    assert pg.broadcast_shapes() == () and pg.broadcast_shapes((2, 1), (3,), ()) == (2, 3)
    with pytest.raises(ShapeError, match="broadcast_shapes: shapes .* do not broadcast"):
        pg.broadcast_shapes((2,), (3,))
    assert isinstance(pg.broadcast_arrays(pg.zeros(2), pg.zeros((3, 1))), tuple)


@pytest.mark.parametrize("axis", [0, -1, (0, 1), (0, -1), (3, 1), (-1, -2, 0)])
def test_expand_dims(axis):
    assert pg.expand_dims(pg.zeros((2, 3)), axis).shape == np.expand_dims(np.zeros((2, 3)), axis).shape


def test_expand_dims_says_what_is_wrong():
    for axis in (3, (0, 4)):
        with pytest.raises(AxisError, match="expand_dims: axis . is out of range"):
            pg.expand_dims(pg.zeros((2, 3)), axis)
    with pytest.raises(ShapeError, match="names the same axis twice"):
        pg.expand_dims(pg.zeros(2), (0, 0))
    assert issubclass(AxisError, IndexError) and issubclass(AxisError, ValueError)


BAD = {
    "roll: shift": (ShapeError, lambda x: pg.roll(x, (1, 2, 3), axis=(0, 1))),
    "roll: axis 2": (AxisError, lambda x: pg.roll(x, 1, axis=2)),
    "tile: (-1,)": (ShapeError, lambda x: pg.tile(x, (-1,))),
    "repeat: repeats -1": (ShapeError, lambda x: pg.repeat(x, -1)),
    "repeat: repeats [1, 2]": (ShapeError, lambda x: pg.repeat(x, [1, 2], axis=0)),
    "repeat: repeats are float": (DTypeError, lambda x: pg.repeat(x, 1.5)),
    "diff: n is -1": (ValueError, lambda x: pg.diff(x, n=-1)),
    "diff: bools": (DTypeError, lambda x: pg.diff(x > 0)),
    "diff: shapes": (ShapeError, lambda x: pg.diff(x, prepend=pg.zeros((2, 2)))),
    "meshgrid: needs 1-d": (ShapeError, lambda x: pg.meshgrid(x, x)),
    "meshgrid: indexing 'yx'": (ValueError, lambda x: pg.meshgrid(x[0], indexing="yx")),
    "unstack: axis 5": (AxisError, lambda x: pg.unstack(x, axis=5)),
}


@pytest.mark.parametrize("message", BAD)
def test_errors(message):
    error, call = BAD[message]
    with pytest.raises(error) as caught:
        call(pg.asarray(A))
    assert str(caught.value).startswith(message)


def test_repeats_must_be_known_under_vmap_and_stage():
    x, n = pg.asarray([[1.0, 2.0]]), pg.asarray([[1, 2]])
    with pytest.raises(LeakedTracerError, match="repeat: .*outside the transformation"):
        pg.vmap(pg.repeat)(x, n)
    with pytest.raises(LeakedTracerError, match="repeat: "):
        pg.stage(lambda n: pg.repeat(x[0], n), n[0])


def test_joining_promotes():
    x, y = pg.asarray([1], dtype="int16"), pg.asarray([2.5], dtype="float32")
    assert pg.concat([x, y]).dtype == pg.stack([x, y]).dtype == np.float32


def test_creation_takes_what_the_standard_names():
    assert pg.full((2,), pg.asarray(3)).tolist() == [3, 3] and pg.full(2, fill_value=1.5).tolist() == [1.5, 1.5]
    assert pg.full_like(pg.zeros(2), fill_value=4).tolist() == [4.0, 4.0]
    assert pg.grad(lambda v: pg.sum(pg.full((3,), v)))(2.0).item() == 3.0
    moved = pg.astype(pg.asarray([1.5]), pg.int32, device="numpy")
    assert moved.dtype == np.int32 and moved.device == "numpy"
    assert pg.reshape(pg.zeros((2, 3)), [3, 2]).shape == (3, 2)
    line = pg.linspace(0, 2 + 4j, 3)
    assert line.dtype == np.complex64 and line.tolist() == [0j, 1 + 2j, 2 + 4j]
    assert pg.linspace(0, 1, num=3).dtype == np.float32
