"""Two devices in one process: each works in its own context and order, and values move between them."""

from __future__ import annotations

import pytest

pytest.importorskip("cuda.core")

from emu import lab as labs

if labs.hindrance():
    pytest.skip(labs.hindrance(), allow_module_level=True)

START = """
import emu
emu.load(devices=2, deferred={deferred}, order="random", seed=7)
import numpy as np
import plugrad as pg
from plugrad_cuda.backend import CudaBackend

A = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
x = pg.asarray(A, device="cuda:0")
"""


def run(code: str, deferred: bool = True) -> list[str]:
    """The lines that the code prints in a process with two devices."""
    return labs.python(START.format(deferred=deferred) + code, PLUGRAD_FALLBACK="error").splitlines()


def test_used_alternately_each_launch_has_its_device_s_context() -> None:
    printed = run(
        """
x, y = x + 0, pg.asarray(A, device="cuda:1") + 0
operands = {t.device: (pg.asarray([2, 0], device=t.device).val, pg.ones((2, 4), device=t.device).val) for t in (x, y)}
for t in (x, y):
    device, launch = t.val.runtime, t.val.runtime._launch

    def seen(*args, device=device, launch=launch):
        _, current = device.driver.cuCtxGetCurrent()
        used.append((device.ordinal, int(current) == int(device.device.context.handle)))
        launch(*args)

    device._launch = seen
add = CudaBackend.into["scatter_add"]
for _ in range(3):
    used = []
    for t in (x, y):
        add(t.val, t.val, *operands[t.device], axis=0)
    for t in (x, y):
        t += 1
    print(used)
print(np.array_equal(x.numpy(), y.numpy()), np.allclose(x.numpy(), A + [[6], [3], [6]]))
"""
    )
    assert printed == [*[str([(0, True), (1, True)] * 2)] * 3, "True True"]


def test_a_value_moves_behind_the_work_of_both() -> None:
    printed = run(
        """
y = (x * 2 + 1).T
print(emu.report().pending > 0)
z = y.to("cuda:1")
print(z.device, z.val.runtime.ordinal, z.shape, emu.report().pending > 0)
x += 100
w = z * 3
z += 1000
back = w.to("cuda:0") + x.T
B = (A * 2 + 1).T
for got, wanted in ((z, B + 1000), (w, B * 3), (back, B * 3 + (A + 100).T)):
    print(got.device, np.allclose(got.numpy(), wanted, rtol=1e-6))
print(y.to("cuda:0") is y)
"""
    )
    assert printed == ["True", "cuda:1 1 (4, 3) True", "cuda:1 True", "cuda:1 True", "cuda:0 True", "True"]


@pytest.mark.parametrize("deferred", [False, True])
def test_derivatives_cross_from_one_to_the_other(deferred: bool) -> None:
    printed = run(
        """
def f(x, there, back):
    y = pg.tanh((x * x).to(there)) * 3
    return pg.sum(y.to(back) * x)

def derivatives(here, there):
    x = pg.asarray(A, device=here)
    def g(x):
        return f(x, there, here)
    leaf = pg.asarray(A, device=here).requires_grad_()
    pg.sum((leaf * leaf).to(there)).backward()
    return [g(x), pg.grad(g)(x), pg.hvp(g, (x,), (pg.cos(x),)), pg.jvp(g, (x,), (pg.sin(x),))[1], leaf.grad]

for got, wanted in zip(derivatives("cuda:0", "cuda:1"), derivatives("numpy", "numpy")):
    print(got.device, np.allclose(got.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5))
""",
        deferred,
    )
    assert printed == ["cuda:0 True"] * 5
