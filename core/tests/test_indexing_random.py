"""Random subscripts, read and written, against NumPy itself: values, shapes, dtypes, or an error from both."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import plugrad as pg

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
DTYPES = st.sampled_from(["float64", "float32", "int64", "int8", "bool", "complex128"])
FIXED = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@st.composite
def arrays(draw, size, block):
    """Positions along an axis of a size, now and then out of range, in one of the forms that NumPy takes."""
    shape = draw(st.sampled_from([block, block, block[1:], (*block[:-1], 1), ()]))
    wild = draw(st.integers(0, 19)) == 0
    low, high = (-size - 1, size) if wild or not size else (-size, size - 1)
    found = draw(hnp.arrays(np.int64, shape, elements=st.integers(low, high)))
    form = draw(st.sampled_from(["array", "list", "tensor", "narrow", "strided"]))
    if form == "list":
        return found.tolist()
    if form == "narrow":
        return found.astype(draw(st.sampled_from(["int8", "int16", "int32"])))
    return np.asfortranarray(found) if form == "strided" and found.size <= 1 else found


@st.composite
def parts(draw, shape):
    """A subscript made of one part an axis, a mask over several, new axes, bools, and '...' in place of some."""
    block = draw(st.sampled_from([(2,), (3,), (2, 3), (1,), (0,), (2, 1)]))
    found, axis = [], 0
    while axis < len(shape):
        size = shape[axis]
        kind = draw(st.sampled_from(["int", "slice", "slice", "slice", "array", "array", "mask"]))
        if kind == "int":
            low, high = (-size, size - 1) if size and draw(st.integers(0, 19)) else (-size - 1, size)
            found.append(draw(st.sampled_from([int, np.int64, np.int8, np.array]))(draw(st.integers(low, high))))
        elif kind == "slice":
            ends = st.none() | st.integers(-size - 2, size + 2)
            step = draw(st.sampled_from([None, 1, 1, 2, -1, -2, 9]))
            found.append(slice(draw(ends), draw(ends), step))
        elif kind == "array":
            found.append(draw(arrays(size, block)))
        else:
            count = draw(st.integers(1, len(shape) - axis))
            wanted = shape[axis : axis + count]
            if draw(st.integers(0, 19)) == 0:
                wanted = (*wanted[:-1], draw(st.sampled_from([0, wanted[-1] + 1])))
            mask = draw(hnp.arrays(bool, wanted))
            found.append(mask.tolist() if mask.size and draw(st.booleans()) else mask)
            axis += count - 1
        axis += 1
    found = found[: len(found) - draw(st.sampled_from([0, 0, 1]))] if found else found
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        extra = draw(st.sampled_from([None, None, True, False, np.True_, np.array(True)]))
        found.insert(draw(st.integers(0, len(found))), extra)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(found)))
        found[at : at + draw(st.integers(0, 1))] = [Ellipsis]
    return found[0] if len(found) == 1 and draw(st.booleans()) else tuple(found)


@st.composite
def calls(draw):
    """An array and a subscript of it."""
    shape, dtype = draw(SHAPES), draw(DTYPES)
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 100)
    ways = [parts(shape), parts(shape), hnp.basic_indices(shape, allow_newaxis=True, max_dims=6)]
    if shape and 0 not in shape:
        ways.append(hnp.integer_array_indices(shape))
    return array.astype(dtype), draw(st.one_of(ways))


def as_tensors(index, which):
    """The arrays of a subscript as tensors, those whose bit is set."""
    if isinstance(index, tuple):
        return tuple(as_tensors(i, which >> k) for k, i in enumerate(index))
    return pg.asarray(index) if isinstance(index, np.ndarray) and which & 1 else index


def attempt(call):
    try:
        return call()
    except (IndexError, ValueError, TypeError) as error:
        return error


def same(got, wanted, what):
    if isinstance(wanted, Exception) or isinstance(got, Exception):
        assert isinstance(wanted, Exception) and isinstance(got, Exception), (what, got, wanted)
        return
    got, wanted = got.numpy(), np.asarray(wanted)
    assert got.shape == wanted.shape and got.dtype == wanted.dtype, (what, got, wanted)
    np.testing.assert_array_equal(got, wanted, err_msg=str(what))


def reads(call, which):
    array, index = call
    same(attempt(lambda: pg.asarray(array)[as_tensors(index, which)]), attempt(lambda: array[index]), call)


def values(draw, array, index):
    """A value of the region's shape, or with axes of size 1, or fewer axes, or one that does not fit."""
    region = attempt(lambda: np.shape(array[index]))
    region = (2,) if isinstance(region, Exception) else region
    shape = tuple(1 if draw(st.integers(0, 4)) == 0 else d for d in region)
    shape = shape[draw(st.sampled_from([0, 0, 0, len(shape), min(1, len(shape))])) :]
    if draw(st.integers(0, 9)) == 0:
        shape = draw(st.sampled_from([(5,), (1, *shape), (2, *shape)]))
    value = np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape)
    return value.astype(draw(st.sampled_from([array.dtype, array.dtype, "bool"])))


def assigned(array, index, value):
    array[index] = value
    return array


def writes(call, value, which):
    array, index = call
    wanted = attempt(lambda: assigned(array.copy(), index, value))
    x = pg.asarray(array, copy=True)
    got = attempt(lambda: assigned(x, as_tensors(index, which), pg.asarray(value)))
    region = attempt(lambda: np.empty(np.shape(array[index])))
    if isinstance(wanted, (ValueError, TypeError)) and value.ndim > np.ndim(region):
        return  # leading axes of size 1 are dropped here always, by NumPy not for single elements and full masks
    if not np.size(region) and isinstance(got, pg.errors.ShapeError):
        return  # NumPy may not look at a value for which there is no place
    same(got, wanted, (array, index, value))
    if isinstance(got, Exception):
        np.testing.assert_array_equal(x.numpy(), array)


@settings(FIXED, max_examples=300)
@given(calls(), st.integers(0, 15))
def test_reads_are_numpys(call, which):
    reads(call, which)


@settings(FIXED, max_examples=300)
@given(st.data(), calls(), st.integers(0, 15))
def test_writes_are_numpys(data, call, which):
    writes(call, values(data.draw, *call), which)


@pytest.mark.slow
@settings(FIXED, max_examples=10_000)
@given(calls(), st.integers(0, 15))
def test_many_reads_are_numpys(call, which):
    reads(call, which)


@pytest.mark.slow
@settings(FIXED, max_examples=10_000)
@given(st.data(), calls(), st.integers(0, 15))
def test_many_writes_are_numpys(data, call, which):
    writes(call, values(data.draw, *call), which)
