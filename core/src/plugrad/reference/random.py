"""Creation, and the normative random bits: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
3", SC 2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .reduction import silent

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> list[np.ndarray]:
    """Ten rounds of Philox4x32 over arrays of counter and key words, which broadcast; four arrays of uint32.

    >>> [hex(int(w)) for w in philox((0, 0, 0, 0), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c0, c1, c2, c3 = [np.asarray(c, np.uint64) for c in counter]
    k0, k1 = [np.asarray(k, np.uint64) for k in key]
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return [np.asarray(c, np.uint32) for c in (c0, c1, c2, c3)]


def random_bits(key: Any, *, shape: tuple[int, ...]) -> np.ndarray:
    """Element e of ``shape`` is lane e % 4 of the counter (e // 4, 0), under each key of ``key[..., 2]``."""
    n = int(np.prod(shape, dtype=np.int64))
    blocks = np.arange((n + 3) // 4, dtype=np.uint64)
    lanes = philox((blocks & _LOW, blocks >> _32, 0, 0), (key[..., 0, None], key[..., 1, None]))
    bits = np.stack(lanes, axis=-1).reshape((*key.shape[:-1], 4 * blocks.size))[..., :n]
    return bits.reshape((*key.shape[:-1], *shape)).copy()  # a view would share memory that nobody counts


def _full(*, shape: tuple[int, ...], dtype: Any, value: Any, device: str) -> np.ndarray:
    return np.full(shape, value, dtype)


def _iota(*, size: int, dtype: Any, device: str) -> np.ndarray:
    return np.arange(size).astype(dtype, copy=False)


KERNELS: dict[str, Any] = {"full": silent(_full), "iota": _iota, "random_bits": random_bits}
