"""The frame of the table of faults: what is made goes again, every check runs, and none holds up the others."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import nullcontext
from functools import partial

import pytest

import plugrad as pg
from plugrad import random
from plugrad.errors import BackendUnavailableError
from plugrad.op import OPS, Op
from plugrad.plugins import backend_index
from plugrad.testing import Check, NotHere
from plugrad.testing.broken import FAULTS, Fault, caught, faults
from plugrad.testing.broken.backends.base import fault, kernel, loaded


def made(caught_by=(), **members):
    return Fault("some.fault", "something is wrong", caught_by, lambda: nullcontext("thing"), **members)


def asked(*named):
    """What lists these functions of the thing's name as checks."""

    def of(fault, thing):
        return [Check(name, "backend", thing, thing, partial(f, thing)) for name, f in named]

    return of


def passes(thing):
    assert thing == "thing"


def fails(thing):
    raise AssertionError(f"{thing} is wrong\nand there is more to say")


def breaks(thing):
    raise KeyError(thing)


def elsewhere(thing):
    raise NotHere("not on this machine")


def test_every_check_runs_and_those_that_fail_are_told():
    checks = asked(("a.fails", fails), ("a.passes", passes), ("b.breaks", breaks), ("b.fails", fails), ("c", elsewhere))
    found = caught(made(), checks)
    assert found == {"a.fails": "thing is wrong", "b.breaks": "KeyError: 'thing'", "b.fails": "thing is wrong"}


def test_quick_runs_those_that_are_named():
    checks = asked(("a.fails", fails), ("a.fails.float32", fails), ("a.failsafe", fails), ("b", fails))
    assert list(caught(made(("a.fails",)), checks, quick=True)) == ["a.fails", "a.fails.float32"]


def test_a_name_is_answered_by_a_longer_one():
    fault = made(("values.add", "host.spec"))
    assert fault.unnoticed({"values.add.float32": "", "host.specs": ""}) == ["host.spec"]
    assert fault.unnoticed(["values.add", "host.spec"]) == []


def test_a_check_that_hangs_is_told_and_left_behind():
    end = threading.Event()
    checks = asked(("a", lambda thing: end.wait(60)), ("b", fails), ("c", passes))
    try:
        assert caught(made(limit=0.1), checks) == {"a": "a of thing: has not ended after 0.1 s", "b": "thing is wrong"}
    finally:
        end.set()


def test_checks_of_a_fault_share_one_thread():
    seen = []
    caught(made(), asked(*[("a", lambda thing: seen.append(threading.get_ident()))] * 3))
    assert len(seen) == 3 and len(set(seen)) == 1 and seen[0] != threading.get_ident()


def test_a_backend_goes_again():
    with loaded(kernel("exp", lambda x: x * 0)) as device:
        x = pg.ones(3, device=device)
        assert pg.exp(x).tolist() == [0.0, 0.0, 0.0]
        index = backend_index(device)
    assert all(op.chain[index] == [[] for _ in op.chain[index]] for op in OPS.values())
    with pytest.raises(BackendUnavailableError, match=rf"{device}: .* taken out again"):
        pg.exp(x)
    with pytest.raises(pg.errors.DeviceError):
        pg.ones(3, device=device)
    assert device not in pg.__array_namespace_info__().devices()


def test_an_op_may_come_after_a_backend_has_gone():
    with loaded():
        pass
    late = Op("broken.late", decompose=lambda x: x + 1.0)
    try:
        assert late(pg.asarray([1.0], device="numpy")).tolist() == [2.0]
    finally:
        del OPS["broken.late"]


def test_a_memory_of_a_fault_is_made_anew_each_time():
    one = next(f for f in FAULTS if f.name == "backend.random_bits_go_on")
    wanted = random.bits(random.key(1, device="numpy"), (4,)).tolist()
    for _ in range(2):
        with one.make() as device:
            key = random.key(1, device=device)
            assert random.bits(key, (4,)).tolist() == wanted != random.bits(key, (4,)).tolist()


def test_faults_by_kind():
    assert faults() == FAULTS and len(faults("backend")) >= 45
    assert faults("nothing") == ()
    assert fault("x", "y", "a.b c", {}).caught_by == ("a.b", "c")


def test_the_kit_does_not_import_it():
    code = "import sys, plugrad.testing; print([m for m in sys.modules if 'broken' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
