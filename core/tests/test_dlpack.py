"""DLPack on the reference backend and on backends whose values are another library's arrays."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.errors import ExchangeError
from plugrad.ops import dlpack
from plugrad.reference.backend import NumpyBackend

NATIVE = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "steps": lambda x: x[:, ::2],
    "flipped": lambda x: x[::-1],
    "row": lambda x: x[1],
    "0-d": lambda x: x[1, 1],
    "no elements": lambda x: x[:0],
    "broadcast": lambda x: pg.broadcast_to(x[0], (2, 3)),
}


class Library:
    """Another library's array on the host, which says what it was asked."""

    def __init__(self, array, kind=1, old=False):
        self.array, self.kind, self.old, self.asked = array, kind, old, []

    def __dlpack_device__(self):
        return self.kind, 0

    def __dlpack__(self, **asked):
        self.asked.append(asked)
        if self.old and asked.keys() - {"stream"}:
            raise TypeError("unexpected keyword")
        if self.kind != 1 and asked.get("dl_device") != (1, 0):
            raise BufferError("not the host's memory")
        return self.array.__dlpack__(**{k: v for k, v in asked.items() if self.kind == 1 or k != "dl_device"})


def address(x):
    return x.numpy().ctypes.data


# -- out


@pytest.mark.parametrize("dtype", NATIVE.split())
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_export_is_the_same_memory_read_only(dtype, layout):
    x = layout(pg.asarray(np.arange(12).reshape(4, 3).astype(dtype)))
    a = np.from_dlpack(x, copy=False)
    assert a.dtype == x.dtype and a.tolist() == x.tolist() and not a.flags.writeable
    assert a.ctypes.data == address(x) and (a.strides == x.numpy().strides or not x.size)


def test_what_runs_backwards_is_copied():
    x = pg.asarray(np.arange(12.0).reshape(4, 3))
    for view, copied in ((x[::-1], True), (x[:, ::-1], True), (x[::2], False), (x.T, False)):
        a = np.from_dlpack(view)
        assert a.tolist() == view.tolist() and (a.ctypes.data != address(view)) is copied
        assert not copied or min(a.strides) > 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_what_numpy_does_not_exchange_is_named(dtype, monkeypatch):
    def nothing(kind, name):
        raise pg.errors.UnknownNameError(name)

    monkeypatch.setattr(dlpack, "component", nothing)
    x = pg.ones(3).astype(dtype)
    with pytest.raises(BufferError, match=f"{dtype}; cast it, or install"):
        x.__dlpack__(max_version=(1, 0))
    assert x.__dlpack_device__() == (1, 0)


def test_a_consumer_that_knows_no_read_only_gets_a_copy():
    x = pg.asarray([1.0, 2.0])
    for asked in ({}, {"max_version": (0, 8)}):
        a = np.from_dlpack(Capsule(x.__dlpack__(**asked)))
        assert a.tolist() == x.tolist() and a.ctypes.data != address(x)
        b = np.from_dlpack(Capsule(x.__dlpack__(copy=False, **asked)))
        assert b.ctypes.data == address(x)


class Capsule:
    """A capsule as an object that hands it out once."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, **asked):
        return self.capsule


def test_an_asked_copy_is_the_consumers_own():
    x = pg.asarray([1.0, 2.0])
    old = np.from_dlpack(Capsule(x.__dlpack__(copy=True)))
    assert old.tolist() == x.tolist() and old.ctypes.data != address(x)
    a = np.from_dlpack(Capsule(x.__dlpack__(copy=True, max_version=(1, 0))))
    a[0] = 9.0
    assert x.tolist() == [1.0, 2.0]


def test_exports_stay_and_imports_are_not_written():
    x = pg.asarray([1.0, 2.0, 3.0], copy=True)
    out = np.from_dlpack(x)
    x += 1
    x[0] = 5.0
    assert out.tolist() == [1.0, 2.0, 3.0] and x.tolist() == [5.0, 3.0, 4.0]
    a = np.ones(3)
    y = pg.from_dlpack(a)
    assert address(y) == a.ctypes.data
    y += 1
    y[0] = 5.0
    assert a.tolist() == [1.0] * 3 and y.tolist() == [5.0, 2.0, 2.0]


def test_recorded_tensors_are_refused():
    x = pg.ones(2).requires_grad_()
    for call in (lambda: x.__dlpack__(), lambda: np.from_dlpack(x * 2.0), lambda: pg.from_dlpack(x)):
        with pytest.raises(BufferError, match=r"recorded.*\.detach\(\)"):
            call()
    with pg.no_grad():
        assert np.from_dlpack(x).tolist() == [1.0, 1.0]
    assert np.from_dlpack(x.detach()).tolist() == [1.0, 1.0]
    with pytest.raises(BufferError):
        pg.grad(lambda v: np.from_dlpack(v) and v)(x)


def test_what_has_no_value_is_refused():
    with pytest.raises(pg.errors.LeakedTracerError, match="vmap"):
        pg.vmap(lambda v: pg.asarray(np.from_dlpack(v)))(pg.ones(2))


def test_bad_requests():
    x = pg.ones(2)
    with pytest.raises(BufferError, match=r"\(2, 0\).*\.to\(\)"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="stream=1"):
        x.__dlpack__(stream=1)
    with pytest.raises(TypeError):
        x.__dlpack__(None)


# -- in


@pytest.mark.parametrize("dtype", NATIVE.split())
def test_import_borrows(dtype):
    wide = np.arange(24).reshape(4, 6).astype(dtype)
    for a in (wide, wide.T, wide[::2, ::-1], wide[:0], np.array(1, dtype)):
        library = Library(a)
        x = pg.from_dlpack(library)
        assert x.dtype == a.dtype and x.device == "numpy" and (address(x) == a.ctypes.data or not a.size)
        np.testing.assert_array_equal(x.numpy(), a)
        y = pg.from_dlpack(library, copy=True)
        assert not np.shares_memory(y.numpy(), wide)
        np.testing.assert_array_equal(y.numpy(), a)


def test_a_recorded_import_is_copied_unless_it_was_lent():
    for copy, expected in ((None, 2.0), (False, 10.0)):
        a = np.ones(2)
        x = pg.from_dlpack(a, copy=copy)
        _, pullback = pg.vjp(lambda v: pg.sum(v * v), x)
        a[:] = 5.0
        assert pullback(pg.asarray(1.0, dtype="float64"))[0].tolist() == [expected] * 2


def test_read_only_memory_comes_in():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = pg.from_dlpack(a)
    x[0] = 7.0
    assert address(pg.from_dlpack(a)) == a.ctypes.data and a.tolist() == [0.0, 1.0, 2.0]


def test_a_producer_of_before_dlpack_1():
    a = np.arange(3.0)
    x = pg.from_dlpack(Library(a, old=True))
    assert x.tolist() == a.tolist() and address(x) == a.ctypes.data


def test_memory_of_an_unknown_device():
    library = Library(np.arange(3.0), kind=8)
    with pytest.raises(ExchangeError, match=r"\(8, 0\).*device="):
        pg.from_dlpack(library)
    x = pg.from_dlpack(library, device="numpy")
    assert x.tolist() == [0.0, 1.0, 2.0] and library.asked[-1]["dl_device"] == (1, 0)
    with pytest.raises(BufferError):
        pg.from_dlpack(library, device="numpy", copy=False)


def test_memory_that_the_host_can_read_too():
    assert pg.asarray(np.arange(2.0)).tolist() == pg.from_dlpack(np.arange(2.0)).tolist()
    for kind in (3, 13):
        with pytest.raises(BufferError, match="not the host's memory"):
            pg.from_dlpack(Library(np.arange(2.0), kind=kind))  # NumPy asks without a device: the library decides


def test_tensors_come_in_as_constants():
    x = pg.asarray([1.0, 2.0])
    y = pg.from_dlpack(x)
    assert y is not x and address(y) == address(x)
    assert address(pg.from_dlpack(x, copy=True)) != address(x)
    x[0] = 5.0
    assert y.tolist() == [1.0, 2.0]


def test_objects_without_dlpack():
    with pytest.raises(AttributeError, match=r"from_dlpack: x is a list, which does not speak DLPack; .*asarray"):
        pg.from_dlpack([1.0])


# -- other backends


class Foreign:
    """A value of a library whose capsules know its memory, not its objects."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, **asked):
        return self.array.view().__dlpack__(**asked)


def wrapped(kernel):
    def call(*values, **attrs):
        return Foreign(np.asarray(kernel(*[v.array for v in values], **attrs)))

    return call


class ForeignBackend(NumpyBackend):
    name = "foreign"
    kernels = {name: wrapped(kernel) for name, kernel in NumpyBackend.kernels.items() if name != "full"}
    into = {"add": lambda out, x, y: NumpyBackend.into["add"](out.array, x.array, y.array)}

    def from_host(self, array, device):
        return Foreign(np.array(array, copy=True))

    def to_host(self, value):
        return np.array(value.array)

    def spec(self, value):
        return pg.Spec(value.array.shape, value.array.dtype)

    def borrow(self, array, device):
        return NotImplemented

    def empty(self, shape, dtype, device):
        return NotImplemented

    def dlpack(self, value):
        return super(NumpyBackend, self).dlpack(value)


class ClosedBackend(ForeignBackend):
    name = "closed"

    def dlpack(self, value):
        return NotImplemented


@pytest.fixture(scope="module", autouse=True)
def backends():
    dispatch.add_backend(ForeignBackend())
    dispatch.add_backend(ClosedBackend())


def test_a_librarys_own_export_protects_the_memory():
    x = pg.asarray([1.0, 2.0, 3.0], device="foreign")
    value = x.val
    del value
    before = id(x.val)
    x += 1.0
    assert id(x.val) == before, "written in place while nobody looks"
    out = np.from_dlpack(x)
    assert out.ctypes.data == x.val.array.ctypes.data
    x += 1.0
    assert out.tolist() == [2.0, 3.0, 4.0] and x.tolist() == [3.0, 4.0, 5.0]
    before = id(x.val)
    x += 1.0
    assert id(x.val) == before, "the new value is nobody else's"


def test_a_shared_value_of_such_a_library_is_copied():
    x = pg.asarray([1.0, 2.0, 3.0], device="foreign")
    view = x[1:]
    out = np.from_dlpack(view)
    del view
    x += 1.0
    assert out.tolist() == [2.0, 3.0]
    view = x[1:]
    with pytest.raises(BufferError, match=r"share.*\.copy\(\)"):
        view.__dlpack__(copy=False, max_version=(1, 0))


def test_a_backend_that_hands_out_nothing():
    x = pg.asarray([1.0, 2.0], device="closed")
    with pytest.raises(BufferError, match=r"closed hands out no memory.*\.numpy\(\)"):
        np.from_dlpack(x)
    assert x.numpy().tolist() == np.asarray(x).tolist() == [1.0, 2.0]
    assert pg.from_dlpack(np.ones(2), device="closed").device == "closed"
    with pytest.raises(BufferError, match="copy=False"):
        pg.from_dlpack(np.ones(2), device="closed", copy=False)


def test_the_default_device_takes_memory_only_if_it_uses_it():
    with pg.device("foreign"):
        assert pg.from_dlpack(np.ones(2)).device == "foreign"
    with pg.device("closed"):
        assert pg.from_dlpack(np.ones(2)).device == "numpy"
        assert pg.asarray(Library(np.ones(2))).device == "closed"


# -- lifetime


def test_consumer_and_producer_go_in_any_order():
    class Array(np.ndarray):
        pass

    a = np.arange(3.0).view(Array)
    gone, x = weakref.ref(a), pg.from_dlpack(a)
    b = np.from_dlpack(x)
    del a, x
    gc.collect()
    assert gone() is not None and b.tolist() == [0.0, 1.0, 2.0]
    del b
    gc.collect()
    assert gone() is None


def test_round_trips_leak_nothing():
    def trips(n):
        for _ in range(n):
            x = pg.asarray(np.zeros(256))
            x.T.__dlpack__(max_version=(1, 0))  # a capsule that nobody consumes
            pg.from_dlpack(np.from_dlpack(x[::2]))

    trips(100)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    trips(10_000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 50_000, grown
