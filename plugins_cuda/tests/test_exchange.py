"""Memory of the device for other libraries, and theirs for tensors: DLPack's device, and the CUDA array interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DeviceError, ExchangeError


class Other:
    """An array of another library on the same device."""

    def __init__(self, value: Any, device: int = 0, **changes: Any) -> None:
        self.value, self.device = value, device
        self.__cuda_array_interface__ = {**value.__cuda_array_interface__, **changes}

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("another library says no")


def test_a_tensor_says_where_its_memory_is(cuda: str) -> None:
    x = pg.asarray(np.arange(6, dtype="f4").reshape(2, 3), device=cuda)
    assert x.__dlpack_device__() == (2, 0)
    said = x.T.val.__cuda_array_interface__
    assert said["shape"] == (3, 2) and said["strides"] == (4, 12) and said["typestr"] == "<f4" and said["version"] == 3
    assert said["data"] == (x.val.pointer, True) and said["stream"] > 0
    assert x.val.__cuda_array_interface__["strides"] is None


def test_nothing_leaves_the_device_unasked(cuda: str) -> None:
    x = pg.asarray([1.0, 2.0], device=cuda)
    with pytest.raises(DeviceError, match=r"\.numpy\(\)"):
        np.asarray(x)
    assert np.from_dlpack(x, device="cpu").tolist() == x.numpy().tolist() == [1.0, 2.0]
    with pytest.raises(ExchangeError, match="without a copy"):
        x.__dlpack__(dl_device=(1, 0), copy=False, max_version=(1, 0))


@pytest.mark.parametrize("index", [(), (slice(None, None, 2),), (slice(None), slice(None, None, -1))])
def test_memory_of_another_library_is_borrowed(cuda: str, index: Any) -> None:
    a = np.arange(12, dtype="f4").reshape(4, 3)
    lender = pg.asarray(a, device=cuda)[index]
    x = pg.from_dlpack(Other(lender.val))
    assert x.device == cuda and x.val.pointer == lender.val.pointer
    np.testing.assert_array_equal(x.numpy(), a[index])
    x += 1.0
    x[0] = 7.0
    np.testing.assert_array_equal(lender.numpy(), a[index])
    np.testing.assert_array_equal(pg.asarray(Other(lender.val)).numpy(), a[index])


def test_what_the_backend_cannot_borrow_is_refused(cuda: str) -> None:
    value = pg.asarray(np.arange(6, dtype="f4"), device=cuda).val
    for other in (Other(value, typestr="<c8"), Other(value, strides=(2,))):
        with pytest.raises(ExchangeError, match="copy=False"):
            pg.from_dlpack(other, copy=False)
