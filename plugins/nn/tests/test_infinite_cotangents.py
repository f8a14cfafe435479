"""Infinite cotangents of what was not chosen give zero, not the NaN that a product with a mask would."""

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn.functional as F


def pulled(f, x, shape):
    x = pg.asarray(np.asarray(x, np.float32)).requires_grad_()
    f(x).backward(pg.asarray(np.full(shape, np.inf, np.float32)))
    return x.grad.tolist()


def test_relu(device):
    assert pulled(F.relu, [-1.0, 0.0, 2.0], (3,)) == [0.0, 0.0, np.inf]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_max_pool(device, layout):
    image = np.reshape([-1.0, 2.0, 3.0, 0.0], (1, 1, 2, 2) if layout == "NCHW" else (1, 2, 2, 1))
    found = pulled(lambda x: F.max_pool2d(x, 2, layout=layout), image, (1, 1, 1, 1))
    assert np.ravel(found).tolist() == [0.0, 0.0, np.inf, 0.0]
    padded = lambda x: F.max_pool2d(x, 3, stride=1, padding=1, layout=layout)  # noqa: E731
    assert np.ravel(pulled(padded, image, image.shape)).tolist() == [0.0, 0.0, np.inf, 0.0]
