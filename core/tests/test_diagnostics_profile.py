"""profile and observe: every call, forward and backward, in time order, nested, and written whatever happens."""

import json
import os
import threading
import time
import warnings
from itertools import pairwise

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch, state
from plugrad.errors import ArgumentError, UnknownNameError
from plugrad.reference.backend import NumpyBackend


class Later(NumpyBackend):
    """An asynchronous device with three kernels, which takes its time when waited for."""

    name = "deferred"
    is_async = True
    kernels = {"add": np.add, "expm1": np.expm1}
    waited = 0

    def synchronize(self, device):
        self.waited += 1
        time.sleep(0.01)


LATER = Later()
if "deferred" not in [backend.name for backend in dispatch.BACKENDS]:
    dispatch.add_backend(LATER)


def checked(events):
    """The trace, after checking that a viewer could show it: ordered, and calls inside others within their time."""
    for tid in {event["tid"] for event in events}:
        mine = [event for event in events if event["tid"] == tid]
        assert all(a["ts"] <= b["ts"] for a, b in pairwise(mine))
        open_until = []
        for event in mine:
            end = event["ts"] + event["dur"]
            assert event["ph"] == "X" and event["dur"] >= 0 and event["pid"] == os.getpid()
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-3, event
            open_until.append(end)
    return events


def inside(events, inner, outer):
    """Whether a call named ``inner`` ran within one named ``outer``."""
    pairs = [(a, b) for a in events for b in events if (a["name"], b["name"]) == (inner, outer) and a is not b]
    return any(b["ts"] <= a["ts"] and a["ts"] + a["dur"] <= b["ts"] + b["dur"] + 1e-3 for a, b in pairs)


def test_a_trace_of_forward_and_backward(tmp_path):
    path = tmp_path / "trace.json"
    x = pg.asarray([[1.0, 2.0], [3.0, 4.0]]).requires_grad_()
    with pg.profile(path) as p:
        pg.exp(x @ x).sum().backward()
    events = checked(json.loads(path.read_text()))
    assert [e["name"] for e in events[:3]] == ["matmul", "exp", "sum"]
    assert {"matmul backward", "exp backward", "sum backward"} <= {e["name"] for e in events}
    assert inside(events, "mul", "exp backward") and not inside(events, "matmul", "exp")
    args = events[0]["args"]
    assert args["shapes"] == [[2, 2], [2, 2]] and args["dtypes"] == ["float32", "float32"]
    assert (args["backend"], args["device"], args["how"], args["bytes"]) == ("numpy", "numpy", "native", 48)
    assert os.listdir(tmp_path) == ["trace.json"] and len(p.events()) == len(events)
    assert state.WATCHING[0] == () and state.ACTIVE[0] == 0


def test_the_file_is_written_when_the_block_raises(tmp_path):
    path = tmp_path / "trace.json"
    path.write_text("old")
    op = pg.Op("test.refusing", elementwise=True, dtypes="float", decompose=lambda x: pg.exp(x).item())
    with pytest.raises(ZeroDivisionError), pg.profile(path):
        pg.ones((2,)) + 1.0
        with pytest.raises(ValueError, match="item"):
            op(pg.ones((2,)))
        raise ZeroDivisionError
    events = {event["name"]: event for event in checked(json.loads(path.read_text()))}
    assert set(events) == {"full", "add", "exp", "test.refusing"}
    assert events["test.refusing"]["args"]["error"] == "ShapeError" and "error" not in events["exp"]["args"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), pg.profile(tmp_path / "folder"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["folder", "trace.json"]
    with pytest.raises(FileNotFoundError), pg.profile(tmp_path / "absent" / "trace.json"):
        pass
    assert state.WATCHING[0] == ()


def test_decompositions_transformations_and_fallbacks():
    LATER.waited = 0
    with pg.profile() as p, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pg.cos(pg.asarray([1.0], device="deferred") + 1.0)
        pg.tanh(pg.asarray([1.0], device="deferred"))
        pg.vmap(lambda x: pg.sin(x))(pg.ones((2, 3)))
    events = checked(p.events())
    how = {event["name"]: event["args"]["how"] for event in events}
    assert (how["add"], how["cos"], how["tanh"], how["expm1"]) == ("native", "fallback", "composed", "native")
    assert inside(events, "expm1", "tanh")
    assert [e["args"]["how"] for e in events if e["name"] == "sin"] == ["vmap", "native"]
    assert inside(events, "sin", "sin")
    (add,) = [
        e for e in events if e["name"] == "add" and e["args"]["shapes"] == [(1,), ()] and e["ts"] < events[2]["ts"]
    ]
    assert add["args"]["synchronized"] and add["dur"] >= 10000
    assert LATER.waited == sum("synchronized" in e["args"] for e in events) > 3
    assert all("synchronized" not in e["args"] for e in events if e["args"]["device"] == "numpy")


def test_the_table():
    with pg.profile() as p:
        pg.vmap(lambda x: pg.sin(x))(pg.ones((2, 3)))
        pg.sin(pg.ones((5,)))
    rows = {row.op: row for row in p.table()}
    spans = [span for span in p.spans if span.name == "sin"]
    assert rows["sin"].calls == 3 and rows["sin"].bytes == (3 + 3 + 5 + 5) * 4
    outer = [span for span in spans if not span.again]
    assert len(outer) == 2 and rows["sin"].total == pytest.approx(sum(span.duration for span in outer) / 1e3)
    assert rows["sin"].own == pytest.approx(sum(s.duration - s.inside for s in spans) / 1e3)
    assert sum(row.own for row in p.table()) == pytest.approx(sum(s.duration for s in p.spans if not s.again) / 1e3)
    assert [row.own for row in p.table()] == sorted([row.own for row in p.table()], reverse=True)
    lines = str(p.table()).splitlines()
    assert lines[0].split() == ["op", "calls", "total", "us", "self", "us", "MB"] and len(lines) == 1 + len(rows)
    with p:
        pass
    assert p.table() == () and p.events() == []


def test_threads_have_their_own_lines():
    def work():
        for _ in range(20):
            pg.tanh(pg.ones((3,), device="numpy"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    with pg.profile() as p:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = checked(p.events())
    assert {event["tid"] for event in events} == {thread.native_id for thread in threads}
    assert {row.op: row.calls for row in p.table()}["tanh"] == 80


def test_observers_nest_and_are_found_by_name():
    with pg.profile() as outer, pg.observe("profile") as inner, pg.observe(pg.find_nan):
        pg.exp(pg.ones((1,)))
    assert [row.op for row in outer.table()] and {r.op for r in outer.table()} == {r.op for r in inner.table()}
    assert outer.spans[0].duration > inner.spans[0].duration
    with outer:
        with inner:
            pg.zeros((1,))
        pg.ones((1,))
    assert (len(outer.spans), len(inner.spans)) == (2, 1)
    with pytest.raises(UnknownNameError, match=r"observer 'profil' is not registered \(did you mean 'profile'\?\)"):
        pg.observe("profil")
    with pytest.raises(ArgumentError, match="observe: got a NoneType; give a function"):
        pg.observe(None)


def test_an_observer_of_ones_own():
    class Heard(pg.Observer):
        def __init__(self):
            self.kernels = []

        def kernel(self, op, backend, how):
            self.kernels.append((op, backend, how))

    x = pg.asarray([2.0]).requires_grad_()
    with pg.observe(Heard) as heard:
        (x * x).sum().backward()
    assert heard.kernels[:2] == [("mul", "numpy", "native"), ("sum", "numpy", "native")] and x.grad.tolist() == [4.0]
    before = list(heard.kernels)
    x * x
    assert heard.kernels == before
