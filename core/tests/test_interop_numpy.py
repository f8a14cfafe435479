"""Tensors beside NumPy arrays: no gradient is dropped, nothing that goes out changes, nothing borrowed is written."""

import gc
import operator
import weakref

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import RecordingError

FLOATING = ["add", "sub", "mul", "truediv", "pow", "matmul"]
WHOLE = ["floordiv", "mod"]
ORDER = ["lt", "le", "gt", "ge", "eq"]
BITS = ["and_", "or_", "xor", "lshift", "rshift"]
MATRIX = np.array([[2.0, 3.0], [1.5, 4.0]])


@pytest.fixture
def x():
    return pg.asarray([[1.0, 2.0], [3.0, 0.5]], dtype="float64").requires_grad_()


@pytest.mark.parametrize("word", [*FLOATING, *WHOLE, *ORDER])
def test_an_array_on_either_side_gives_a_tensor(word, x):
    f = getattr(operator, word)
    plain = x.detach().numpy()
    for got, expected in ((f(MATRIX, x), f(MATRIX, plain)), (f(x, MATRIX), f(plain, MATRIX))):
        assert type(got) is pg.Tensor
        np.testing.assert_allclose(got.detach().numpy(), expected)
        assert got.requires_grad == (word not in ORDER)


@pytest.mark.parametrize("word", FLOATING)
def test_gradients_pass_arrays_on_either_side(word, x):
    f = getattr(operator, word)
    for call in (lambda v: f(MATRIX, v), lambda v: f(v, MATRIX)):
        expected = pg.grad(lambda v, call=call: pg.sum(call(v)))(x.detach()).numpy()
        x.grad = None
        pg.sum(call(x)).backward()
        assert np.any(expected)
        np.testing.assert_allclose(x.grad.numpy(), expected)


@pytest.mark.parametrize("word", [*FLOATING, *WHOLE])
def test_an_array_changed_in_place_by_a_tensor_becomes_one(word, x):
    a = np.array(MATRIX)
    out = getattr(operator, f"i{word}")(a, x)
    assert type(out) is pg.Tensor and out.requires_grad
    np.testing.assert_array_equal(a, MATRIX)
    np.testing.assert_allclose(out.detach().numpy(), getattr(operator, word)(MATRIX, x.detach().numpy()))


@pytest.mark.parametrize("word", BITS)
def test_integers_too(word):
    f, into = getattr(operator, word), getattr(operator, f"i{word.rstrip('_')}")
    a, b = np.array([5, 12]), pg.asarray([1, 2])
    for out in (f(a, b), into(np.array(a), b)):
        assert type(out) is pg.Tensor and out.tolist() == f(a, np.array([1, 2])).tolist()


@pytest.mark.parametrize("scalar", [np.float64(2.0), np.float32(2.0), np.int64(2)])
def test_scalars_of_numpy_too(scalar, x):
    for out in (scalar * x, x * scalar, scalar + x, scalar**x):
        assert type(out) is pg.Tensor and out.requires_grad and out.dtype == np.float64


def test_functions_of_numpy_refuse_a_recorded_tensor(x):
    for call in (np.sin, np.asarray, lambda t: np.add(MATRIX, t), np.concatenate, lambda t: np.linalg.norm(t), list):
        if call is list:
            assert all(type(row) is pg.Tensor and row.requires_grad for row in call(x))
            continue
        with pytest.raises(RecordingError, match=r"\.detach\(\)"):
            call(x)
    with pg.no_grad():
        assert np.sin(x).tolist() == np.sin(x.detach().numpy()).tolist()


def test_functions_of_numpy_take_a_plain_tensor(x):
    t = x.detach()
    assert type(np.sin(t)) is np.ndarray
    np.testing.assert_allclose(np.linalg.norm(t), np.linalg.norm(t.numpy()))
    assert np.allclose(t, t.numpy())


def test_an_array_of_a_tensor_is_read_only_and_on_its_memory():
    x = pg.asarray([[1.0, 2.0], [3.0, 4.0]])
    a, b = np.asarray(x), np.array(x, copy=False)
    assert not a.flags.writeable and not b.flags.writeable and np.shares_memory(a, b)
    c = np.array(x)
    assert c.flags.writeable and not np.shares_memory(a, c)
    d = np.asarray(x, dtype="float64")
    assert d.dtype == np.float64 and d.tolist() == x.tolist()
    assert np.shares_memory(np.asarray(x, dtype="float32", copy=False), a)
    with pytest.raises(ValueError, match="float32 to float64 needs a copy"):
        np.asarray(x, dtype="float64", copy=False)


VIEWS = {
    "itself": lambda x: x,
    "transposed": lambda x: x.T,
    "row": lambda x: x[1],
    "steps": lambda x: x[:, ::2],
    "flipped": lambda x: x[::-1],
    "view of a view": lambda x: x[1:][:, 1:],
    "astype": lambda x: x.astype(x.dtype),
    "detached": lambda x: x.detach(),
    "reshaped": lambda x: x.reshape((2, 6)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize(
    "export", [lambda t: t.numpy(), np.asarray, np.from_dlpack], ids=["numpy", "asarray", "dlpack"]
)
def test_what_went_out_never_changes(view, export):
    x = pg.asarray(np.arange(12.0).reshape(3, 4), copy=True)
    kept = view(x)
    out, before = export(kept), kept.tolist()
    del kept  # only what went out may protect the memory now
    for _ in range(2):
        x += 1.0
        x[0] = 5.0
        x[...] = 7.0
    assert out.tolist() == before


def test_a_released_array_gives_the_buffer_back():
    x = pg.asarray(np.arange(3.0), copy=True)
    a, value = x[1:].numpy(), id(x.val)
    x += 1.0
    assert id(x.val) != value and a.tolist() == [1.0, 2.0]
    value = id(x.val)
    del a
    x += 1.0
    assert id(x.val) == value


def test_an_array_outlives_its_tensor():
    x = pg.asarray(np.arange(3.0), copy=True)
    a, gone = x[::-1].numpy(), weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None and a.tolist() == [2.0, 1.0, 0.0]


def test_the_memory_of_an_array_is_kept_while_a_tensor_needs_it():
    class Array(np.ndarray):
        pass

    a = np.arange(3.0).view(Array)
    gone, x = weakref.ref(a), pg.asarray(a)
    del a
    assert x.tolist() == [0.0, 1.0, 2.0]
    del x
    gc.collect()
    assert gone() is None


def test_asarray_of_everything():
    class Speaks:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3, dtype=np.int16)

    assert pg.asarray(Speaks()).dtype == np.int16
    assert pg.asarray(memoryview(b"abc")).tolist() == [97, 98, 99]
    assert pg.asarray([[pg.asarray(1.0), 2.0], [3, np.float32(4)]]).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert pg.asarray([True, 2, 3.5]).dtype == np.float32 and pg.asarray([1, 2j]).dtype == np.complex64
    x = pg.asarray([1.0])
    assert pg.asarray(x) is x and pg.asarray(x, copy=False) is x and pg.asarray(x, copy=True) is not x
    with pytest.raises(TypeError):
        pg.asarray(obj=[1.0])


def test_asarray_prefers_dlpack_and_falls_back():
    class Both:
        def __init__(self, refuses):
            self.refuses = refuses

        def __dlpack_device__(self):
            return 1, 0

        def __dlpack__(self, **asked):
            if self.refuses:
                raise BufferError("not this one")
            return np.arange(3.0).__dlpack__(**asked)

        def __array__(self, dtype=None, copy=None):
            return np.ones(2)

    assert pg.asarray(Both(refuses=False)).tolist() == [0.0, 1.0, 2.0]
    assert pg.asarray(Both(refuses=True)).tolist() == [1.0, 1.0]
    assert pg.asarray(Both(refuses=False), dtype="float32").dtype == np.float32
    with pytest.raises(ValueError, match="copy=False"):
        pg.asarray(Both(refuses=False), dtype="float32", copy=False)
