"""Views: layout, the buffer protocol, ownership, pickling, limits."""

from __future__ import annotations

import gc
import io
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from plugrad.dtypes import as_dtype
from plugrad.errors import DTypeError, ShapeError
from plugrad_cpu import view


def test_an_array_on_a_view_shares_its_memory_and_refuses_writes(backend: Any) -> None:
    value = backend.from_host(np.arange(6.0).reshape(2, 3), "cpu")
    array = np.asarray(value)
    assert array.__array_interface__["data"][0] == value.address
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_an_array_counts_as_a_holder_of_the_view(backend: Any) -> None:
    value = backend.from_host(np.ones(3), "cpu")
    before = sys.getrefcount(value)
    array = np.asarray(value)
    assert sys.getrefcount(value) == before + 1
    del array
    assert sys.getrefcount(value) == before


def test_a_buffer_in_fortran_order_is_not_given_in_c_order(backend: Any, kit: Any) -> None:
    testbuffer = pytest.importorskip("_testbuffer")
    order = testbuffer.PyBUF_F_CONTIGUOUS
    plain = np.arange(6.0).reshape(2, 3)
    with pytest.raises(BufferError, match="do not fit the request"):
        testbuffer.ndarray(backend.from_host(plain, "cpu"), getbuf=order)
    for array in (kit.laid_out(plain, "transposed"), plain[0], plain[:1], np.zeros((2, 0, 3))):
        assert testbuffer.ndarray(view.over_array(array), getbuf=order).shape == array.shape


def test_the_memory_outlives_the_view(backend: Any) -> None:
    array = np.asarray(backend.from_host(np.arange(1000.0), "cpu"))
    gc.collect()
    others = [backend.from_host(np.zeros(1000), "cpu") for _ in range(10)]
    np.testing.assert_array_equal(array, np.arange(1000.0))
    del others


def test_from_host_copies_every_layout_and_dtype(backend: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    array = kit.laid_out(kit.sample(rng, (3, 4, 5), stored), layout)
    value = backend.from_host(array, "cpu")
    kept = array.copy()
    assert value.is_contiguous and value.shape == (3, 4, 5) and value.dtype == stored
    array[...] = 0
    np.testing.assert_array_equal(np.asarray(value), kept)
    assert np.asarray(value).dtype is kept.dtype


def test_from_host_takes_foreign_byte_order_and_unaligned_arrays(backend: Any) -> None:
    swapped = np.arange(5, dtype=">f8")
    np.testing.assert_array_equal(np.asarray(backend.from_host(swapped, "cpu")), swapped)
    unaligned = np.frombuffer(bytearray(b"x" + np.arange(5.0).tobytes()), np.float64, offset=1)
    assert not unaligned.flags.aligned
    np.testing.assert_array_equal(np.asarray(backend.from_host(unaligned, "cpu")), np.arange(5.0))
    assert backend.borrow(unaligned, "cpu") is NotImplemented
    assert backend.borrow(swapped, "cpu") is NotImplemented


def test_memory_is_aligned_to_64_bytes(backend: Any) -> None:
    for n in (0, 1, 3, 17, 1000, 100_003):
        assert view.empty((n,), np.dtype(np.float32)).address % 64 == 0


def test_borrowed_memory_is_shared_and_kept_alive(backend: Any) -> None:
    array = np.arange(12.0).reshape(3, 4)[::-1, ::2]
    value = backend.borrow(array, "cpu")
    assert value.strides == array.strides and value.address == array.__array_interface__["data"][0]
    array[0, 0] = 99
    assert np.asarray(value)[0, 0] == 99
    kept = array.copy()
    del array
    gc.collect()
    np.testing.assert_array_equal(np.asarray(value), kept)


def test_pickle_keeps_elements_and_dtype(backend: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    array = kit.laid_out(kit.sample(rng, (2, 3), stored), layout)
    for protocol in (2, 5):
        back = pickle.loads(pickle.dumps(backend.borrow(array, "cpu"), protocol))
        np.testing.assert_array_equal(np.asarray(back), array)
        assert back.dtype == stored


def test_to_host_copies_only_where_another_view_may_be_written(backend: Any) -> None:
    value = backend.from_host(np.array([2.0, 3.0, 4.0]), "cpu")
    assert backend.to_host(value).__array_interface__["data"][0] == value.address
    part = backend.kernels["slice"].fn(value, start=(0,), size=(2,), step=(1,))
    host = backend.to_host(part)
    backend.into["mul"](value, value, value)
    np.testing.assert_array_equal(host, [2, 3])


def test_consumers_that_need_contiguous_memory_are_told(backend: Any) -> None:
    square = backend.from_host(np.arange(6.0).reshape(2, 3), "cpu")
    turned = backend.kernels["permute"].fn(square, axes=(1, 0))
    assert bytes(memoryview(square)) == np.arange(6.0).tobytes()
    assert memoryview(turned).f_contiguous and not memoryview(turned).c_contiguous
    with pytest.raises(BufferError, match="copy it with numpy"):
        np.frombuffer(turned)


def test_writable_buffers_are_refused(backend: Any) -> None:
    value = backend.from_host(np.zeros(4, np.uint8), "cpu")
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(b"1234").readinto(value)


def test_thirty_two_axes_and_no_more(backend: Any) -> None:
    assert view.empty((1,) * 32, np.float32).shape == (1,) * 32
    with pytest.raises(ShapeError, match="33 axes"):
        view.empty((1,) * 33, np.float32)
    with pytest.raises(ShapeError):
        backend.from_host(np.zeros((1,) * 33), "cpu")
    assert backend.borrow(np.zeros((1,) * 33), "cpu") is NotImplemented


@pytest.mark.parametrize("shape", [(2**62, 2**62), (2**40, 2**40), (0, 2**62), (2**31, 2**31, 2**31, 2**31), (2**46,)])
def test_sizes_that_overflow_raise(shape: tuple[int, ...]) -> None:
    with pytest.raises((ShapeError, MemoryError)):
        view.empty(shape, np.float64)


def test_lengths_that_are_no_sizes_raise() -> None:
    with pytest.raises(ShapeError, match="negative"):
        view.empty((2, -1), np.float32)
    with pytest.raises(OverflowError):
        view.empty((2**70,), np.float32)
    with pytest.raises(TypeError):
        view.empty((2.5,), np.float32)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_dtypes_without_a_buffer_format_share_memory_too(name: str, backend: Any) -> None:
    dtype = as_dtype(name)
    value = backend.from_host(np.arange(6).astype(dtype).reshape(2, 3), "cpu")
    turned = backend.kernels["permute"].fn(value, axes=(1, 0))
    array = np.asarray(turned)
    assert array.dtype == dtype and array.ctypes.data == value.address and not array.flags.writeable
    assert array.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert np.asarray(turned, np.float32).dtype == np.float32 and np.array(turned).ctypes.data != value.address
    with pytest.raises(BufferError, match=f"cannot say that it holds {name}"):
        memoryview(value)
    lent = np.arange(4).astype(dtype)
    assert np.asarray(backend.borrow(lent[::2], "cpu")).ctypes.data == lent.ctypes.data
    assert backend.to_host(value).dtype == dtype and backend.dlpack(value).dtype == dtype


def test_memory_between_the_places_of_an_element_is_not_borrowed(backend: Any) -> None:
    """NumPy aligns complex64 to 4 bytes; the kernels move it as 8."""
    raw = np.zeros(68, np.uint8)
    raw = raw[-raw.ctypes.data % 8 :][:60]
    assert backend.borrow(raw[:56].view(np.complex64), "cpu") is not NotImplemented
    assert backend.borrow(raw[4:60].view(np.complex64), "cpu") is NotImplemented
    assert backend.borrow(np.zeros(4, np.complex128), "cpu") is not NotImplemented


def test_dtypes_that_are_not_stored_raise(backend: Any) -> None:
    for dtype in ("M8[s]", "S3", np.longdouble, object):
        with pytest.raises(DTypeError, match="not stored"):
            backend.from_host(np.zeros(3, dtype), "cpu")


def test_a_view_made_from_nothing_is_empty_and_none_can_be_changed(backend: Any) -> None:
    empty = view.View()
    assert np.asarray(empty).tolist() == [] and np.asarray(backend.kernels["copy"].fn(empty)).shape == (0,)
    with pytest.raises(AttributeError):
        backend.from_host(np.zeros(2), "cpu").shape = (1, 2)


def test_dlpack_gives_the_memory_of_a_value(backend: Any) -> None:
    value = backend.from_host(np.arange(6.0), "cpu")
    back = np.from_dlpack(backend.dlpack(value))
    np.testing.assert_array_equal(back, np.arange(6.0))
    assert back.ctypes.data == value.address and not back.flags.writeable


def test_bools_whose_bytes_are_not_0_and_1_become_so(backend: Any) -> None:
    """As NumPy takes them; the kernels of bools compare and add bytes."""
    odd = np.array([[2, 0], [255, 1]], np.uint8).view(bool).T
    assert backend.borrow(odd, "cpu") is NotImplemented
    assert np.asarray(backend.from_host(odd, "cpu")).view(np.uint8).tolist() == [[1, 1], [0, 1]]
    assert backend.borrow(odd[:0], "cpu") is not NotImplemented
