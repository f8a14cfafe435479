"""What a compiled function must notice and what it must not take for news: found by a review of its guards."""

import sys
import threading
import weakref

import numpy as np
import pytest

import plugrad as pg
from plugrad.compiler import function, guards, reads
from plugrad.errors import StateError

SETTINGS = {"a": 2.0, "b": 3.0}
PAIR = (0, 1)
mean = 0.0
DATA = [{"k": 1.0} for _ in range(3000)]


def one():
    return pg.ones((1,), device="numpy")


def test_the_order_of_a_dict_and_the_type_of_a_sequence_are_seen(monkeypatch):
    ordered = pg.compile(lambda x: x * next(iter(SETTINGS.values())))
    typed = pg.compile(lambda x: x * (2.0 if isinstance(PAIR, tuple) else 3.0))
    assert ordered(one()).item() == 2.0 and typed(one()).item() == 2.0
    monkeypatch.setitem(globals(), "SETTINGS", {"b": 3.0, "a": 2.0})
    monkeypatch.setitem(globals(), "PAIR", [0, 1])
    assert ordered(one()).item() == 3.0 and typed(one()).item() == 3.0


def test_the_keys_of_a_dict_are_seen(monkeypatch):
    fast = pg.compile(lambda x: x * (2.0 if "a" in SETTINGS else 3.0))
    assert fast(one()).item() == 2.0
    monkeypatch.setitem(globals(), "SETTINGS", {"c": 2.0, "b": 3.0})
    assert fast(one()).item() == 3.0


def test_functions_of_one_code_have_closures_of_their_own():
    def make(inner):
        k = 2.0

        def h(x):
            y = x * k
            return inner(y) if inner else y

        def change(v):
            nonlocal k
            k = v

        return h, change

    inner, change = make(None)
    outer, _ = make(inner)
    fast = pg.compile(outer)
    assert fast(one()).item() == 4.0
    change(3.0)
    assert fast(one()).item() == 6.0


def test_a_method_is_no_variable_of_its_name(monkeypatch):
    fast = pg.compile(lambda x: x.mean())
    for value in (0.0, 1.0, 2.0):
        monkeypatch.setitem(globals(), "mean", value)
        fast(one())
    assert not fast.misses


def test_long_lists_are_data():
    fast = pg.compile(lambda x: x * len(DATA))
    assert fast(one()).item() == 3000.0 and guards._boxes([DATA, (DATA, [1])], set())[0][0] == [1]
    (entry,) = next(iter(fast.graphs.values()))
    assert not any(guard.boxes for guard in entry.guards if hasattr(guard, "boxes"))
    tuple_ = tuple(range(5000))
    assert len(guards._setting(tuple_)[1]) <= guards.LONG + 1


def test_installed_packages_are_their_own_business():
    assert reads._is_installed("pytest") and not reads._is_installed(__name__) and not reads._is_installed("nowhere")
    assert not reads._is_users("pytest.mark") and not reads._is_users("plugrad.ops") and reads._is_users(__name__)


def test_what_may_not_be_asked_is_left_alone():
    class Refuses:
        __class__ = property(lambda self: 1 / 0)

    gone = weakref.proxy(threading.Event())
    strange = [Refuses(), gone]
    fast = pg.compile(lambda x: x * len(strange))
    assert fast(one()).item() == 2.0 and fast(one()).item() == 2.0 and not fast.misses


def in_a_list():
    state = [pg.zeros((1,), device="numpy")]

    def f(x):
        state[0] = state[0] + x
        return state[0]

    return f, lambda: [t.item() for t in state]


def in_a_cache():
    cache = {}

    def f(x):
        if 3 not in cache:
            cache[3] = x * 3.0
        return cache[3]

    return f, lambda: list(cache)


@pytest.mark.parametrize("make", [in_a_list, in_a_cache])
def test_no_container_keeps_a_tensor_of_the_graph(make):
    f, held = make()
    before, fast = held(), pg.compile(f)
    for _ in range(2):
        with pytest.raises(StateError, match="kept a tensor of the graph outside.*fill a cache before the call"):
            fast(one())
        assert held() == before
    assert f(one()).shape == (1,)


def test_nothing_is_kept_where_staging_fails():
    class Fails(pg.Module):
        def __init__(self):
            self.h = pg.Buffer(pg.zeros((1,), device="numpy"))

        def forward(self, x):
            self.h = x * 2.0
            raise ValueError("no")

    m = Fails()
    before = m.h
    with pytest.raises(ValueError, match="no"):
        pg.compile(lambda x: m(x))(one())
    assert m.h is before


def test_threads_with_more_kinds_of_calls_than_are_kept(monkeypatch):
    monkeypatch.setattr(function, "KINDS", 3)
    fast, problems = pg.compile(lambda x: x * 2.0), []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(seed):
        try:
            for n in np.random.default_rng(seed).integers(1, 12, 60):
                assert fast(pg.ones((int(n),), device="numpy")).tolist() == [2.0] * n
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not problems, problems[0]
