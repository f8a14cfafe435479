"""Passes of plugins and of users: one that cannot be loaded, one that raises, breaks the program or never ends."""

import sys
import types
import warnings

import pytest

import plugrad as pg
from plugrad.compiler import passes
from plugrad.compiler.passes import BUILTIN, Pass
from plugrad.errors import ArgumentError, PluginError, PluginWarning
from plugrad.plugins.registrar import Entry, Provider
from plugrad.program import Eqn

MINE = Provider("plugrad-mine", "1.2", "mine")


class Installed:
    """A registry with these passes."""

    def __init__(self, *entries):
        self.entries = entries

    def select(self, word):
        assert word == "pass"
        return {entry.name: entry for entry in self.entries}


@pytest.fixture
def install(monkeypatch):
    def installed(**runs):
        module = types.ModuleType("plugrad_mine_passes")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        for name, run in runs.items():
            if run is not None:
                setattr(module, name, run)
        entries = [Entry(MINE, "pass", name, f"{module.__name__}:{name}", order=22) for name in runs]
        monkeypatch.setattr(passes, "registry", lambda: Installed(*entries))
        monkeypatch.setattr(passes, "_left_out", [])

    return installed


def doubled(x):
    return pg.exp(x) * 2.0


def same(program, target):
    return program


def test_a_pass_that_cannot_be_loaded_is_left_out(install):
    install(missing=None, number=3, good=same)
    with pytest.warns(PluginWarning) as heard:
        f = pg.compile(doubled)
    assert f(pg.zeros(2)).tolist() == [2, 2]
    assert [p.name for p in f.passes if p.foreign] == ["good"]
    missing, number = sorted(str(w.message) for w in heard)
    assert missing.startswith("compile: pass missing of plugrad-mine 1.2: cannot import 'plugrad_mine_passes:missing'")
    assert "compiled without it" in missing and "is an int; name a function run(program, target)" in number
    assert {w.filename for w in heard} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pg.compile(doubled)  # told once
        with pytest.raises(PluginError, match="pass missing of plugrad-mine 1.2: cannot import"):
            pg.compile(doubled, passes=["missing"])


def test_what_a_pass_raises_is_told_with_its_name_and_plugin(install):
    def breaks(program, target):
        raise KeyError("lost")

    install(breaks=breaks)
    with pytest.raises(
        PluginError, match=r"the pass 'breaks' of plugrad-mine 1.2 raised KeyError: 'lost'; .*passes="
    ) as e:
        pg.compile(doubled)(pg.zeros(2))
    assert isinstance(e.value.__cause__, KeyError)
    assert pg.compile(doubled, passes=["dead"])(pg.zeros(2)).tolist() == [2, 2]


def test_what_a_pass_breaks_is_told_with_its_name_and_plugin(install):
    def wrong(program, target):
        eqns = [Eqn("matmul", (e.ins[0], program.inputs[0]), e.outs) for e in program.eqns]
        return program.replace(eqns=tuple(eqns))

    install(wrong=wrong)
    with pytest.raises(PluginError, match="the pass 'wrong' of plugrad-mine 1.2 broke the program: ShapeError: matmul"):
        pg.compile(lambda x: pg.exp(x) + x)(pg.zeros((2, 3)))


def swaps(program, target):
    """Never content: a maximum with its operands the other way round."""
    turned = [e._replace(ins=e.ins[::-1]) if e.op == "maximum" else e for e in program.eqns]
    return program.replace(eqns=tuple(turned))


def test_a_pass_that_is_never_done_is_named(install):
    install(swaps=swaps)
    f = pg.compile(lambda x, y: pg.maximum(x, y))
    with pytest.warns(PluginWarning, match="the pass 'swaps' of plugrad-mine 1.2 changes the program again") as heard:
        assert f(pg.zeros(2), pg.ones(2)).tolist() == [1, 1]
    assert len(heard) == 1 and heard[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        print(pg.explain(f))


def test_a_pass_of_ones_own_is_tried_without_a_plugin():
    seen = []

    def counts(program, target):
        seen.append([e.op for e in program.eqns])
        return program

    f = pg.compile(doubled, passes=[*BUILTIN, Pass(22, "counts", counts)])
    assert f(pg.zeros(2)).tolist() == [2, 2] and seen[0] == ["exp", "mul"]
    assert [p.name for p in f.passes][:3] == ["fold", "simplify", "counts"]
    g = pg.compile(doubled, passes=["simplify", Pass(22, "loses", lambda program, target: program.replace(eqns=()))])
    with pytest.raises(PluginError, match="the pass 'loses' broke the program: output"):
        g(pg.zeros(2))
    with pytest.raises(ArgumentError, match=r"passes is the string 'dead'; give a list of names, such as \['dead'\]"):
        pg.compile(doubled, passes="dead")
