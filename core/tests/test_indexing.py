"""Subscripts by name: forms and errors, writes, derivatives, batches, staging, masks, ``x.at``; who shares memory."""

import itertools
import tracemalloc

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ConcretizationError, DTypeError, RecordingError, ShapeError, StateError
from plugrad.testing import check_derivatives, check_vmap

A = np.arange(24.0).reshape(2, 3, 4)
X = np.random.default_rng(1).normal(size=(3, 4))
MASK = np.array([[True, False, True, False], [False, False, True, True], [False, True, False, False]])


def T(a):
    return pg.asarray(np.asarray(a), copy=True)


# -- forms


@pytest.mark.parametrize(
    "index",
    [
        (1, ..., -1),
        (None, 0, None, ..., None),
        (slice(10**30, None, -(10**30)), slice(None, -(10**30))),
        ((0, 1), (2, 0)),
        ([[0], [1]], [[0, 2]], 1),
        (range(2), 1),
        (0, slice(None), [1, 2]),
        (slice(None), [0, 2], None, [1, 1]),
        ([0, 1], ..., [3, 0]),
        (slice(None), [0, 2], ..., [1, 1]),
        (slice(1, None), [0, 2], slice(None, None, -2)),
        (np.uint8(1), np.array(2)),
        [],
        (slice(None), np.zeros((2, 0), int)),
        True,
        False,
        (..., True),
        (slice(1, 2), ..., True),
        (None, slice(1, None), [0, 2], slice(2)),
        (slice(None), np.zeros(0, bool)),
        (slice(1, 2), True, [0, 2], [1, 1]),
        ([True, False], 1),
        (slice(None), A[0] > 5),
        (A[:, :, 0] > 3, [0]),
        ([True, True], slice(None), [True, False, True, False]),
    ],
    ids=str,
)
def test_reads_and_writes_of_named_forms(index):
    np.testing.assert_array_equal(T(A)[index].numpy(), A[index])
    x, wanted = T(A), A.copy()
    value = -1.0 - np.arange(A[index].size).reshape(A[index].shape)
    x[index], wanted[index] = T(value), value
    np.testing.assert_array_equal(x.numpy(), wanted)
    x[index], wanted[index] = 0.5, 0.5
    np.testing.assert_array_equal(x.numpy(), wanted)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_positions_of_every_integer_dtype(dtype):
    i = np.array([[1, 0], [1, 1]], dtype)
    np.testing.assert_array_equal(T(A)[T(i)].numpy(), A[i])
    np.testing.assert_array_equal(T(A)[T(i), 2, T(i)].numpy(), A[i, 2, i])
    np.testing.assert_array_equal(T(A)[T(i[0, 0])].numpy(), A[1])


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        ([0, 5], IndexError, r"index 5 is out of range for axis 0 of shape \(2, 3, 4\); use -2 to 1"),
        ((0, [0, -4]), IndexError, r"index -4 is out of range for axis 1 of shape \(2, 3, 4\); use -3 to 2"),
        ((slice(None), 3), IndexError, "index 3 is out of range for axis 1"),
        (([0, 1], [0, 1, 2]), IndexError, r"shapes \(2,\), \(3,\) do not broadcast"),
        (np.ones((2, 4), bool), IndexError, r"mask of shape \(2, 4\) does not fit \(2, 3, 4\) from axis 0"),
        ((0, [True, False]), IndexError, r"mask of shape \(2,\) does not fit \(2, 3, 4\) from axis 1"),
        ([[0], [1, 2]], IndexError, "of one length"),
        ((0, 0, 0, 0), IndexError, "4 indices for shape"),
        ((..., 0, ...), IndexError, "only one"),
        (1.0, IndexError, "use integers, slices"),
        ("a", IndexError, "use integers, slices"),
        ({}, IndexError, "use integers, slices"),
        ([0.0], DTypeError, "astype"),
        (["a"], DTypeError, "must be integers"),
    ],
    ids=str,
)
def test_errors_say_what_disagrees_and_change_nothing(index, error, words):
    with pytest.raises(error, match=f"getitem: .*{words}"):
        T(A)[index]
    x = T(A)
    with pytest.raises(error, match=f"setitem: .*{words}"):
        x[index] = 0.0
    with pytest.raises(error, match=f"at.add: .*{words}"):
        x.at[index].add(0.0)
    np.testing.assert_array_equal(x.numpy(), A)


def test_positions_in_a_tensor_are_checked_before_a_write():
    for bad in ([0, 2], [-3, 0]):
        x = T(A)
        for index in (T(bad), (T(bad), slice(None), T([1, 1]))):
            with pytest.raises(IndexError):
                x[index]
            with pytest.raises(IndexError):
                x[index] = 1.0
        np.testing.assert_array_equal(x.numpy(), A)
    with pytest.raises(IndexError, match="it has no elements"):
        pg.zeros((0, 3))[T([0])]


def test_rows():
    rows = list(T(A))
    assert [r.shape for r in rows] == [(3, 4), (3, 4)]
    first, (second, *_) = rows[0], T(A)[1]
    np.testing.assert_array_equal(first.numpy(), A[0])
    np.testing.assert_array_equal(second.numpy(), A[1, 0])


# -- values that are written


def test_the_last_of_repeated_positions_stays():
    x = pg.zeros(4)
    x[[1, 1, 3, 1]] = [5.0, 6.0, 7.0, 8.0]
    assert x.tolist() == [0.0, 8.0, 0.0, 7.0]
    x[[1, 1, 3]] += 1.0
    assert x.tolist() == [0.0, 9.0, 0.0, 8.0]


def test_what_values_may_be():
    x = pg.zeros((3, 4))
    x[..., None] = np.arange(4.0)[:, None]
    assert x.tolist() == [[0.0, 1.0, 2.0, 3.0]] * 3
    x[[0, 2]] = np.ones((1, 1, 1, 4))
    x[1] = [[[7.0]]]
    assert x.tolist() == [[1.0] * 4, [7.0] * 4, [1.0] * 4]
    for value in (np.ones(3), np.ones((2, 1, 4)), [1.0, 2.0]):
        with pytest.raises(ShapeError, match=r"setitem: .*\(2, 4\)"):
            x[[0, 1]] = value
    with pytest.raises(ShapeError, match=r"\(3,\).*\(5,\)"):
        x[MASK] = [1.0, 2.0, 3.0]
    one = pg.asarray(2.0)
    one[()] = 3.0
    one[...] = one + 1
    assert one.item() == 4.0


def test_values_are_cast_to_the_dtype_but_to_no_lower_kind():
    x = T(np.zeros(3))
    x[[0, 1]] = [0.1, 1]  # not rounded to float32
    x[2] = np.float32(0.5)
    assert x.tolist() == [0.1, 1.0, 0.5] and x.dtype == np.float64
    for index in (0, [0], np.array([True, False])):
        i = T([1, 2])
        with pytest.raises(DTypeError, match="setitem: float.* does not fit into a tensor of int64"):
            i[index] = 0.5
        assert i.tolist() == [1, 2]
    with pytest.raises(DTypeError, match="at.add: complex.* does not fit into a tensor of float64"):
        x.at[[0]].add(1j)
    i = T(np.array([1, 2], np.int8))
    i[[True, False]] = T(np.array([5]))
    assert i.tolist() == [5, 2] and i.dtype == np.int8


# -- masks


def test_masks_take_one_value_a_vector_or_a_row():
    for index, value in [
        (MASK, 5.0),
        (MASK, np.arange(5.0)),
        (MASK[:, 0], np.arange(4.0)),
        (MASK[:, 2], np.arange(8.0).reshape(2, 4)),
        ((slice(None), MASK[0]), np.arange(3.0)[:, None]),
        ((slice(None), MASK[0]), np.arange(6.0).reshape(3, 2)),
        ((slice(1, None), MASK[1]), 2.0),
        ((1, MASK[1]), [3.0]),
        ((None, MASK[:, 0], 2), 4.0),
        ((MASK[:, 0], None, slice(None, None, -1)), np.arange(4.0)),
        ((MASK[:, 2], [1, 3]), np.arange(2.0)),
        (np.zeros((3, 4), bool), 1.0),
        (np.zeros((3, 4), bool), np.zeros(0)),
    ]:
        x, wanted = T(X), X.copy()
        x[index] = value
        wanted[index] = value
        np.testing.assert_array_equal(x.numpy(), wanted, err_msg=str(index))


@pytest.mark.parametrize("mapped", [m for m in itertools.product([0, None], repeat=3) if any(a == 0 for a in m)])
def test_masks_under_vmap_select_without_a_count(mapped):
    rng = np.random.default_rng(2)
    args = [T(rng.normal(size=(2, 3, 4))), T(rng.random((2, 3)) < 0.5), T(rng.normal(size=(2, 4)))]
    args = [a if m == 0 else a[0] for a, m in zip(args, mapped, strict=True)]

    def f(x, mask, v):
        y = x + v * 0.0  # of the level that writes, whatever is mapped
        y = y + pg.astype(mask, "float64").sum() * 0.0
        y[mask] = v
        y[1:, v > 0] = v[0] * 2.0
        return y.at[mask, 1].multiply(v[1])

    got = pg.vmap(f, mapped)(*args).numpy()
    rows = [[a[k] if m == 0 else a for a, m in zip(args, mapped, strict=True)] for k in range(2)]
    np.testing.assert_allclose(got, np.stack([f(*row).numpy() for row in rows]))


def test_masks_without_a_value_do_not_read_but_where_does():
    x, mask = T(X), T(MASK)
    for transformed in (lambda f: pg.vmap(f)(x, mask), lambda f: pg.stage(f, x, mask)):
        with pytest.raises(
            ConcretizationError, match=r"getitem: how many elements .* use where\(mask.*test_indexing\.py"
        ):
            transformed(lambda x, mask: x[mask])

        def vector(x, mask):
            y = x * 1.0
            y[mask] = pg.arange(1, 3, dtype="float64")
            return y

        with pytest.raises(ConcretizationError, match=r"setitem: how many elements .* use where\(mask"):
            transformed(vector)
    with pytest.raises(ConcretizationError, match="getitem: how many"):
        pg.stage(lambda v: v[mask], x)  # from outside: the graph would freeze it


def test_masks_made_and_written_in_a_staged_function():
    def f(x, v):
        y = x * 2.0
        y[y > 0] = v
        y[y[:, 0] == 1.0, 1:3] = -v
        return y

    wanted = X * 2
    wanted[wanted > 0] = 1.0
    wanted[wanted[:, 0] == 1.0, 1:3] = -1.0
    graph = pg.stage(f, T(X), T(5.0))
    np.testing.assert_array_equal(graph(T(X), T(1.0)).numpy(), wanted)
    np.testing.assert_array_equal(f(T(X), T(1.0)).numpy(), wanted)


# -- derivatives


def squares_written(index):
    def f(x, v):
        y = x * x
        y[index] = v * v
        return y * y

    return f


INDICES = [
    (slice(None, None, 2), 1),
    [2, 0],
    ([0, 0, 2, 0],),
    (slice(None), [[1, 1], [3, 0]]),
    ([0, 1, 0], [2, 3, 2]),
    ([1], None, slice(1, 3)),
    MASK,
    (MASK[:, 0], 1),
    (True, [0, 1]),
    (MASK[:, 0], slice(None, None, -2)),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_derivatives_of_reads_and_writes(index):
    x, v = T(X), T(np.random.default_rng(3).normal(size=X[index].shape))
    check_derivatives(lambda x: x[index] * x[index], x)
    check_derivatives(squares_written(index), x, v)
    check_vmap(squares_written(index), x, v)
    check_derivatives(squares_written(index), x, T(1.5))
    hessian = pg.hessian(lambda v: squares_written(index)(x, v).sum())(v).numpy().reshape(v.size, v.size)
    places = np.full(X.shape, -1)
    places[index] = np.arange(v.size).reshape(v.shape)
    stays = np.isin(np.arange(v.size), places)  # of values for one place, the last
    np.testing.assert_allclose(
        hessian, np.diag(np.where(stays, 12 * v.numpy().ravel() ** 2, 0)), rtol=1e-12, atol=1e-12
    )


def test_only_the_last_writer_gets_the_cotangent():
    index, weights = [1, 1, 0, 1], T([10.0, 20.0, 30.0, 40.0])

    def f(v, i):
        y = pg.zeros(4, dtype="float64") + v.sum() * 0.0
        y[i] = v
        return (y * weights).sum()

    v, i = T([1.0, 2.0, 3.0, 4.0]), T(index)
    wanted = [0.0, 0.0, 10.0, 20.0]
    assert pg.grad(f)(v, i).tolist() == wanted
    assert pg.grad(f)(v, T([-3, -3, 0, 1])).tolist() == wanted
    assert pg.vmap(pg.grad(f), (None, 0))(v, T([index, index])).tolist() == [wanted] * 2
    assert pg.stage(pg.grad(f), v, i)(v, i).tolist() == wanted
    assert pg.jvp(lambda v: f(v, i), (v,), (T([1.0, 5.0, 7.0, 9.0]),))[1].item() == 70.0 + 180.0
    assert pg.hessian(lambda v: f(v * v, i))(v).numpy().diagonal().tolist() == [0.0, 0.0, 20.0, 40.0]


BATCHED = {
    "rows": lambda i: i,
    "columns": lambda i: (slice(None), i),
    "pairs": lambda i: (i, i),
    "with an integer": lambda i: (i, 1),
    "with a slice": lambda i: (slice(None, None, 2), i),
    "apart": lambda i: (i[0], slice(None), i),
}


@pytest.mark.parametrize("place", BATCHED.values(), ids=BATCHED)
@pytest.mark.parametrize(
    "mapped", [m for m in itertools.product([0, None], repeat=3) if any(a == 0 for a in m)], ids=str
)
def test_batches_of_tensors_positions_and_values(mapped, place):
    rng = np.random.default_rng(4)
    args = [T(rng.normal(size=(2, 3, 4, 3))), T([[0, -1], [1, 1]]), T(rng.normal(size=2))]
    args = [a if m == 0 else a[0] for a, m in zip(args, mapped, strict=True)]

    def f(x, i, v):
        y = x * 1.0 + v * 0.0 + pg.astype(i, "float64").sum() * 0.0
        shape = y[place(i)].shape
        y[place(i)] = v * pg.reshape(pg.arange(1, 1 + np.prod(shape), dtype="float64"), shape)
        y = y.at[place(i)].add(v).at[place(i)].multiply(y[place(i)] + v).at[place(i)].max(v)
        return (y * y).sum() + (y[place(i)] * v).sum()

    both = pg.value_and_grad(f, (0, 2))
    value, grads = pg.vmap(both, mapped)(*args)
    for k in range(2):
        one, (gx, gv) = both(*[a[k] if m == 0 else a for a, m in zip(args, mapped, strict=True)])
        for batch, wanted in ((value, one), (grads[0], gx), (grads[1], gv)):
            np.testing.assert_allclose(batch[k].numpy(), wanted.numpy(), rtol=1e-12)


def test_positions_as_inputs_of_a_graph():
    def f(x, i, v):
        y = x * 1.0
        y[i, :, i] = v
        y[1, i] += 1.0
        return y[:, i, i]

    x, i, v = T(A), T([0, 1]), T(np.arange(6.0).reshape(2, 3))
    graph = pg.stage(f, x, i, v)
    other = T([1, -2])
    np.testing.assert_array_equal(graph(x, other, v).numpy(), f(x, other, v).numpy())
    with pytest.raises(IndexError):
        graph(x, T([0, 2]), v)


# -- x.at

UFUNCS = {"add": np.add, "multiply": np.multiply, "divide": np.divide, "min": np.minimum, "max": np.maximum}


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("index", [*INDICES, ([0, 2, 0], [1, 1, 1]), ..., (slice(0), 1)], ids=str)
def test_at_counts_repeated_positions(name, index):
    v = 0.5 + np.random.default_rng(5).random(X[index].shape)
    wanted, x = X.copy(), T(X)
    UFUNCS[name].at(wanted, index, v)
    np.testing.assert_allclose(getattr(x.at[index], name)(T(v)).numpy(), wanted, rtol=1e-12)
    np.testing.assert_array_equal(x.numpy(), X)
    UFUNCS[name].at(wanted := X.copy(), index, 2.0)
    np.testing.assert_allclose(getattr(x.at[index], name)(2.0).numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", [*UFUNCS, "set"])
@pytest.mark.parametrize("index", [[0, 0, 2, 0], ([0, 1, 0], [2, 3, 2]), MASK, (0, slice(1, 3))], ids=str)
def test_derivatives_of_at(name, index):
    def f(x, v):
        return getattr(x.at[index], name)(v)

    v = T(1.0 + np.random.default_rng(6).random(X[index].shape))
    check_derivatives(f, T(X), v)
    check_vmap(f, T(X), v)


def test_factors_of_zero_and_complex_ones():
    def f(v):
        return T([2.0, 3.0]).at[[0, 0, 1, 0]].multiply(v).sum()

    assert pg.grad(f)(T([0.0, 5.0, 0.0, 7.0])).tolist() == [70.0, 0.0, 3.0, 0.0]
    assert pg.grad(f)(T([0.0, 5.0, 4.0, 0.0])).tolist() == [0.0, 0.0, 3.0, 0.0]
    z = T(np.array([1 + 2j, 3 - 1j]))
    check_derivatives(lambda x, v: x.at[[0, 0, 1]].multiply(v), z, T(np.array([1j, 2 - 1j, 1 + 1j])))
    check_derivatives(lambda x, v: x.at[[0, 0, 1]].set(v), z, T(np.array([1j, 2 - 1j, 1 + 1j])))


def test_equal_extrema_share_the_cotangent():
    def f(x, v):
        return x.at[[0, 0]].max(v).sum()

    gx, gv = pg.grad(f, (0, 1))(T([1.0, 2.0]), T([1.0, 0.5]))
    assert (gx.tolist(), gv.tolist()) == ([0.5, 1.0], [0.5, 0.0])


def test_at_keeps_the_dtype():
    i = T([6, 8])
    assert i.at[[0, 0]].add([1, 2]).tolist() == [9, 8]
    with pytest.raises(DTypeError, match="at.divide: float32 does not fit into a tensor of int64"):
        i.at[0].divide(2)
    with pytest.raises(DTypeError, match="scatter_max"):
        T([1j]).at[[0]].max(1.0)


# -- memory


def test_a_view_keeps_what_it_saw():
    for index in ([0, 1], (slice(None), [0, 1]), A[0] > 0):
        x = T(A[0])
        row, turned, taken = x[0], x.T, x[[0, 1]]
        x[index] = -1.0
        np.testing.assert_array_equal(row.numpy(), A[0, 0])
        np.testing.assert_array_equal(turned.numpy(), A[0].T)
        taken[0] = 9.0  # no view: nothing to warn of
        assert x[1, 1].item() == -1.0


def test_writes_at_positions_reuse_the_buffer_of_a_sole_owner():
    x = pg.zeros((4, 3))
    before = id(x.val)
    for k in range(4):
        x[[k, k]] = [[1.0] * 3, [float(k)] * 3]
        x[[k], [0]] = 5.0
    assert id(x.val) == before
    other = x.detach()
    x[[0]] = 9.0
    assert id(x.val) != before and other.tolist()[0] == [5.0, 0.0, 0.0]
    borrowed = np.zeros(3)
    y = pg.asarray(borrowed)
    y[[0, 1]] = 1.0
    assert borrowed.tolist() == [0.0] * 3


def test_rows_filled_under_grad_reuse_the_buffer():
    seen = []

    def f(v):
        y = pg.zeros((5, 2), dtype="float64")
        for k in range(5):
            y[[k]] = v * float(k)
            seen.append(id(y.val))
        return (y * y).sum()

    assert pg.grad(f)(T([1.0, 2.0])).tolist() == [60.0, 120.0]
    assert len(set(seen)) == 1


def test_a_read_or_write_of_few_elements_costs_little_memory():
    x = pg.zeros((500, 40, 50), dtype="float64")  # 8 MB
    few = [3, 400, 77]
    tracemalloc.start()
    try:
        for index in ((few, slice(None), few[:1]), (few, 5, slice(3, 9)), (slice(2), [1, 2], [3, 4]), (few, 1, 2)):
            x[index]
            x[index] = 1.0
            x[index] += 1.0
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert x[few, 1, 2].tolist() == [2.0] * 3


def test_what_may_not_be_written():
    w = pg.ones((2, 2)).requires_grad_()
    with pytest.raises(RecordingError, match="leaf"):
        w[[0, 0]] = 1.0
    with pg.no_grad():
        w[[1]] = 3.0
    assert w.is_leaf and w.tolist() == [[1.0, 1.0], [3.0, 3.0]]
    outside = pg.zeros((3, 2))
    with pytest.raises(StateError, match="made outside"):
        pg.vmap(lambda i: outside.__setitem__(i, 1.0))(T([[0], [1]]))
    assert outside.tolist() == [[0.0] * 2] * 3
