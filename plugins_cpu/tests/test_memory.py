"""The allocator: blocks come back, are reused, are counted, and too big a wish is an error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from plugrad_cpu import memory, movement, view


@pytest.fixture(autouse=True)
def _default_limit() -> Iterator[None]:
    limit = memory.statistics()["cache_limit"]
    memory.trim()
    yield
    memory.set_cache_limit(limit)


def test_memory_comes_back_when_the_last_view_goes() -> None:
    before = memory.statistics()
    values = [view.empty((n,), np.float32) for n in (0, 1, 16, 17, 1000, 123_457)]
    during = memory.statistics()
    assert during["live_blocks"] == before["live_blocks"] + 6
    assert during["live_bytes"] >= before["live_bytes"] + 4 * (1 + 16 + 17 + 1000 + 123_457)
    values.clear()
    after = memory.statistics()
    assert (after["live_blocks"], after["live_bytes"]) == (before["live_blocks"], before["live_bytes"])
    assert after["cached_blocks"] == before["cached_blocks"] + 6


def test_a_view_of_a_view_keeps_the_block() -> None:
    before = memory.statistics()["live_blocks"]
    value = movement.permute(view.empty((3, 4), np.float32), axes=(1, 0))
    assert memory.statistics()["live_blocks"] == before + 1
    del value
    assert memory.statistics()["live_blocks"] == before


def test_blocks_are_reused() -> None:
    address = view.empty((1000,), np.float32).address
    before = memory.statistics()
    again = view.empty((990,), np.float32)
    after = memory.statistics()
    assert again.address == address
    assert (after["hits"], after["misses"]) == (before["hits"] + 1, before["misses"])


def test_trim_empties_the_cache() -> None:
    del_me = [view.empty((n,), np.float64) for n in (1, 100, 10_000)]
    del del_me
    assert memory.statistics()["cached_blocks"] >= 3
    memory.trim()
    assert memory.statistics()["cached_blocks"] == memory.statistics()["cached_bytes"] == 0


def test_the_cache_stays_below_its_limit() -> None:
    memory.set_cache_limit(10_000)
    values = [view.empty((1000,), np.float32) for _ in range(10)]
    values.clear()
    assert 0 < memory.statistics()["cached_bytes"] <= 10_000
    memory.set_cache_limit(0)
    assert memory.statistics()["cached_bytes"] == 0


def test_the_peak_is_remembered() -> None:
    view.empty((10_000_000,), np.uint8)
    stats = memory.statistics()
    assert stats["peak_bytes"] >= 10_000_000 > stats["live_bytes"]


def test_what_cannot_be_had_raises_memory_error() -> None:
    before = memory.statistics()
    with pytest.raises(MemoryError, match="plugrad-cpu"):
        view.empty((2**45,), np.uint8)
    after = memory.statistics()
    assert (after["live_blocks"], after["live_bytes"]) == (before["live_blocks"], before["live_bytes"])


def test_large_blocks_hold_their_content() -> None:
    big = view.from_array(np.arange(3_000_000, dtype=np.float64))
    assert big.address % (1 << 21) == 0
    np.testing.assert_array_equal(np.asarray(big), np.arange(3_000_000))
