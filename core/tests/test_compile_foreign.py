"""A kernel that somebody else registers for an op is called inside compiled programs as well."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.backend import BACKENDS, Kernel, index_of
from plugrad.op import OPS
from plugrad.table import _extra, _put, _row, add_kernel


@pytest.mark.parametrize("device", [d for d, o in pg.plugins.available_backends().items() if o.available])
def test_the_kernel_that_comes_first_is_called(device):
    x = pg.asarray([1.0, 2.0], device=device)
    before = pg.compile(lambda x: pg.tanh(pg.exp(x) * 2.0))(x).numpy()
    calls = []

    def exp(value):
        calls.append(1)
        index = index_of(device)
        return BACKENDS[index].kernels["mul"].fn(value, value) if device != "numpy" else value * value

    add_kernel("exp", device, Kernel(exp, "f4", priority=7, provider="somebody"))
    try:
        f = pg.compile(lambda x: pg.tanh(pg.exp(x) * 2.0))
        np.testing.assert_allclose(f(x).numpy(), np.tanh([2.0, 8.0]), rtol=1e-6)
        np.testing.assert_allclose(f(x).numpy(), np.tanh([2.0, 8.0]), rtol=1e-6)
        assert len(calls) == 2
    finally:
        _extra.pop(("exp", device))
        index = index_of(device)
        _put(OPS["exp"], index, _row(OPS["exp"], BACKENDS[index]))
    np.testing.assert_array_equal(pg.compile(lambda x: pg.tanh(pg.exp(x) * 2.0))(x).numpy(), before)
