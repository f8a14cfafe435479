"""Corners of the array functions: positions under vmap, handles on shared values, owned memory, low precision, zero
sizes.
"""

import array
import warnings

import ml_dtypes
import numpy as np
import pytest

import plugrad as pg
from plugrad.backend import BACKENDS
from plugrad.dispatch import add_backend
from plugrad.errors import ShapeError
from plugrad.ops import random
from plugrad.reference.backend import NumpyBackend
from plugrad.testing.contract.samples import samples

T = pg.tensor
LOW = ["float16", "bfloat16"]
X = np.arange(6.0).reshape(2, 3)


# -- positions out of range


def scatter(x, i):
    return pg.OPS["scatter_add"](x, i, pg.ones(i.shape, dtype="float64"), axis=0)


@pytest.mark.parametrize("bad", [3, -4])
@pytest.mark.parametrize(
    "f",
    [
        lambda x, i: x[i],
        lambda x, i: pg.take(x, i, axis=0),
        lambda x, i: scatter(x, i[None]),
        lambda x, i: pg.take_along_axis(x, i[None]),
        lambda x, i: x[:, None][i, i * 0],
    ],
)
def test_vmapped_positions_are_checked(f, bad):
    x, good = T(X), pg.asarray([2, -3])
    rows = [f(row, i).numpy() for row, i in zip(x, good, strict=True)]
    np.testing.assert_array_equal(pg.vmap(f)(x, good).numpy(), np.stack(rows))
    for positions in ([bad, 0], [0, bad]):
        with pytest.raises(IndexError):
            pg.vmap(f)(x, pg.asarray(positions))
    with pytest.raises(IndexError):
        pg.vmap(lambda i: f(x[0], i))(pg.asarray([bad, 0]))
    with pytest.raises(IndexError):
        pg.vmap(pg.vmap(f))(T(np.stack([X, X])), pg.asarray([[0, bad], [0, 1]]))


def test_take_along_decomposed_checks_positions():
    decomposed = pg.OPS["take_along"].decompose
    good = np.array([[0, -1], [2, 1]])
    found = decomposed(T(X), pg.asarray(good), axis=1)
    np.testing.assert_array_equal(found.numpy(), np.take_along_axis(X, good, 1))
    with pytest.raises(IndexError, match="positions 0 to 3"):
        decomposed(T(X), pg.asarray([[0], [3]]), axis=1)


@pytest.mark.parametrize("bad", [2, -3])
def test_positions_of_a_staged_graph_are_checked_when_it_runs(bad):
    graph = pg.stage(lambda x, i, j: x[i, j], T(X), T([0]), T([0]))
    assert graph(T(X), T([-2]), T([-1])).tolist() == [2.0]
    with pytest.raises(IndexError):
        graph(T(X), T([bad]), T([0]))


def test_positions_of_every_kind():
    assert pg.asarray(X)[[]].shape == (0, 3)
    assert pg.take(pg.asarray(X), [], axis=1).shape == (2, 0)
    with pytest.raises(pg.errors.DTypeError, match="getitem: indices are float64"):
        pg.asarray(X)[np.zeros(0)]
    hot = pg.one_hot(pg.asarray(np.array([0], np.uint8)), 300)
    np.testing.assert_array_equal(hot.numpy(), np.eye(300, dtype=np.float32)[:1])


# -- handles

ALIASES = {
    "astype": lambda x: x.astype("float32"),
    "clip": lambda x: pg.clip(x),
    "conj": pg.conj,
    "real": pg.real,
    "positive": lambda x: +x,
    "pow": lambda x: x**1,
    "broadcast_to": lambda x: pg.broadcast_to(x, x.shape),
    "broadcast_arrays": lambda x: pg.broadcast_arrays(x, x)[0],
    "moveaxis": lambda x: pg.moveaxis(x, (0, 1), (0, 1)),
    "full": lambda x: pg.full(x.shape, x),
    "full_like": lambda x: pg.full_like(x, x),
}


@pytest.mark.parametrize("name", ALIASES)
@pytest.mark.parametrize("first", [0, 1])
def test_results_are_handles_of_their_own(name, first):
    x = T([[1.0, 2.0]])
    pair = [x, ALIASES[name](x)]
    pair[first] += 1  # either may be written first, into its own buffer or not
    pair[first][0, 0] = 9.0
    assert pair[first].tolist() == [[9.0, 3.0]]
    assert pair[1 - first].tolist() == [[1.0, 2.0]]
    pair[1 - first] *= 2
    assert [t.tolist() for t in pair][first] == [[9.0, 3.0]]


@pytest.mark.parametrize("name", ALIASES)
def test_results_are_recorded_and_batched(name):
    f = ALIASES[name]
    p = pg.Parameter([[1.0, 2.0]])
    y = f(p)
    assert not y.is_leaf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if name in ("broadcast_to", "broadcast_arrays", "moveaxis") else "error")
        y[0, 0] = 5.0
    (y * p).sum().backward()
    assert p.tolist() == [[1.0, 2.0]]
    assert p.grad.tolist() == [[5.0, 4.0]]
    assert pg.grad(lambda x: (f(x * 2) * x).sum())(T([[1.0, 2.0]])).tolist() == [[4.0, 8.0]]
    assert pg.vmap(f)(T([[[1.0, 2.0]]])).tolist() == [[[1.0, 2.0]]]


@pytest.mark.parametrize("name", ["astype", "clip", "conj", "positive", "broadcast_to", "moveaxis"])
def test_results_inside_stage_read_their_operand_again(name):
    x = T([[1.0, 2.0]])
    graph = pg.stage(lambda y: ALIASES[name](x) * y, T([[1.0, 1.0]]))
    x += 1
    assert graph(T([[1.0, 1.0]])).tolist() == [[2.0, 3.0]]


def test_results_inside_checkpoint_keep_borrowed_values():
    memory = np.array([1.0, 2.0], np.float32)
    borrowed = pg.asarray(memory)
    y = T([1.0, 1.0], requires_grad=True)
    loss = pg.checkpoint(lambda v: (v * (+borrowed)).sum())(y)
    memory[:] = 9.0
    loss.backward()
    assert y.grad.tolist() == [1.0, 2.0]


def test_the_same_handle_where_that_is_asked_for():
    x = T([1.0])
    assert x.astype("float32", copy=False) is x
    assert pg.asarray(x) is x
    assert pg.asarray(x, dtype="float32", copy=False) is x
    assert x.to("numpy") is x


def test_full_of_a_tensor_is_no_view():
    y = pg.full((2, 2), x := T(3.0))
    y[0, 1] = 1.0
    assert (y.tolist(), x.item()) == ([[3.0, 1.0], [3.0, 3.0]], 3.0)
    assert pg.grad(lambda v: pg.full_like(y, v).sum())(T(3.0)).item() == 4.0


# -- memory

A = np.ones((2, 3))
MOVEMENT = {
    "reshape": [((A,), {"shape": (3, 2)})],
    "permute": [((A,), {"axes": (1, 0)})],
    "broadcast_to": [((A,), {"shape": (2, 2, 3)})],
    "slice": [((A,), {"size": (1, 3), "start": (0, 0), "step": (1, 1)})],
    "windows": [((A,), {"window": (2,), "axis": (1,), "stride": (1,), "dilation": (1,), "at": 2})],
}


@pytest.mark.parametrize("name", [name for name in NumpyBackend.kernels if name not in MOVEMENT])
def test_kernels_of_the_reference_give_memory_of_their_own(name):
    """Anything else would be taken for an unshared buffer, and written in place under a NumPy view of it."""
    op, kernel = pg.OPS[name], NumpyBackend.kernels[name]
    calls = [sample for code in op.codes for sample in samples(name, code)]
    assert calls and not op.alias
    for sample in calls:
        attrs = sample.attrs if sample.operands else {**sample.attrs, "device": "0"}
        found = getattr(kernel, "fn", kernel)(*sample.operands, **attrs)
        for result in found if type(found) is tuple else (found,):
            assert getattr(result, "base", None) is None
            assert not any(np.shares_memory(result, x) for x in sample.operands)


@pytest.mark.parametrize("name", MOVEMENT)
def test_movement_kernels_of_the_reference_give_views(name):
    assert pg.OPS[name].alias
    assert all(np.shares_memory(NumpyBackend.kernels[name](*xs, **attrs), A) for xs, attrs in MOVEMENT[name])


def test_an_exported_draw_keeps_its_values():
    k = pg.random.bits(pg.random.key(0), (4,))
    exported = k.numpy()
    before = exported.copy()
    k += 1
    np.testing.assert_array_equal(exported, before)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_memory_of_a_buffer_is_borrowed(dtype):
    memory = array.array("f", [1, 2, 3])
    t = pg.asarray(memory, dtype=dtype)
    t += 1
    t[0] = 9.0
    assert (list(memory), t.tolist()) == ([1.0, 2.0, 3.0], [9.0, 3.0, 4.0])


# -- low precision


@pytest.mark.parametrize("dtype", LOW)
def test_means_of_many_low_precision_numbers(dtype):
    for value, n in ((1000.0, 1000), (1.0, 100000)):
        x = pg.full((n,), value, dtype=dtype)
        assert (x.mean().item(), x.mean().dtype.name) == (value, dtype)
        np.testing.assert_allclose((x.var().item(), x.std().item()), 0.0, atol=1e-3)
    spread = T([1000.0, -1000.0] * 2, dtype=dtype)
    assert (spread.std().item(), spread.std().dtype.name) == (1000.0, dtype)  # whose square is beyond float16
    wide = T([10.0, -10.0] * 40000, dtype=dtype)
    assert (wide.var().item(), wide.var().dtype.name) == (100.0, dtype)
    slope = pg.grad(lambda x: x.mean())(pg.ones((100000,), dtype=dtype))
    assert slope.dtype.name == dtype
    np.testing.assert_array_equal(slope.numpy(), np.full(100000, 1e-5).astype(slope.dtype))


def test_variance_of_complex_numbers():
    x = T([1j, 2.0])
    assert (x.var().dtype.name, x.std().dtype.name, x.mean().dtype.name) == ("float32", "float32", "complex64")
    np.testing.assert_allclose(x.std().item(), np.std([1j, 2.0]), rtol=1e-6)


@pytest.mark.parametrize("dtype", LOW)
def test_repeated_positions_accumulate_in_float32(dtype):
    i = pg.asarray(np.zeros(4096, np.int64))
    g = pg.grad(lambda x: pg.take(x, i).sum())(pg.zeros(3, dtype=dtype))
    assert (g.tolist(), g.dtype.name) == ([4096.0, 0.0, 0.0], dtype)


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8), ("float32", 24)])
def test_uniforms_stay_below_the_upper_end(dtype, digits):
    u = pg.random.uniform(pg.random.key(0), (100000,), dtype=dtype)
    multiples = u.numpy().astype(np.float64) * 2.0**digits
    assert multiples.max() < 2.0**digits
    np.testing.assert_array_equal(multiples, np.floor(multiples))
    if dtype in LOW:
        assert set(multiples) == set(range(2**digits))
    assert u.dtype.name == dtype


@pytest.mark.parametrize("dtype", [*LOW, "float32", "float64"])
def test_uniforms_of_any_range_are_not_rounded_to_its_end(dtype, monkeypatch):
    last = pg.asarray(np.full(8, 2**32 - 1, np.uint32))
    monkeypatch.setattr(random, "bits", lambda key, shape: last if isinstance(shape, int) else last.reshape((4, 2)))
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    for low, high in ((1.0, 2.0), (0.0, 3.0), (-1.0, 1e-8), (2.0, 1.0)):
        u = pg.random.uniform(pg.random.key(0), 8, low=low, high=high, dtype=dtype).numpy()
        assert (abs(u.astype(np.float64) - high) > 0).all()
        np.testing.assert_allclose(u.astype(np.float64), high, atol=3 * float(ml_dtypes.finfo(kind).eps))
    assert (pg.random.uniform(pg.random.key(0), 8, low=2.0, high=2.0, dtype=dtype) == 2.0).all()


# -- zero sizes


def test_derivatives_of_empty_products():
    x = T(np.zeros((0, 3)), requires_grad=True)
    x.prod(axis=1).sum().backward()
    assert x.grad.shape == (0, 3)
    assert pg.grad(lambda v: v.prod(axis=0).sum())(pg.zeros((0, 3))).shape == (0, 3)


def test_empty_matmul_under_vmap():
    found = pg.vmap(lambda a: a @ pg.zeros((0, 3)))(pg.zeros((4, 2, 0)))
    np.testing.assert_array_equal(found.numpy(), np.zeros((4, 2, 3)))
    assert pg.vmap(lambda a: a @ pg.zeros((3, 0)))(pg.zeros((4, 0, 3))).shape == (4, 0, 0)


def test_several_positions_into_an_empty_tensor():
    found = pg.zeros((3, 4, 0))[pg.asarray([0]), pg.asarray([1])]
    assert found.shape == np.zeros((3, 4, 0))[[0], [1]].shape == (1, 0)
    with pytest.raises(IndexError):
        pg.zeros((0, 4))[pg.asarray([0]), pg.asarray([0])]
    assert pg.zeros((0, 4))[[], []].shape == (0,)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "sum", "prod", "mean", "any", "all"])
@pytest.mark.parametrize("shape", [(0, 0), (0, 5)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_empty_results_of_reductions(name, shape, keepdims):
    axis = 0 if shape == (0, 0) else 1
    found = getattr(pg, name)(pg.zeros(shape), axis=axis, keepdims=keepdims)
    assert found.shape == np.sum(np.zeros(shape), axis=axis, keepdims=keepdims).shape
    assert found.numpy().shape == found.shape
    assert found.dtype.name == {"a": "int64"}.get(name[0], "float32") if name not in ("any", "all") else "bool"


@pytest.mark.parametrize("name", ["max", "argmax"])
def test_extrema_of_nothing(name):
    with pytest.raises(ShapeError, match="no elements"):
        getattr(pg, name)(pg.zeros((0, 3)), axis=0)


@pytest.mark.parametrize("shape", [(-2, -3), (-1, -6), (-1, -2, -3), (4, -1), (0, -1)])
def test_sizes_that_do_not_fit(shape):
    with pytest.raises(ShapeError, match="reshape"):
        pg.zeros((2, 3)).reshape(shape)
    assert pg.zeros((2, 3)).reshape((3, -1)).shape == (3, 2)
    assert pg.zeros((0, 3)).reshape((3, -1)).shape == (3, 0)


def test_tensordot_of_empty_operands():
    assert pg.tensordot(pg.zeros((2, 0)), pg.zeros((0, 3)), axes=1).tolist() == np.zeros((2, 3)).tolist()
    assert pg.tensordot(pg.zeros((0, 2)), pg.zeros((2, 3)), axes=1).shape == (0, 3)
    assert pg.tensordot(T(2.0), T(3.0), axes=0).item() == 6.0


# -- dtypes and devices


def test_square_roots_of_integers():
    for x in (pg.asarray([4]), pg.asarray([4], dtype="uint8")):
        y = x**0.5
        assert (y.tolist(), y.dtype) == ([2.0], (x**0.25).dtype)
    assert (pg.asarray([True]) ** 0.5).dtype.name == "float32"
    assert (pg.asarray([4], dtype="float16") ** 0.5).dtype.name == "float16"


class Corner(NumpyBackend):
    """A second device, on which the reference computes."""

    name = "corner"


if Corner.name not in [backend.name for backend in BACKENDS]:
    add_backend(Corner())

JOINS = {"matmul": pg.matmul, "concat": lambda a, b: pg.concat([a, b]), "stack": lambda a, b: pg.stack([a, b])}


@pytest.mark.parametrize("function", JOINS.values(), ids=JOINS)
def test_arrays_go_to_the_default_device_or_their_partners(function):
    a = np.ones((2, 2), np.float32)
    assert function(a, a).device == "numpy"
    assert function([[1.0]], [[2.0]]).device == "numpy"
    there = pg.asarray(a, device="corner")
    assert function(a, there).device == function(there, a).device == "corner"


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float64(0.1), "float64"),
        (np.complex128(1j), "complex128"),
        (np.array(0.1), "float64"),
        (np.float16(1), "float16"),
        ([1.0, np.float64(0.1)], "float32"),
        ([np.float64(0.1), 1.0], "float32"),
        ([[1], [np.float64(0.1)]], "float32"),
        ([np.complex128(1j)], "complex64"),
        ([np.array([0.1]), np.array([0.2])], "float64"),
        ([[1.0], np.array([0.2], np.float32)], "float64"),
        ([np.float16(1)], "float16"),
        ([1, np.int32(1)], "int64"),
        ([np.int8(1), np.int8(1)], "int8"),
        ([True, 1], "int64"),
        ([], "float32"),
        ([[], []], "float32"),
        ((1, 2.0), "float32"),
        (range(3), "int64"),
    ],
)
def test_dtypes_of_python_values(value, dtype):
    found = pg.asarray(value)
    assert found.dtype.name == dtype
    np.testing.assert_array_equal(found.numpy(), np.asarray(value).astype(found.dtype))


@pytest.mark.parametrize("value", [[[1], [1, 2]], [1, [1, 2]], None, [None]])
def test_values_that_are_no_array(value):
    with pytest.raises(ShapeError, match="asarray: cannot make a tensor"):
        pg.asarray(value)


# -- creation


@pytest.mark.parametrize(
    "args",
    [
        (5, 0, -2),
        (0,),
        (-3,),
        (0, 0, -1),
        (5, 0),
        (2, 9, 3),
        (2**53, 2**53 + 3),
        (0, 2**60 + 1, 2**59),
        (0.0, 1.0, 0.1),
    ],
)
def test_arange(args):
    found = pg.arange(*args)
    expected = np.array(range(*args)) if isinstance(args[0], int) else np.arange(*args)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6 if expected.dtype.kind == "f" else 0)


def test_arange_makes_no_host_array(monkeypatch):
    heard = []
    monkeypatch.setattr(np, "arange", lambda *args, **kwargs: heard.append(args))
    monkeypatch.setitem(pg.OPS["iota"].__dict__, "run", lambda **attrs: attrs["size"])
    assert pg.arange(10**12) == 10**12
    assert heard == []


def test_triangles_of_any_shape():
    for shape in ((0, 0), (0, 3), (3, 0), (2, 3, 4)):
        x = np.ones(shape)
        np.testing.assert_array_equal(pg.tril(T(x), k=1).numpy(), np.tril(x, 1))
        np.testing.assert_array_equal(pg.triu(T(x), k=-1).numpy(), np.triu(x, -1))
