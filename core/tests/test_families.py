"""What functions of several families do with arguments at the edge: what they return, and what they say."""

import importlib
import itertools
import sys

import numpy as np
import pytest

import plugrad as pg
from plugrad import fft, linalg
from plugrad.errors import ArgumentError, DTypeError, LinAlgError, PlugradError, ShapeError
from plugrad.op import OPS
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(13)
NAN = float("nan")


def T(*shape, **kwargs):
    return pg.zeros(shape, **kwargs)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda: T(2, 3, 4) @ T(5, 4, 3), ShapeError, r"matmul: shapes \(2, 3, 4\) and \(5, 4, 3\): .* \(5,\)"),
        (
            lambda: linalg.solve(T(2, 3, 3), T(4, 3, 1)),
            ShapeError,
            r"solve: shapes \(2, 3, 3\) and \(4, 3, 1\): .* do not broadcast",
        ),
        (lambda: pg.vecdot(T(2, 3), T(5, 3)), ShapeError, r"vecdot: shapes \(2, 3\) and \(5, 3\): the axes"),
        (
            lambda: pg.take_along_axis(T(2, 3), T(5, 1, dtype="int64")),
            ShapeError,
            r"take_along_axis: \(2, 3\) and indices \(5, 1\) do not broadcast; all axes but axis 1",
        ),
        (lambda: pg.sort(pg.asarray(1.0)), ShapeError, "sort: axis -1 .* a 0-d tensor has no axes"),
        (lambda: pg.sort(pg.asarray([1j])), DTypeError, "sort: not defined for complex64"),
        (lambda: pg.stack([]), ShapeError, "stack: needs at least one"),
        (lambda: pg.stack([T(2), T(3)]), ShapeError, r"stack: shapes \(2,\), \(3,\) differ"),
        (lambda: pg.concat([]), ShapeError, "concat: needs at least one"),
        (lambda: pg.split(T(4), 3), ShapeError, r"split: axis 0 of \(4,\) does not divide into 3"),
        (lambda: pg.split(T(4), [1, 2]), ShapeError, r"split: sizes \[1, 2\] do not add up to 4"),
        (lambda: pg.pad(T(2), [(1, -1)]), ShapeError, r"pad: \(2,\) needs .* non-negative"),
        (lambda: pg.pad(T(2, 2), [(1, 1)]), ShapeError, "pad: .* for each axis"),
        (lambda: pg.matrix_transpose(T(2)), ShapeError, "matrix_transpose: .* fewer than 2 axes"),
        (lambda: pg.tril(T(2)), ShapeError, "tril: .* fewer than 2 axes"),
        (lambda: pg.asarray(1.0) @ T(2), ShapeError, r"matmul: \(\) @ \(2,\): .* use \* for scalars"),
        (lambda: pg.op.OPS["matmul"](T(2), T(2)), ShapeError, r"matmul: \(2,\) @ \(2,\)"),
        (lambda: linalg.outer(T(2, 2), T(2)), ShapeError, "outer: needs two 1-d"),
        (lambda: pg.logical_xor(T(2), T(2)), DTypeError, "logical_xor: needs bool operands, got float32"),
        (lambda: pg.take(T(2), [0.5]), DTypeError, "take: indices are float64; they must be integers"),
        (lambda: pg.mean(pg.asarray([1])), DTypeError, "mean: not defined for int64; cast"),
        (lambda: pg.arange(1, 2, 0), ValueError, "arange: step is 0"),
        (lambda: pg.squeeze(T(1, 2), (0, 1)), ShapeError, r"squeeze: axes \(0, 1\) .* name only those"),
        (lambda: pg.moveaxis(T(1, 2), (0, 1), 0), ShapeError, "moveaxis: .* one place"),
        (lambda: pg.eye(-2), ShapeError, r"eye: \(-2, -2\) is not a shape"),
        (lambda: pg.zeros_like(T(2), -1), ShapeError, "-1 is not a shape"),
        (lambda: pg.full(2, 1j, dtype="float32"), DTypeError, "full: 1j does not fit float32"),
        (lambda: T(2).astype(None), DTypeError, "None is not a dtype"),
        (lambda: pg.asarray([1, 2]) ** -1, ArgumentError, "pow: .* cast with"),
        (lambda: pg.asarray([2]) ** pg.asarray([-1]), ArgumentError, "pow: .* cast with"),
        (lambda: pg.isin(pg.asarray([1], dtype="uint64"), pg.asarray([1])), DTypeError, "isin: no promotion"),
        (lambda: linalg.matrix_power(pg.eye(2), 2.5), ArgumentError, "matrix_power: 'float' object"),
        (lambda: linalg.matrix_rank(T(3)), ShapeError, "matrix_rank: shape .* is no matrix"),
        (lambda: linalg.pinv(T(3)), ShapeError, "pinv: shape .* is no matrix"),
        (lambda: linalg.svd(pg.asarray([[NAN]])), LinAlgError, "svd: SVD did not converge"),
        (lambda: linalg.inv(T(2, 2)), LinAlgError, "inv: singular matrix"),
        (lambda: fft.fftfreq(3, d=0.0), ValueError, "^fftfreq: d is 0"),
        (lambda: linalg.qr(T(2, 2), mode="raw"), ValueError, "^qr: mode 'raw' is unknown"),
        (lambda: T(3)[pg.asarray([0, 5])], IndexError, r"getitem: index 5 .* axis 0 of shape \(3,\); use -3 to 2"),
        (lambda: T(3).at[pg.asarray([-4])].add(1.0), IndexError, "scatter_add: index -4 is out of range for axis 0"),
        (lambda: pg.take(T(0, 3), [7], axis=1), IndexError, "take: index 7 .* axis 1 .* use -3 to 2"),
        (lambda: pg.take(T(0, 0), [-1], axis=1), IndexError, "take: index -1 .* it has no elements"),
        (lambda: T(0, 3).at[:, pg.asarray([3])].add(1.0), IndexError, "index 3 .* axis 1"),
    ],
)  # fmt: skip
def test_messages(call, kind, said):
    with pytest.raises(kind, match=said) as caught:
        call()
    assert issubclass(kind, PlugradError) == isinstance(caught.value, PlugradError)


def test_positions_where_there_is_nothing_to_read():
    assert pg.take(T(0, 3), [2, -3], axis=1).shape == (0, 2)
    assert pg.take(T(0, 3), pg.zeros(0, dtype="int64"), axis=0).shape == (0, 3)


# -- padding


def test_pad_with_a_value():
    x = R.normal(size=(2, 3))
    got = pg.pad(pg.asarray(x), [(1, 0), (0, 2)], value=2.5)
    np.testing.assert_array_equal(got.numpy(), np.pad(x, [(1, 0), (0, 2)], constant_values=2.5))
    assert pg.pad(pg.asarray([1, 2]), [(1, 1)], value=2.5).tolist() == [2.5, 1.0, 2.0, 2.5]
    assert pg.pad(pg.asarray([1, 2]), [(1, 0)], value=7).dtype == np.int64
    assert np.isnan(pg.pad(T(1), [(0, 1)], value=NAN).numpy()).tolist() == [False, True]
    assert pg.pad(T(0), [(1, 1)], value=3.0).tolist() == [3.0, 3.0]


def test_pad_differentiates_its_value():
    def f(x, value):
        return pg.pad(x, [(1, 2)], value=value) ** 2

    assert pg.grad(lambda v: pg.sum(pg.pad(pg.ones(2), [(1, 1)], value=v)))(0.0).item() == 2.0
    check_derivatives(f, pg.asarray([1.0, 2.0], dtype="float64"), pg.asarray(3.0, dtype="float64"))
    check_vmap(f, pg.asarray([1.0, 2.0], dtype="float64"), pg.asarray(3.0, dtype="float64"))


# -- sorting and sets


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_is_the_gather_it_differentiates(dtype, descending):
    x = pg.asarray(R.integers(0, 9, (3, 50)), dtype=dtype)
    if pg.isdtype(x.dtype, "real floating"):
        x[:, ::7] = NAN
    for axis in (0, 1):
        attrs = {"axis": axis, "descending": descending}
        got, wanted = pg.sort(x, **attrs).numpy(), OPS["sort"].decompose(x, **attrs).numpy()
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(*[a.astype(np.float64) for a in (got, wanted)])
    staged = pg.stage(lambda x: pg.sort(x, descending=descending), x)
    assert [e.op.name for e in staged.graph.equations] == ["sort"]


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("n", [0, 3, 16, 17, 200])
def test_isin(dtype, n):
    def drawn(size):
        a = R.integers(0, 8, size) + (1j * R.integers(0, 4, size) if dtype == "complex64" else 0)
        a = a.astype(pg.as_dtype(dtype))
        if a.dtype.kind in "fcV" and size > 3:
            a[:2] = NAN, -0.0
        return a

    x, among = drawn(300), drawn(n)
    wanted = np.isin(*[a.astype(np.float32) if a.dtype.kind == "V" else a for a in (x, among)])
    for invert in (False, True):
        got = pg.isin(pg.asarray(x).reshape((20, 15)), pg.asarray(among), invert=invert)
        assert got.dtype == bool
        np.testing.assert_array_equal(got.numpy().ravel(), wanted != invert)
    mapped = pg.vmap(pg.isin, (0, None))(pg.asarray(x).reshape((20, 15)), pg.asarray(among))
    np.testing.assert_array_equal(mapped.numpy().ravel(), wanted)


def test_isin_of_complex_numbers_does_not_pair_all():
    """Memory for each with each would be 10 GB."""
    z = pg.asarray(R.normal(size=100_000) + 1j * R.normal(size=100_000))
    assert pg.all(pg.isin(z, z)).item() and not pg.any(pg.isin(z, pg.conj(z))).item()
    parts = pg.asarray([complex(a, b) for a in range(5) for b in range(5) if a != b])
    assert pg.isin(pg.asarray([2 + 2j, 2 + 3j, 9j]), parts).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "int64"])
def test_unique_with_and_without_positions(dtype):
    x = pg.asarray(R.integers(0, 9, (4, 9)), dtype=dtype)
    found = pg.unique_all(x)
    counts, inverse = pg.unique_counts(x), pg.unique_inverse(x)
    assert counts.values.dtype == inverse.values.dtype == found.values.dtype == x.dtype
    for values in (counts.values, inverse.values, pg.unique_values(x)):
        assert values.tolist() == found.values.tolist()
    assert counts.counts.tolist() == found.counts.tolist()
    assert inverse.inverse_indices.tolist() == found.inverse_indices.tolist()
    assert inverse.inverse_indices.shape == x.shape


@pytest.mark.parametrize("unique", [pg.unique_counts, pg.unique_inverse, pg.unique_all])
def test_unique_values_of_recorded_tensors(unique):
    g = pg.grad(lambda x: pg.sum(unique(x).values ** 2))(pg.asarray([3.0, 1.0, 3.0]))
    assert g.tolist() == [6.0, 2.0, 0.0]


# -- results are handles of their own


@pytest.mark.parametrize(
    "f",
    [
        lambda x: pg.diff(x, n=0),
        lambda x: fft.fftshift(x, axes=()),
        lambda x: fft.ifftshift(x, axes=()),
        lambda x: fft.fftn(x + 0j, axes=()),
        lambda x: pg.roll(x, 0),
        lambda x: pg.clip(x),
        lambda x: pg.tile(x, ()),
        lambda x: linalg.matrix_power(x, 1),
        lambda x: pg.einsum("ij", x),
    ],
)
def test_a_write_to_the_result_leaves_the_operand(f, monkeypatch):
    monkeypatch.setenv("PLUGRAD_VIEW_WRITE", "ignore")
    x = pg.copy(pg.asarray([[1.0, 2.0], [3.0, 4.0]]))
    y = f(x)
    y += 1
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


# -- creation


def test_shapes_of_other_kinds():
    assert pg.zeros_like(T(2), [3]).shape == (3,) and pg.ones_like(T(2), 3).shape == (3,)
    assert pg.eye(0).shape == (0, 0) and pg.eye(2, 0).shape == (2, 0)


def test_counts_of_every_integer_dtype():
    for dtype in ("int8", "uint8", "int64", "uint64"):
        assert pg.repeat(pg.asarray([1, 2]), pg.asarray([1, 2], dtype=dtype)).tolist() == [1, 2, 2]


def test_docstrings_say_which_dtypes():
    assert "floating and complex dtypes, else DTypeError" in pg.exp.__doc__
    assert "bool and integer dtypes promote" in pg.bitwise_and.__doc__
    assert "integers are returned as they are" in pg.floor.__doc__


def test_the_path_of_einsum_without_opt_einsum(monkeypatch):
    module = importlib.import_module("plugrad.ops.einsum")
    monkeypatch.setitem(sys.modules, "opt_einsum", None)
    module._opt_einsum.cache_clear()
    module._prepared.cache_clear()
    try:
        xs = [R.normal(size=shape) for shape in ((2, 30), (30, 40), (40, 3), (3, 5), (5, 2))]
        for optimize, count in itertools.product(("auto", "optimal", "greedy", True), (3, 5)):
            subscripts = ",".join(["ab", "bc", "cd", "de", "ef"][:count]) + "->a" + "abcdef"[count]
            got = pg.einsum(subscripts, *map(pg.asarray, xs[:count]), optimize=optimize)
            np.testing.assert_allclose(got.numpy(), np.linalg.multi_dot(xs[:count]), rtol=1e-12)
    finally:
        module._opt_einsum.cache_clear()
        module._prepared.cache_clear()
