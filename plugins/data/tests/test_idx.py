"""The IDX reader: every dtype, both packings, and files damaged in every way."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from plugrad_data import DataFileError, MissingDataError, idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def encode(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5), ()])
def test_reads_what_was_written(tmp_path, dtype, shape, packed):
    array = np.random.default_rng(1).uniform(-100, 100, shape).astype(np.int8).astype(dtype)
    path = tmp_path / "file-of-any-name"
    path.write_bytes(gzip.compress(encode(array)) if packed else encode(array))
    found = idx.read(path)
    assert found.dtype == np.dtype(dtype) and found.dtype.isnative and found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_big_endian(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes([0, 0, 0x0C, 1, 0, 0, 0, 1, 0, 0, 1, 2]))
    assert idx.read(str(path)).tolist() == [258]


WHOLE = encode(np.arange(6, dtype="i4").reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a header of 4 bytes, found 0"),
        (WHOLE[:3], "expected a header of 4 bytes, found 3"),
        (b"\x89PNG" + WHOLE[4:], "is not an IDX file.*found 89504e47"),
        (b"\0\0\x0a\x01" + WHOLE[4:], "is not an IDX file.*found 00000a01"),
        (WHOLE[:9], "expected 8 bytes of dimensions, found 5"),
        (WHOLE[:-1], r"expected 24 bytes for shape \(2, 3\) of int32, found only 23"),
        (WHOLE + b"\0", r"expected 24 bytes for shape \(2, 3\) of int32, found more"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "found only 0"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_file(tmp_path, content, message, packed):
    path = tmp_path / "train-images"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataFileError, match=message) as caught:
        idx.read(path)
    assert str(path) in str(caught.value) and str(caught.value).startswith("idx.read: ")


def test_a_huge_claim_takes_no_memory(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(bytes([0, 0, 14, 2]) + struct.pack(">2I", 2**31, 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError):
            idx.read(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_damaged_gzip_stream(tmp_path):
    path = tmp_path / "a.gz"
    whole = gzip.compress(encode(np.arange(1000, dtype="f8")))
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-4] + b"\0\0\0\1",
        whole[:40] + bytes([whole[40] ^ 255]) + whole[41:],
        whole[:2],
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataFileError) as caught:
            idx.read(path)
        assert str(path) in str(caught.value)


def test_an_absent_file(tmp_path):
    with pytest.raises(MissingDataError, match=r"idx.read: no file .*nowhere; check the path") as caught:
        idx.read(tmp_path / "nowhere")
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(MissingDataError):
        idx.read(tmp_path)
