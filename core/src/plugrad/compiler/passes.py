"""The passes of compile: named, ordered, each a function of a program and the device it will run on.

A pass is ``run(program, target) -> program``: it changes nothing, and gives a program with the same inputs and the same
outputs. Passes run in ascending order; those before 50 again and again until nothing changes, the later ones once.

====================== =====
``fold``               10     what depends on constants only is computed now
``simplify``           20     exact algebra, movement that comes to nothing, broadcasting that ops do themselves
``reshapes``           25     elementwise ops in the shape before a reshape
``common``             30     common subexpressions
``dead``               40     what no output depends on
``fuse``               50     groups of elementwise ops, with what the backend takes before and behind them
``schedule``           60     an order in which little memory is alive
``split``              70     parts of groups that free memory run ahead of the rest, where less is planned then
====================== =====

Plugins add theirs with the hook ``plugrad_passes``; a ``Pass`` of one's own may stand in ``compile(f, passes=)`` among
the names. After those the program is checked: whatever a pass broke or raised is reported with its name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..errors import ArgumentError, PluginError, PluginWarning, article, suggest
from ..fallback import user_level
from ..op import OPS
from ..plugins.loader import registry
from ..plugins.names import cause
from ..plugins.registrar import Entry
from ..program import ALIAS, FUSED, Body, Program
from . import fold, fuse, reshapes, schedule, simplify, split
from .rewrite import compacted, needed, renamed, spec_of
from .target import Target

ONCE = 50
"""Passes of this order and above run once."""
ROUNDS = 4
"""How often the others run at most."""

Run = Callable[[Program, Target], Program]


class Pass(NamedTuple):
    """One pass."""

    order: int
    name: str
    run: Run
    foreign: bool = False
    """Whether it is checked, being a plugin's or the user's own."""
    provider: str = ""
    """Whose it is."""

    def __str__(self) -> str:
        return f"the pass {self.name!r}" + (f" of {self.provider}" if self.provider else "")


def common(program: Program, target: Target) -> Program:
    """Equal calls of one region are one."""
    seen: dict[object, tuple[int, ...]] = {}
    names: dict[int, int] = {}
    eqns = []
    for eqn in program.eqns:
        eqn = renamed(eqn, names)
        ins = tuple([(type(x), repr(x)) if type(x) is not int else x for x in eqn.ins])
        attrs = tuple([(k, repr(v) if isinstance(v, (float, complex)) else v) for k, v in eqn.attrs])  # 0.0 and -0.0
        key = (eqn.op, ins, attrs, eqn.region)
        first = seen.setdefault(key, eqn.outs)
        if first is eqn.outs:
            eqns.append(eqn)
        else:
            names.update(zip(eqn.outs, first, strict=True))
    return program.replace(eqns=tuple(eqns), outputs=tuple([names.get(v, v) for v in program.outputs]))


def dead(program: Program, target: Target) -> Program:
    """What no output depends on goes, and the values are numbered anew."""
    return compacted(program.replace(eqns=needed(program.eqns, program.outputs)))


BUILTIN = (
    Pass(10, "fold", fold.run),
    Pass(20, "simplify", simplify.run),
    Pass(25, "reshapes", reshapes.run),
    Pass(30, "common", common),
    Pass(40, "dead", dead),
    Pass(50, "fuse", fuse.run),
    Pass(60, "schedule", schedule.run),
    Pass(70, "split", split.run),
)


def known() -> list[Pass]:
    """All passes, those of plugins included, in order. One that cannot be loaded is left out, with a PluginWarning."""
    foreign = []
    for entry in registry().select("pass").values():
        try:
            foreign.append(_loaded(entry))
        except PluginError as error:
            if entry not in _left_out:
                _left_out.append(entry)
                text = f"compile: {error}; functions are compiled without it (see: plugrad plugins)"
                warnings.warn(text, PluginWarning, stacklevel=user_level())
    return sorted([*BUILTIN, *foreign], key=lambda p: p.order)


_left_out: list[Entry] = []
"""Those that were warned of."""


def _loaded(entry: Entry) -> Pass:
    run = entry.load()
    if not callable(run):
        wrong = f"{entry.target!r} is {article(type(run).__name__)}; name a function run(program, target)"
        raise PluginError(f"{entry} of {entry.provider}: {wrong}")
    return Pass(entry.order, entry.name, run, True, str(entry.provider))


def chosen(names: Iterable[str | Pass] | None) -> list[Pass]:
    """The passes of these names, and those that are given themselves, in their own order; None: all of them.
    ArgumentError for one that does not exist.
    """
    found = known()
    if names is None:
        return found
    if isinstance(names, str):
        raise ArgumentError(f"compile: passes is the string {names!r}; give a list of names, such as [{names!r}]")
    given = list(names)
    own = [p if p in found else p._replace(foreign=True) for p in given if isinstance(p, Pass)]
    wanted, there = {p for p in given if not isinstance(p, Pass)}, {p.name for p in found}
    for name in sorted(wanted - there, key=str):
        if entry := registry().select("pass").get(name):
            _loaded(entry)  # raises, and says why it is not there
        raise ArgumentError(f"compile: there is no pass {name!r}{suggest(str(name), there)}; known are {sorted(there)}")
    return sorted([*[p for p in found if p.name in wanted], *own], key=lambda p: p.order)


def apply(program: Program, target: Target, passes: Iterable[Pass], warn: bool = True) -> Program:
    """The program after the passes. ``warn``: of a foreign one that would change it for ever."""
    early: list[Pass] = []
    late: list[Pass] = []
    for p in passes:
        (early if p.order < ONCE else late).append(p)
    for left in reversed(range(ROUNDS)):
        before, restless = program.eqns, []
        for p in early:
            eqns, program = program.eqns, _checked(p, program, target)
            restless += [p] if p.foreign and program.eqns != eqns else []
        if program.eqns == before:
            break
        if not left and restless and warn:
            text = f"compile: {restless[0]} changes the program again each time it runs"
            remedy = f"it was stopped after {ROUNDS} rounds; let it return a program that it is done with as it is"
            warnings.warn(f"{text}; {remedy}", PluginWarning, stacklevel=user_level())
    for p in late:
        program = _checked(p, program, target)
    return compacted(program)


def _checked(p: Pass, program: Program, target: Target) -> Program:
    if not p.foreign:
        return p.run(program, target)
    try:
        new = p.run(program, target)
    except Exception as error:
        remedy = "compile(f, passes=[...]) names the passes that run"
        raise PluginError(f"compile: {p} raised {cause(error)}; mend it, or leave it out: {remedy}") from error
    outputs = [program.specs[v] for v in program.outputs]
    if not isinstance(new, Program) or [new.specs[v] for v in new.outputs] != outputs:
        raise PluginError(f"compile: {p} gave other outputs; it must keep number, shape and dtype")
    try:
        problem = flaw(new)
    except Exception as error:  # a shape rule refuses the operands
        problem = cause(error)
    if problem:
        raise PluginError(f"compile: {p} broke the program: {problem}")
    return new


def flaw(program: Program) -> str:
    """What is wrong with a program as such, or "": values given once and before they are read, results as the shape
    rules say.
    """
    there = {*program.inputs, *program.consts}
    for eqn in program.eqns:
        if unknown := [v for v in eqn.values if v not in there]:
            return f"{eqn.op} reads value {unknown[0]} before it is there"
        if again := [v for v in eqn.outs if v in there]:
            return f"{eqn.op} gives value {again[0]} a second time"
        there.update(eqn.outs)
        if eqn.op != ALIAS and eqn.op != FUSED and eqn.op not in OPS:
            return f"there is no op {eqn.op!r}"
        if eqn.op in OPS and eqn.ins:
            found = OPS[eqn.op].spec(*[spec_of(x, program.specs) for x in eqn.ins], **dict(eqn.attrs))
            for v, s in zip(eqn.outs, found if type(found) is tuple else (found,), strict=True):
                if (program.specs[v].shape, program.specs[v].dtype) != (s.shape, s.dtype):
                    return f"{eqn.op} gives {s.dtype} {s.shape} for value {v}, which is {program.specs[v]}"
        if eqn.op == FUSED and not isinstance(dict(eqn.attrs).get("body"), Body):
            return "a fused group without a body"
    missing = [v for v in program.outputs if v not in there]
    return f"output {missing[0]} is not computed" if missing else ""
