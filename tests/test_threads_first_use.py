"""The first use of everything by many threads at once, each time in a new process: backends, default device, ops that
are loaded when they are looked up.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys, threading
import plugrad as pg

sys.setswitchinterval(5e-6)
OPS = ["nn.linear", "norm.layer_norm", "nn.conv2d", "add"]
gate, found, errors = threading.Barrier(8), [], []

def work(k):
    try:
        gate.wait(60)
        if k % 2:
            found.append(pg.plugins.lookup(OPS[k // 2]).name == OPS[k // 2])
        x = pg.asarray([1.0, 2.0], device=[None, "cpu", "numpy"][k % 3])
        found.append((x * x + x).tolist() == [2.0, 6.0])
        found.append(pg.zeros(1).device == pg.get_default_device())
        found.append(pg.plugins.lookup(OPS[k % 4]).table[0] != [])
    except BaseException as error:
        errors.append(repr(error))

threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
[t.start() for t in threads]
[t.join(60) for t in threads]
names = [backend.name for backend in pg.backend.BACKENDS]
assert len(names) == len(set(names)), names
assert all(len(rows) == len(names) for op in pg.OPS.values() for rows in op.tables)
print(errors, all(found), len(found), pg.get_default_device())
"""


@pytest.mark.parametrize("turn", range(3))
def test_first_use(turn: int) -> None:
    pytest.importorskip("plugrad_cpu")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["[]", "True", "28", "cpu"], done.stdout + done.stderr
