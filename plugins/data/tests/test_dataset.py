"""Datasets and splits: NumPy only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugrad.errors import ShapeError
from plugrad_data import ArrayDataset, Dataset, Subset, split


def numbers(n: int) -> ArrayDataset:
    return ArrayDataset(np.arange(n), np.arange(n) % 3)


def test_one_example_and_a_batch():
    x, y = np.arange(12.0).reshape(4, 3), np.array([5, 6, 7, 8])
    data = ArrayDataset(x, y)
    assert isinstance(data, Dataset) and len(data) == 4
    one = data[-1]
    np.testing.assert_array_equal(one[0], x[3])
    assert one[1] == 8
    images, labels = data[np.array([2, 0])]
    np.testing.assert_array_equal(images, x[[2, 0]])
    np.testing.assert_array_equal(labels, [7, 5])
    np.testing.assert_array_equal(data[y > 6][1], [7, 8])
    assert [int(label) for _, label in data] == [5, 6, 7, 8]


@pytest.mark.parametrize("index", [1, -2, slice(0, 3), slice(None)])
def test_what_is_read_never_changes_the_data(index):
    x = np.arange(12.0).reshape(4, 3)
    data = ArrayDataset(x)
    with pytest.raises(ValueError, match="read-only"):
        data[index][0][...] = 7
    assert x.flags.writeable and x[1, 0] == 3.0
    data[np.array([1, 2])][0][...] = 7
    assert x[1, 0] == 3.0

    def spoil(x):
        x *= 0
        return x

    with pytest.raises(ValueError, match="read-only"):
        ArrayDataset(x, transform=spoil)[:2]


@pytest.mark.parametrize("index", [True, False, np.True_])
def test_a_bool_is_no_position(index):
    for data in (numbers(3), Subset(numbers(5), [4, 2, 0])):
        with pytest.raises(IndexError, match="is a bool; use an integer"):
            data[index]


def test_transform_always_sees_a_batch():
    seen = []

    def double(x, y):
        seen.append(x.shape)
        return 2 * x, y

    data = ArrayDataset(np.ones((4, 3)), np.arange(4), transform=double)
    assert data[1][0].shape == (3,) and data[1][0][0] == 2.0
    assert data[np.array([1, 2])][0].shape == (2, 3)
    assert seen == [(1, 3), (1, 3), (2, 3)]


def test_a_transform_may_return_a_bare_array():
    assert ArrayDataset(np.arange(3), transform=lambda x: x + 1)[np.array([0, 2])][0].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((), "no arrays"),
        ((np.float64(1.0),), "needs a first axis"),
        ((np.zeros((3, 2)), np.zeros(4)), r"\(3, 2\), \(4,\).* equally many rows"),
    ],
)
def test_arrays_that_do_not_fit(arrays, message):
    with pytest.raises(ShapeError, match=f"^ArrayDataset: .*{message}"):
        ArrayDataset(*arrays)


@pytest.mark.parametrize("index", [4, -5, np.int64(7)])
def test_an_index_out_of_range(index):
    for data in (numbers(4), ArrayDataset(np.arange(4), transform=lambda x: x)):
        with pytest.raises(IndexError, match=f"index {int(index)} is out of range for 4 examples"):
            data[index]


def test_subset_of_subset():
    part = Subset(Subset(numbers(10), [9, 8, 7]), np.array([2, -3]))
    assert len(part) == 2
    assert part[0][0] == 7 and part[np.array([1, 0])][0].tolist() == [9, 7]


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([[0, 1]], ShapeError, r"shape \(1, 2\)"),
        ([0, 10], IndexError, "index 10 is out of range for 10"),
        ([-11], IndexError, "index -11"),
        (np.ones(10, bool), IndexError, "dtype bool.*flatnonzero"),
        ([0.5], IndexError, "dtype float64"),
    ],
)
def test_subset_refuses(indices, error, message):
    with pytest.raises(error, match=f"^Subset: .*{message}"):
        Subset(numbers(10), indices)


def test_empty_subset():
    assert len(Subset(numbers(3), [])) == 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    n=st.integers(0, 200),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    left_out=st.integers(0, 5),
    classes=st.integers(1, 6),
    seed=st.integers(0, 2**64 - 1),
)
def test_split_is_a_partition_in_proportion(n, weights, left_out, classes, seed):
    fractions = np.array(weights) / (sum(weights) + left_out)
    labels = np.random.default_rng(n).integers(0, classes, n)
    for stratify in (None, labels):
        parts = split(numbers(n), fractions, seed, stratify)
        chosen = np.concatenate([p.indices for p in parts])
        assert np.unique(chosen).size == chosen.size
        if not left_out:
            assert chosen.size == n
        for part, fraction in zip(parts, fractions, strict=True):
            assert np.all(np.diff(part.indices) > 0)
            groups = [np.arange(n)] if stratify is None else [np.flatnonzero(labels == c) for c in range(classes)]
            for group in groups:
                assert abs(np.isin(part.indices, group).sum() - fraction * group.size) < 1


def test_a_share_that_is_whole_is_met_exactly():
    labels = np.repeat([0, 1, 2], [3, 3, 16])
    for seed in range(8):
        first, second = split(ArrayDataset(labels), (0.5, 0.3), seed, stratify=labels)
        assert np.sum(labels[first.indices] == 2) == 8
        assert np.sum(labels[second.indices] == 2) in (4, 5)


def test_stratified_totals_stay_close():
    labels = np.repeat(np.arange(100), 7)  # a fifth of 7 is 1.4: rounding each label alone would give 100 or 200 of 140
    _, test = split(ArrayDataset(labels), (0.8, 0.2), seed=3, stratify=labels)
    assert abs(len(test) - 140) <= 1


def test_split_depends_on_the_seed_and_is_random():
    data = numbers(100)
    a, b, c = (split(data, (0.5, 0.5), seed)[0].indices for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert not np.array_equal(a, np.arange(50))


@pytest.mark.parametrize("fractions", [(), (0.5, 0.6), (0.5, 0.0), (-0.1, 0.5), (float("nan"),)])
def test_bad_fractions(fractions):
    with pytest.raises(ValueError, match=r"^split: fractions .* must be positive and sum to at most 1"):
        split(numbers(10), fractions, 0)


def test_bad_labels_and_seed():
    with pytest.raises(ShapeError, match=r"stratify has shape \(9,\).* 10 examples"):
        split(numbers(10), (0.5, 0.5), 0, np.zeros(9))
    for seed in (-1, 2**64, 1.0, True):
        with pytest.raises(ValueError, match=r"seed .* must be an integer in"):
            split(numbers(10), (0.5, 0.5), seed)
