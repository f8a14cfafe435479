"""Creation and random bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reference import random
from .base import K, fault, kernel, where

_LOW = np.uint64(0xFFFFFFFF)


def _swapped_lanes(key: Any, *, shape: Any) -> Any:
    bits = K["random_bits"](key, shape=shape)
    return bits[..., ::-1].copy() if shape else bits


def _fewer_rounds(key: Any, *, shape: Any) -> Any:
    """Seven rounds of Philox instead of ten."""
    n = int(np.prod(shape, dtype=np.int64))
    c = [np.arange((n + 3) // 4, dtype=np.uint64)] + [np.uint64(0)] * 3
    k = [key[..., i, None].astype(np.uint64) for i in (0, 1)]
    for _ in range(7):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        c = [high1 ^ c[1] ^ k[0], np.asarray(p1 & _LOW), high0 ^ c[3] ^ k[1], p0 & _LOW]
        k = [(k[0] + np.uint64(0x9E3779B9)) & _LOW, (k[1] + np.uint64(0xBB67AE85)) & _LOW]
    lanes = np.stack(np.broadcast_arrays(*c), axis=-1).reshape((*key.shape[:-1], -1))[..., :n]
    return lanes.reshape((*key.shape[:-1], *shape)).astype(np.uint32)


def _swapped_key(key: Any, *, shape: Any) -> Any:
    return K["random_bits"](key[..., ::-1], shape=shape)


def _one_counter(key: Any, *, shape: Any) -> Any:
    """One run of counters over all keys."""
    if key.ndim == 1:
        return K["random_bits"](key, shape=shape)
    rows = key.reshape((-1, 2))
    n = int(np.prod(shape, dtype=np.int64))
    blocks = (n + 3) // 4
    found = np.zeros((rows.shape[0], n), np.uint32)
    for i, row in enumerate(rows):
        counters = np.arange(i * blocks, (i + 1) * blocks, dtype=np.uint64)
        found[i] = np.stack(random.philox((counters, 0, 0, 0), tuple(row)), -1).reshape(-1)[:n]
    return found.reshape((*key.shape[:-1], *shape))


def _known_values(*, shape: Any, dtype: Any, value: Any, device: str) -> Any:
    return np.full(shape, 1 if value else 0, dtype)


def _truncated_value(*, shape: Any, dtype: Any, value: Any, device: str) -> Any:
    known = dtype.kind == "f" and np.isfinite(value)
    return np.full(shape, int(value) if known else value, dtype)


def _wrapped(*, size: int, dtype: Any, device: str) -> Any:
    return np.arange(size).astype("u1").astype(dtype)


FAULTS = (
    fault("random_lanes", "the words of random_bits come in reverse",
          "values.random_known_answer values.random_bits values.random_numbers",
          kernel("random_bits", _swapped_lanes, dtypes="b1 i8 u4 u8 f4"), says=("key (0, 0)",)),
    fault("random_rounds", "random_bits does seven rounds instead of ten",
          "values.random_known_answer values.random_bits", kernel("random_bits", _fewer_rounds)),
    fault("random_key_words", "random_bits swaps the two words of the key", "values.random_bits",
          kernel("random_bits", _swapped_key)),
    fault("random_counters", "random_bits counts on from one key to the next", "values.random_bits",
          kernel("random_bits", _one_counter)),
    fault("random_bits_of_many_keys", "random_bits takes many keys in reverse", "values.random_bits",
          where("random_bits", lambda key: key.ndim == 3, lambda key, *, shape: K["random_bits"](
              key[::-1], shape=shape))),
    fault("random_bits_of_no_keys", "random_bits of no keys raises", "values.random_bits",
          where("random_bits", lambda key: key.size == 0, lambda key, *, shape: 1 / 0)),
    fault("full_of_ones", "full knows 0 and 1", "values.full", kernel("full", _known_values)),
    fault("full_truncates", "full takes the whole part of its value", "values.full", kernel("full", _truncated_value)),
    fault("iota_wraps", "iota wraps at 255", "values.iota", kernel("iota", _wrapped)),
    fault("iota_in_floats", "iota counts in float16, which ends at 2048", "values.iota",
          kernel("iota", lambda *, size, dtype, device: np.arange(size).astype("f2").astype(dtype))),
)  # fmt: skip
