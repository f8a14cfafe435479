"""Philox: the published known answers, the normative counter order, and many keys at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.errors import DTypeError, ShapeError

MASK = 0xFFFFFFFF


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> list[int]:
    """Ten rounds on Python integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & MASK, (a >> 32) ^ c3 ^ k1, a & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [c0, c1, c2, c3]


def expected(key: tuple[int, int], n: int) -> np.ndarray:
    """The first n words of a key."""
    words = [w for e in range((n + 3) // 4) for w in philox((e & MASK, e >> 32, 0, 0), key)]
    return np.array(words[:n], np.uint32)


def test_the_model_gives_the_published_answers() -> None:
    assert philox((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox((MASK,) * 4, (MASK, MASK)) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


@pytest.mark.parametrize("key", [(0, 0), (1, 2), (MASK, 0), (0x12345678, 0x9ABCDEF0)])
def test_one_key(key: Any, call: Any) -> None:
    for n in (1, 2, 3, 4, 5, 255, 256, 257, 1030):
        got = call("random_bits", np.array(key, np.uint32), shape=(n,))
        assert got.dtype == np.uint32
        np.testing.assert_array_equal(got, expected(key, n))


def test_many_keys_and_shapes(call: Any, rng: Any) -> None:
    keys = rng.integers(0, 2**32, size=(2, 3, 2), dtype=np.uint32)
    got = call("random_bits", keys, shape=(5, 7))
    assert got.shape == (2, 3, 5, 7)
    for a in range(2):
        for b in range(3):
            np.testing.assert_array_equal(got[a, b].ravel(), expected(tuple(map(int, keys[a, b])), 35))
    np.testing.assert_array_equal(call("random_bits", keys[::-1, ::2], shape=(3,)), got[::-1, ::2, 0, :3])
    assert call("random_bits", keys, shape=(0, 4)).shape == (2, 3, 0, 4)
    assert call("random_bits", keys[:0], shape=(4,)).shape == (0, 3, 4)
    assert call("random_bits", keys[0, 0], shape=()).shape == ()


def test_keys_that_are_none_raise(call: Any) -> None:
    with pytest.raises(DTypeError, match="uint32"):
        call("random_bits", np.zeros(2, np.int64), shape=(3,))
    for shape in ((3,), (2, 1), ()):
        with pytest.raises(ShapeError, match="random_bits"):
            call("random_bits", np.zeros(shape, np.uint32), shape=(3,))
