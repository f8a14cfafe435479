"""Movement kernels against NumPy: views where possible, copies otherwise, regions in place, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.errors import DTypeError, ShapeError
from plugrad_cpu import view


def slices(start: Any, size: Any, step: Any) -> tuple[slice, ...]:
    """The Python slices of a region."""
    stops = [a + n * k for a, n, k in zip(start, size, step, strict=True)]
    return tuple(slice(a, e if e >= 0 else None, k) for a, e, k in zip(start, stops, step, strict=True))


REGIONS = [
    ((0, 0, 0), (3, 4, 5), (1, 1, 1)),
    ((1, 0, 2), (2, 2, 3), (1, 3, 1)),
    ((2, 3, 4), (3, 2, 3), (-1, -3, -2)),
    ((0, 3, 0), (1, 4, 0), (1, -1, 1)),
    ((2, 0, 4), (1, 1, 1), (7, -7, 0)),
]


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_permute_is_a_view(axes: Any, call: Any, backend: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    x = kit.laid_out(kit.sample(rng, (3, 4, 5), stored), layout)
    np.testing.assert_array_equal(call("permute", x, axes=axes), x.transpose(axes))
    value = view.over_array(x)
    assert backend.kernels["permute"].fn(value, axes=axes).shares_memory(value)


@pytest.mark.parametrize("region", REGIONS)
def test_slice_is_a_view(region: Any, call: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    start, size, step = region
    x = kit.laid_out(kit.sample(rng, (3, 4, 5), stored), layout)
    got = call("slice", x, start=start, size=size, step=step)
    expected = x[slices(start, size, step)] if all(size) and 0 not in step else x[2:3, 0:1, 4:5]
    np.testing.assert_array_equal(got, expected if all(size) else np.empty(size, stored))


def test_slices_of_slices(call: Any, backend: Any) -> None:
    x = np.arange(60).reshape(3, 4, 5)
    once = backend.kernels["slice"].fn(view.over_array(x), start=(2, 3, 4), size=(2, 2, 3), step=(-1, -2, -2))
    twice = backend.kernels["slice"].fn(once, start=(1, 1, 2), size=(2, 2, 2), step=(-1, -1, -1))
    np.testing.assert_array_equal(np.asarray(twice), x[2:0:-1, 3::-2, 4::-2][::-1, ::-1, 2:0:-1])


@pytest.mark.parametrize(
    "bad",
    [
        {"start": (3, 0), "size": (1, 1), "step": (1, 1)},
        {"start": (0, 0), "size": (4, 1), "step": (1, 1)},
        {"start": (0, 0), "size": (2, 1), "step": (-1, 1)},
        {"start": (-1, 0), "size": (1, 1), "step": (1, 1)},
        {"start": (0, 0), "size": (2, 2), "step": (2**62, 1)},
        {"start": (2, 0), "size": (2, 2), "step": (-(2**63), 1)},
        {"start": (0, 0), "size": (2**62, 2), "step": (4, 1)},
        {"start": (0, 0), "size": (-1, 2), "step": (1, 1)},
        {"start": (0,), "size": (1,), "step": (1,)},
    ],
)
def test_regions_outside_raise_and_write_nothing(bad: Any, call: Any, backend: Any) -> None:
    x = np.zeros((3, 4))
    with pytest.raises(ShapeError, match="slice"):
        call("slice", x, **bad)
    with pytest.raises(ShapeError, match="slice_update"):
        call("slice_update", x, np.ones(()), **bad)
    value = view.over_array(x)
    with pytest.raises(ShapeError, match="slice_update"):
        backend.into["slice_update"](value, value, view.from_array(np.ones(())), **bad)
    assert not x.any()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((3, 4, 5), (60,)), ((3, 4, 5), (12, 5)), ((3, 4, 5), (3, 20)), ((3, 4, 5), (2, 6, 5)), ((60,), (3, 4, 5)),
        ((3, 4, 5), (1, 3, 4, 1, 5, 1)), ((1,), ()), ((), (1, 1)), ((0, 3), (5, 0)), ((4, 1, 3), (12,)),
        ((2, 3), (3, 2)), ((1, 1, 6), (2, 3)), ((6, 4), (2, 3, 2, 2)), ((8, 9), (2, 36)),
    ],
)  # fmt: skip
def test_reshape(old: Any, new: Any, call: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    x = kit.laid_out(kit.sample(rng, old, stored), layout)
    np.testing.assert_array_equal(call("reshape", x, shape=new), x.reshape(new))


def test_reshape_is_a_view_where_strides_allow_it(backend: Any) -> None:
    whole = np.arange(24.0).reshape(2, 3, 4)
    for x, shape, shared in (
        (whole, (6, 4), True),
        (whole[:, :, ::2], (6, 2), True),
        (whole[:, ::2], (2, 8), False),
        (whole[:, ::2, ::2], (2, 2, 2, 1), True),
        (whole.transpose(1, 0, 2), (3, 2, 2, 2), True),
        (whole.transpose(2, 1, 0), (24,), False),
        (whole[::-1], (2, 12), True),
        (np.broadcast_to(whole[:1], (5, 3, 4)), (5, 12), True),
        (np.broadcast_to(whole[0, 0], (5, 4)), (20,), False),
    ):
        value = view.over_array(x)
        got = backend.kernels["reshape"].fn(value, shape=shape)
        np.testing.assert_array_equal(np.asarray(got), x.reshape(shape))
        assert got.shares_memory(value) is shared, (x.shape, x.strides, shape)


def test_reshape_to_another_size_raises(call: Any) -> None:
    with pytest.raises(ShapeError, match=r"reshape: shape \(2, 3\) has 6 elements, \(4,\) has 4"):
        call("reshape", np.zeros((2, 3)), shape=(4,))


@pytest.mark.parametrize(
    ("old", "new"), [((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 1), (0, 5)), ((2, 3), (4, 2, 3))]
)
def test_broadcast_to(old: Any, new: Any, call: Any, kit: Any, rng: Any, stored: Any) -> None:
    x = kit.sample(rng, old, stored)
    np.testing.assert_array_equal(call("broadcast_to", x, shape=new), np.broadcast_to(x, new))


@pytest.mark.parametrize(("old", "new"), [((2,), (3,)), ((2, 3), (3,)), ((2, 3), (2, 1)), ((3,), (3, 0))])
def test_broadcast_to_what_does_not_fit_raises(old: Any, new: Any, call: Any) -> None:
    with pytest.raises(ShapeError, match="broadcast_to"):
        call("broadcast_to", np.zeros(old), shape=new)


def test_copy_of_every_layout(call: Any, backend: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    for shape in ((3, 4, 5), (40, 37), (3, 33, 5, 18), (1, 1), (0, 3), (7,), ()):
        x = kit.laid_out(kit.sample(rng, shape, stored), layout)
        np.testing.assert_array_equal(call("copy", x), x)
        value = view.over_array(x)
        assert not backend.kernels["copy"].fn(value).shares_memory(value)


@pytest.mark.parametrize("axes", [(1, 0), (0, 2, 1), (2, 1, 0), (0, 3, 1, 2), (3, 2, 1, 0), (2, 3, 0, 1)])
def test_transposed_copies_cover_tiles_and_their_edges(axes: Any, call: Any, kit: Any, rng: Any, stored: Any) -> None:
    for sizes in ((16, 32, 17, 9), (1, 50, 8, 8), (33, 7, 16, 15)):
        x = kit.sample(rng, sizes[: len(axes)], stored).transpose(axes)
        np.testing.assert_array_equal(call("reshape", x, shape=(x.size,)), x.ravel())
        np.testing.assert_array_equal(call("reshape", x[::-1, 1:], shape=(x[::-1, 1:].size,)), x[::-1, 1:].ravel())


@pytest.mark.parametrize(
    ("low", "high", "interior"),
    [((0, 0), (0, 0), (0, 0)), ((1, 2), (3, 0), (0, 0)), ((0, 1), (0, 0), (2, 1)), ((2, 0), (1, 1), (0, 3))],
)
def test_pad(low: Any, high: Any, interior: Any, call: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    for shape in ((3, 4), (1, 2), (0, 3)):
        x = kit.laid_out(kit.sample(rng, shape, stored), layout)
        sizes = [n + max(n - 1, 0) * k + lo + hi for n, lo, hi, k in zip(shape, low, high, interior, strict=True)]
        expected = np.zeros(sizes, stored)
        ends = [lo + n + max(n - 1, 0) * k for n, lo, k in zip(shape, low, interior, strict=True)]
        expected[tuple(slice(lo, e, k + 1) for lo, e, k in zip(low, ends, interior, strict=True))] = x
        np.testing.assert_array_equal(call("pad", x, low=low, high=high, interior=interior), expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat(axis: int, call: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    shapes = [tuple(k if a == axis else n for a, n in enumerate((3, 4, 5))) for k in (2, 0, 1, 3)]
    parts = [kit.laid_out(kit.sample(rng, s, stored), layout) for s in shapes]
    np.testing.assert_array_equal(call("concat", *parts, axis=axis), np.concatenate(parts, axis))
    np.testing.assert_array_equal(call("concat", parts[0], axis=axis), parts[0])


def test_concat_of_what_does_not_fit_raises(call: Any) -> None:
    for other in (np.zeros((2, 4)), np.zeros(3), np.zeros((2, 3), np.float32)):
        with pytest.raises(ShapeError, match="concat"):
            call("concat", np.zeros((2, 3)), other, axis=0)
    with pytest.raises(ShapeError, match="axis 2"):
        call("concat", np.zeros((2, 3)), axis=2)
    with pytest.raises(TypeError):
        call("concat", np.zeros((2, 3)), None, axis=0)


@pytest.mark.parametrize("region", REGIONS[:4])
def test_slice_update(region: Any, call: Any, into: Any, kit: Any, rng: Any, stored: Any, layout: str) -> None:
    start, size, step = region
    x, v = kit.laid_out(kit.sample(rng, (3, 4, 5), stored), layout), kit.sample(rng, size, stored)
    expected = x.copy()
    if all(size):
        expected[slices(start, size, step)] = v
    attrs = {"start": start, "size": size, "step": step}
    np.testing.assert_array_equal(call("slice_update", x, v, **attrs), expected)
    np.testing.assert_array_equal(into("slice_update", 0, x, v, **attrs), expected)


def test_slice_update_into_other_memory(backend: Any) -> None:
    x, out = view.over_array(np.arange(6.0)), view.empty((6,), np.float64)
    backend.into["slice_update"](out, x, view.from_array(np.full(2, 9.0)), start=(1,), size=(2,), step=(3,))
    assert np.asarray(out).tolist() == [0, 9, 2, 3, 9, 5]
    assert np.asarray(x).tolist() == [0, 1, 2, 3, 4, 5]


def test_slice_update_with_a_value_in_the_same_memory(backend: Any) -> None:
    x = view.from_array(np.arange(6.0))
    turned = backend.kernels["slice"].fn(x, start=(5,), size=(6,), step=(-1,))
    backend.into["slice_update"](x, x, turned, start=(0,), size=(6,), step=(1,))
    assert np.asarray(x).tolist() == [5, 4, 3, 2, 1, 0]


def test_slice_update_of_another_dtype_raises(call: Any) -> None:
    with pytest.raises(DTypeError, match="slice_update"):
        call("slice_update", np.zeros(3), np.zeros(1, np.float32), start=(0,), size=(1,), step=(1,))


def test_permute_of_what_does_not_fit_raises(call: Any) -> None:
    for axes in ((0,), (0, 0), (0, 2), (-1, 0), (0, 1, 2)):
        with pytest.raises(ShapeError, match="permute"):
            call("permute", np.zeros((2, 3)), axes=axes)
