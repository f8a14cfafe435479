"""Whatever a compiled function reads beyond its arguments: a change of it shows in the next call."""

import collections
import dataclasses
import functools
import types

import numpy as np
import pytest

import plugrad as pg

GLOBAL = 2.0


def uses_global(x):
    return x * GLOBAL


def set_global():
    globals()["GLOBAL"] = 3.0


class Config:
    """Read by its class."""

    scale = 2.0
    table = {"k": 2.0}

    class Inner:
        scale = 2.0

    @property
    def doubled(self):
        return self.scale

    @staticmethod
    def act(x):
        return x * 2.0

    def method(self, x):
        return x * self.scale


@dataclasses.dataclass(slots=True)
class Slots:
    scale: float = 2.0


class Called:
    def __init__(self):
        self.scale = 2.0

    def __call__(self, x):
        return x * self.scale


class Net(pg.Module):
    scale = 2.0

    def __init__(self, act=None):
        self.act = act

    def forward(self, x):
        return x * self.scale if self.act is None else self.act(x)


def make(**members):
    return types.SimpleNamespace(**members)


def classes():
    """By name, a function and what changes something that it reads."""
    kind = type("Kind", (Config,), {"table": dict(Config.table), "Inner": type("Inner", (), {"scale": 2.0})})
    one = kind()
    net = type("Net", (Net,), {})
    first, second = net(), net()
    yield "a class", lambda x: x * kind.scale, lambda: setattr(kind, "scale", 3.0)
    yield "an instance of it", lambda x: x * one.scale, lambda: setattr(kind, "scale", 3.0)
    yield "a method", one.method, lambda: setattr(kind, "scale", 3.0)
    yield "a property", lambda x: x * one.doubled, lambda: setattr(kind, "scale", 3.0)
    yield "an inner class", lambda x: x * kind.Inner.scale, lambda: setattr(kind.Inner, "scale", 3.0)
    yield "a dict of it", lambda x: x * kind.table["k"], lambda: kind.table.__setitem__("k", 3.0)
    yield "a new static method", lambda x: kind.act(x), lambda: setattr(kind, "act", staticmethod(lambda x: x * 3.0))
    yield "an instance that hides it", lambda x: x * one.scale, lambda: setattr(one, "scale", 3.0)
    yield "a class of a Module", lambda x: first(x), lambda: setattr(net, "scale", 3.0)
    yield "a new forward", lambda x: second(x), lambda: setattr(net, "forward", lambda self, x: x * 3.0)
    base = type("Base", (), {"scale": 2.0})
    derived = type("Derived", (base,), {})
    yield "a base class", lambda x: x * derived.scale, lambda: setattr(base, "scale", 3.0)
    yield "a derived class that hides it", lambda x: x * derived.scale, lambda: setattr(derived, "scale", 3.0)


def functions():
    def default(x, k=2.0):
        return x * k

    def keyword(x, *, k=2.0):
        return x * k

    def listed(x, k=[2.0]):  # noqa: B006
        return x * k[0]

    def other(x, k=3.0):
        return x * 3.0

    yield "a default", default, lambda: setattr(default, "__defaults__", (3.0,))
    yield "a keyword's default", keyword, lambda: setattr(keyword, "__kwdefaults__", {"k": 3.0})
    yield "a keyword's default in place", keyword, lambda: keyword.__kwdefaults__.__setitem__("k", 3.0)
    yield "inside a default", listed, lambda: listed.__defaults__[0].__setitem__(0, 3.0)
    yield "a default of what is called", lambda x: default(x), lambda: setattr(default, "__defaults__", (3.0,))
    yield "code", default, lambda: setattr(default, "__code__", other.__code__)
    yield "code of what is called", lambda x: default(x), lambda: setattr(default, "__code__", other.__code__)
    yield "a global of what is called", lambda x: uses_global(x), set_global
    cell = 2.0

    def closed(x):
        return x * cell

    def recell():
        nonlocal cell
        cell = 3.0

    yield "a cell of what is called", lambda x: closed(x), recell
    default.scale = 2.0
    yield "an attribute of a function", lambda x: x * default.scale, lambda: setattr(default, "scale", 3.0)
    k = [2.0]
    part = functools.partial(lambda k, x: x * k[0], k)
    yield "a partial", part, lambda: k.__setitem__(0, 3.0)
    yield "a partial that is called", lambda x: part(x), lambda: k.__setitem__(0, 3.0)
    named = functools.partial(keyword, k=2.0)
    yield "a partial's keyword", lambda x: named(x), lambda: named.keywords.__setitem__("k", 3.0)

    @functools.wraps(keyword)
    def wrapped(x):
        return keyword(x, k=k[0])

    yield "a decorator", lambda x: wrapped(x), lambda: k.__setitem__(0, 3.0)
    net = Net(lambda x: x * k[0])
    yield "a function of a Module", lambda x: net(x), lambda: k.__setitem__(0, 3.0)
    slope = pg.grad(lambda x: x * k[0])
    yield "what is differentiated", lambda x: slope(x), lambda: k.__setitem__(0, 3.0)
    inner = pg.compile(lambda x: x * Config.scale)
    yield "what is compiled inside", lambda x: inner(x) * 1.0, lambda: setattr(Config, "scale", 3.0)

    def generated(x):
        for v in k:
            yield x * v

    yield "a generator", lambda x: next(generated(x)), lambda: k.__setitem__(0, 3.0)
    yield "a new global", lambda x: x * (NEW if "NEW" in globals() else 2.0), lambda: globals().update(NEW=3.0)  # noqa: F821
    yield "a hidden builtin", lambda x: x * float(abs(2)), lambda: globals().update(abs=lambda v: 3)


def objects():
    a = make(b=make(c=make(d=2.0)), items=[2.0], table={"k": 2.0}, some={1.0})
    yield "an object", lambda x: x * a.b.c.d, lambda: setattr(a.b.c, "d", 3.0)
    yield "an object further out", lambda x: x * a.b.c.d, lambda: setattr(a.b, "c", make(d=3.0))
    yield "a list of an object", lambda x: x * a.items[0], lambda: a.items.__setitem__(0, 3.0)
    yield "a dict of an object", lambda x: x * a.table["k"], lambda: a.table.__setitem__("k", 3.0)
    yield "a set of an object", lambda x: x * (1.0 + len(a.some)), lambda: a.some.add(2.0)
    many = {"z": [make(k=2.0)]}
    yield "an object in a list in a dict", lambda x: x * many["z"][0].k, lambda: setattr(many["z"][0], "k", 3.0)
    some = {1.0}
    yield "a set", lambda x: x * (1.0 + len(some)), lambda: some.add(2.0)
    queue, ordered = collections.deque([2.0]), collections.OrderedDict(a=2.0)
    yield "a deque", lambda x: x * queue[0], lambda: queue.__setitem__(0, 3.0)
    yield "an ordered dict", lambda x: x * ordered["a"], lambda: ordered.__setitem__("a", 3.0)
    slots, called = Slots(), Called()
    yield "slots", lambda x: x * slots.scale, lambda: setattr(slots, "scale", 3.0)
    yield "a callable", called, lambda: setattr(called, "scale", 3.0)
    yield "a callable that is called", lambda x: called(x), lambda: setattr(called, "scale", 3.0)
    module = types.ModuleType("settings")
    exec("scale = 2.0\ndef f(x): return x * scale", module.__dict__)
    yield "a Python module", lambda x: x * module.scale, lambda: setattr(module, "scale", 3.0)
    yield "a global of a Python module", lambda x: module.f(x), lambda: setattr(module, "scale", 3.0)
    array = np.array([2.0], np.float32)
    yield "an array", lambda x: x * pg.asarray(array)[0], lambda: array.__setitem__(0, 3.0)


CASES = [what for cases in (classes, functions, objects) for what, *_ in cases()]


@pytest.mark.parametrize("what", CASES)
def test_a_change_shows(what, monkeypatch):
    monkeypatch.setattr(Config, "scale", 2.0)
    monkeypatch.setitem(globals(), "GLOBAL", 2.0)
    cases = {name: rest for part in (classes, functions, objects) for name, *rest in part()}
    f, change = cases[what]
    g, x = pg.compile(f), pg.asarray(1.0)
    try:
        assert [f(x).item(), g(x).item(), g(x).item()] == [2.0] * 3
        change()
        assert [f(x).item(), g(x).item(), g(x).item()] == [3.0] * 3
        kinds = list(g.graphs.values())
        assert sum(map(len, kinds)) == len(g.misses) + 1 <= 2  # and nothing else is taken for a change
    finally:
        globals().pop("NEW", None)
        globals().pop("abs", None)


def test_what_is_not_read_does_not_matter():
    other = make(unread=1, read=2.0)

    class Kind:
        unread = 1
        read = make(inner=other)

    def f(x):
        return x * Kind.read.inner.read

    g = pg.compile(f)
    for i in range(3):
        assert g(pg.asarray(1.0)).item() == 2.0
        other.unread, Kind.unread, f.unread = i, i, i
    assert not g.misses


def test_equal_values_are_no_change():
    kind = type("Kind", (), {"scale": 2.5})
    g = pg.compile(lambda x: x * kind.scale)
    for _ in range(3):
        assert g(pg.asarray(1.0)).item() == 2.5
        kind.scale = float("2.5")
    assert not g.misses


def test_a_log_of_an_object_is_found_out():
    class Trainer:
        def __init__(self):
            self.inner = make(log=[])

        def step(self, x):
            self.inner.log.append("staged")
            return x * 2

    trainer = Trainer()
    g = pg.compile(trainer.step)
    for _ in range(5):
        assert g(pg.asarray(1.0)).item() == 2.0
        trainer.inner.log.append("between")
    assert trainer.inner.log.count("staged") <= 2


def test_reasons_in_words():
    kind = type("Kind", (), {"scale": 2.0})

    def part(x, k=1.0):
        return x * k * kind.scale

    g = pg.compile(lambda x: part(x))
    g(pg.asarray(1.0))
    kind.scale = 3.0
    g(pg.asarray(1.0))
    part.__defaults__ = (2.0,)
    assert g(pg.asarray(1.0)).item() == 6.0
    scale, default = g.misses
    assert scale == "Kind.scale was 2.0, is 3.0" and default == "the function part has other defaults"


def test_names_belong_to_what_they_are_read_of():
    """``pg.log`` and ``config.rate`` do not make a setting of ``self.history.log`` and ``self.history.rate``."""
    config = make(rate=2.0)

    class Trainer:
        def __init__(self):
            self.history = make(log=[], rate=0)
            self.report = lambda: self.history.log

        def step(self, x):
            return pg.exp(pg.log(x)) * config.rate

    trainer = Trainer()
    g = pg.compile(trainer.step)
    for _ in range(3):
        np.testing.assert_allclose(g(pg.asarray(1.0)).item(), 2.0)
        trainer.history.log.append(1)
        trainer.history.rate += 1
    assert not g.misses
    config.rate = 3.0
    np.testing.assert_allclose(g(pg.asarray(1.0)).item(), 3.0)


def test_objects_that_refuse_questions():
    class Odd:
        scale = 2.0

        def __getattr__(self, name):
            raise RuntimeError(name)

    odd = Odd()
    g = pg.compile(lambda x: x * odd.scale)
    assert g(pg.asarray(1.0)).item() == g(pg.asarray(1.0)).item() == 2.0
