"""Handles, views, borrowed memory: writing rebinds, buffers are reused only when nobody else can see them."""

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.errors import DTypeError, RecordingError, ShapeError, ViewWriteError
from plugrad.reference.backend import NumpyBackend


def reused(t, write):
    before = id(t.val)
    write()
    return id(t.val) == before


def test_setitem_is_right_under_grad_vmap_and_stage():
    def f(w):
        z = pg.zeros((4, 3), dtype="float64")
        for i in range(4):
            z[i] = w * float(i)
        z[1:3, ::2] = w[:2] * 10.0
        return pg.sum(z * z)

    w = np.array([1.0, 2.0, 3.0])

    def reference(w):
        z = np.outer(np.arange(4.0), w)
        z[1:3, ::2] = w[:2] * 10
        return (z**2).sum()

    eps = 1e-6
    numeric = [(reference(w + eps * e) - reference(w - eps * e)) / (2 * eps) for e in np.eye(3)]
    np.testing.assert_allclose(pg.grad(f)(pg.asarray(w)).numpy(), numeric, rtol=1e-6)
    ws = pg.asarray(np.stack([w, w * 2]))
    np.testing.assert_allclose(pg.vmap(f)(ws).numpy(), [reference(w), reference(w * 2)])
    np.testing.assert_allclose(pg.vmap(pg.grad(f))(ws)[0].numpy(), numeric, rtol=1e-6)
    np.testing.assert_allclose(pg.stage(f, pg.asarray(w))(pg.asarray(w)).item(), reference(w))
    np.testing.assert_allclose(
        pg.jvp(f, (pg.asarray(w),), (pg.asarray(np.ones(3)),))[1].item(), np.sum(numeric), rtol=1e-6
    )
    np.testing.assert_allclose(np.diag(pg.hessian(f)(pg.asarray(w)).numpy()), (np.array(numeric) / w), rtol=1e-6)


def test_buffers_are_reused_only_by_their_sole_owner():
    x = pg.zeros((4, 3))
    assert reused(x, lambda: x.__setitem__(0, 1.0))
    y = x.detach()
    assert not reused(x, lambda: x.__setitem__(0, 2.0))
    assert y.tolist()[0] == [1.0] * 3
    assert reused(x, lambda: x.__setitem__(0, 3.0))
    view = x[1]
    assert not reused(x, lambda: x.__setitem__(1, 9.0))
    assert view.tolist() == [0.0] * 3
    exported = x.numpy()
    assert not exported.flags.writeable
    x[0] = 5.0
    assert exported[0].tolist() == [3.0] * 3


def test_augmented_assignment():
    x = pg.ones(3)
    y = x
    x += 1.0
    assert y is x and x.tolist() == [2.0] * 3
    assert reused(x, lambda: x.__iadd__(1.0))
    other = x.detach()
    x *= pg.asarray([1.0, 2.0, 3.0])
    assert other.tolist() == [3.0] * 3 and x.tolist() == [3.0, 6.0, 9.0]
    x -= 1
    x /= 2
    x **= 2
    assert x.tolist() == [1.0, 6.25, 16.0]
    i = pg.asarray([5, 7])
    i //= 2
    i %= 2
    assert i.tolist() == [0, 1]


def test_augmented_assignment_under_grad():
    def f(x):
        y = x * 1.0
        y += x
        y *= x
        y -= 1.0
        return pg.sum(y)

    assert pg.grad(f)(pg.asarray([1.0, 2.0])).tolist() == [4.0, 8.0]


def test_augmented_assignment_keeps_shape_and_dtype():
    x = pg.ones(3)
    with pytest.raises(ValueError, match=r"\(3,\)"):
        x += pg.ones((2, 3))
    i = pg.asarray([1, 2])
    with pytest.raises(DTypeError, match="float32.*int64"):
        i += 0.5
    assert i.tolist() == [1, 2] and x.tolist() == [1.0] * 3
    f = pg.ones(2)
    f += pg.ones(2, dtype="float64")
    assert f.dtype == np.float32


def test_a_saved_value_survives_the_write():
    def f(z):
        z = z * 1.0
        q = z * z
        z[0] = 0.0
        return pg.sum(q) + pg.sum(z)

    assert pg.grad(f)(pg.asarray([1.0, 2.0, 3.0])).tolist() == [2.0, 5.0, 7.0]
    t = pg.ones(3).requires_grad_()
    z = pg.exp(t)
    z[1] = 0.0
    pg.sum(z).backward()
    np.testing.assert_allclose(t.grad.numpy(), [np.e, 0, np.e], rtol=1e-6)


def test_views_do_not_write_through_and_say_so():
    x = pg.zeros((3, 3))
    with pytest.raises(ViewWriteError, match=r"x\[0, 1\] = v"):
        x[0][1] = 1.0
    x[0, 1] = 1.0
    x[0] += 1.0
    assert x.tolist()[0] == [1.0, 2.0, 1.0]
    row = x[1]
    with pytest.warns(UserWarning, match="views are values"):
        row[0] = 5.0
    assert x.tolist()[1] == [0.0] * 3 and row.tolist() == [5.0, 0.0, 0.0]
    row = x[2]
    with pytest.warns(UserWarning, match="views are values"):
        row -= 1.0
    assert x.tolist()[2] == [0.0] * 3


def test_view_write_modes(monkeypatch):
    x = pg.zeros((3, 3))
    monkeypatch.setenv("PLUGRAD_VIEW_WRITE", "error")
    row = x[1]
    with pytest.raises(ViewWriteError):
        row[0] = 1.0
    monkeypatch.setenv("PLUGRAD_VIEW_WRITE", "ignore")
    row[0] = 1.0
    monkeypatch.delenv("PLUGRAD_VIEW_WRITE")
    y = pg.zeros((3, 3))
    row = y[1]
    del y
    row[0] = 1.0  # nobody else can see the base


def test_views_on_a_backend_without_float32():
    class Wide(NumpyBackend):
        name = "only_float64"
        dtypes = "f8"

    dispatch.add_backend(Wide())
    x = pg.zeros((3, 3), dtype="float64", device="only_float64")
    row = x[1]
    with pytest.warns(UserWarning, match="views are values"):
        row[0] = 1.0
    alone = x[1]
    del x
    alone[0] = 1.0
    assert row.tolist() == alone.tolist() == [1.0, 0.0, 0.0]


def test_borrowed_memory_is_never_written():
    a = np.zeros(3)
    t = pg.asarray(a)
    t[0] = 7.0
    assert a[0] == 0.0 and t.tolist() == [7.0, 0.0, 0.0]
    t = pg.asarray(a)
    a[1] = 5.0
    assert t.tolist() == [0.0, 5.0, 0.0]
    assert pg.asarray(a, copy=False).numpy().base is not None
    c = pg.asarray(a, copy=True)
    a[:] = 9.0
    assert c.tolist() == [0.0, 5.0, 0.0]
    t = pg.asarray(a)
    t += 1.0
    assert a.tolist() == [9.0] * 3


def test_recorded_borrowed_values_are_copied():
    a = np.ones(3)
    t = pg.asarray(a)
    _, pullback = pg.vjp(lambda v: pg.sum(v * v), t)
    a[:] = 5.0
    assert pullback(pg.asarray(1.0, dtype="float64"))[0].tolist() == [2.0] * 3
    a = np.ones(3)
    piece = pg.asarray(a)[0:2]
    _, pullback = pg.vjp(lambda w: pg.sum(w * piece), pg.asarray(np.ones(2)))
    a[:] = 5.0
    assert pullback(pg.asarray(1.0, dtype="float64"))[0].tolist() == [1.0, 1.0]


def test_copy_false_raises_where_it_must_copy():
    with pytest.raises(ValueError, match="copy=False"):
        pg.asarray(np.ones(3), dtype="float32", copy=False)


def test_setitem_errors_come_before_the_write():
    x = pg.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"\(4,\).*\(3,\)"):
        x[0] = pg.ones(4)
    with pytest.raises(IndexError, match="out of range for axis 0"):
        x[2] = 1.0
    with pytest.raises(DTypeError, match="astype"):
        pg.asarray([1, 2])[0:1] = pg.asarray([0.5])
    with pytest.raises(IndexError, match="out of range for axis 0"):
        x[[0, 2]] = 1.0
    assert x.tolist() == [[0.0] * 3] * 2


def test_mask_assignment():
    x = pg.asarray([1.0, -2.0, 3.0])
    x[x < 0] = 0.0
    assert x.tolist() == [1.0, 0.0, 3.0]
    g = pg.grad(lambda v: pg.sum(masked(v) * masked(v)))(pg.asarray([1.0, -2.0]))
    assert g.tolist() == [2.0, 0.0]


def masked(v):
    v = v * 1.0
    v[v < 0] = 0.0
    return v


def test_mask_and_array_reads_follow_numpy():
    a = np.arange(24.0).reshape(2, 3, 4)
    x = pg.asarray(a)
    for index in [
        a > 5,
        (0, a[0] > 3),
        (slice(None), np.array([True, False, True])),
        ([0, 1], slice(None), [1, 2]),
        (..., [3, 0]),
        (1, [0, 2], None),
        np.int64(1),
        (slice(None, None, -1), 0),
        (Ellipsis, None, -1),
        (),
    ]:
        np.testing.assert_array_equal(x[index].numpy(), a[index])


@pytest.mark.parametrize("index", [5, (0, 0, 0, 0), 1.5, "a", (..., ...), np.ones(4, bool)])
def test_bad_indices(index):
    with pytest.raises(IndexError, match="getitem"):
        pg.zeros((2, 3))[index]


def test_out_of_range_positions_raise():
    x = pg.asarray([1.0, 2.0])
    for bad in ([2], [-3]):
        with pytest.raises(IndexError):
            pg.take(x, bad)
    with pytest.raises(IndexError):
        pg.zeros((2, 3))[[0, 1], [0, 3]]


def test_inplace_on_a_recorded_leaf_is_refused():
    w = pg.ones(2).requires_grad_()
    with pytest.raises(RecordingError):
        w += 1.0


def test_iteration_gives_rows():
    assert [r.tolist() for r in pg.asarray([[1.0], [2.0]])] == [[1.0], [2.0]]
    with pytest.raises(TypeError, match="0-d"):
        iter(pg.asarray(1.0))


def test_numpy_operands_never_drop_a_gradient():
    x = pg.asarray([1.0, 2.0], dtype="float64").requires_grad_()
    y = np.array([3.0, 4.0]) * x + np.float64(2.0) * x
    assert isinstance(y, pg.Tensor) and y.requires_grad
    m = np.eye(2) @ x
    assert isinstance(m, pg.Tensor) and m.requires_grad
    with pytest.raises(RecordingError, match="detach"):
        np.sin(x)
