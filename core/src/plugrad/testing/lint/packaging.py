"""Checks of the distribution: its entry points, its dependency on plugrad, the names of its packages."""

from __future__ import annotations

import re
from itertools import zip_longest

from ...backend import __version__
from ...errors import suggest
from ...plugins.hookspecs import PROJECT
from .lint import Lint

_NEED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(;.*)?")
_CLAUSE = re.compile(r"\s*(===|~=|==|!=|<=|>=|<|>)\s*([^\s,]+)\s*")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)[-_.]?(alpha|beta|preview|pre|post|rev|dev|a|b|rc|c|r)?[-_.]?(\d*).*", re.I)
_STAGES = {"dev": -4, "a": -3, "alpha": -3, "b": -2, "beta": -2, "rc": -1, "c": -1, "pre": -1, "preview": -1}

Version = tuple[list[int], int, int]


def check(lint: Lint) -> None:
    """All of these, where there are metadata."""
    target = lint.target
    for path, line, code, message in target.faults:
        lint.report(path, line, code, message)
    if PROJECT in lint.tree.packages and target.name != PROJECT:
        inner = [m for m in lint.tree.modules.values() if m.name.partition(".")[0] == PROJECT]
        for inside in sorted(inner, key=lambda m: m.name)[:1]:
            remedy = f"name it {PROJECT}_{target.name.removeprefix('plugrad-').replace('-', '_') or 'mine'}"
            message = f"{inside.name} lies inside the namespace {PROJECT!r}, which the core owns alone; {remedy}"
            lint.report(inside, 1, "PG804", message)
    if not target.described or target.project is None:
        return
    project = target.project
    if not target.entry_points and "entry-points" not in target.dynamic:
        example = f'[project.entry-points.{PROJECT}] with a line such as mine = "plugrad_mine.plugin"'
        message = f"there is no entry point of the group {PROJECT!r}, so plugrad never finds it; add {example}"
        lint.report(project.path, project.line, "PG801", message)
    for name, point in target.entry_points.items():
        module = point.text.partition(":")[0].strip()
        if not lint.tree.exists(module):
            hint = suggest(module, lint.tree.modules)
            message = f"entry point {name!r} names {module!r}, which is not in the sources{hint}; name the hooks module"
            lint.report(point.path, point.line, "PG802", message)
    if "dependencies" not in target.dynamic:
        _dependency(lint)


def _dependency(lint: Lint) -> None:
    project = lint.target.project
    assert project is not None
    example = f"write '{PROJECT}>={'.'.join(__version__.split('.')[:2])},<{int(__version__.split('.')[0]) + 1}'"
    mine = []
    for need in lint.target.requires:
        found = _NEED.fullmatch(need.text)
        if found and found[1].lower() == PROJECT and "extra" not in (found[4] or ""):
            mine.append((need, found[3]))
    if not mine:
        message = f"the dependencies do not name {PROJECT!r}; {example}"
        lint.report(project.path, project.line, "PG803", message)
    for need, text in mine:
        clauses = [c for part in text.split(",") if part.strip() and (c := _CLAUSE.fullmatch(part))]
        if text.startswith("@"):  # a direct reference, which has no versions
            continue
        if not any(c[1] in ("<", "<=", "==", "===", "~=") for c in clauses):
            message = f"{need.text!r} has no upper bound, but the next major version may break it; {example}"
            lint.report(need.path, need.line, "PG803", message)
        if refused := [c[0].strip() for c in clauses if admits(c[1], c[2], __version__) is False]:
            message = f"{need.text!r} excludes this plugrad, {__version__}, by {refused[0]!r}; {example}"
            lint.report(need.path, need.line, "PG803", message)


def _parsed(text: str) -> Version | None:
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    numbers = [int(n) for n in found[1].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    stage = (found[2] or "").lower()
    return numbers, _STAGES.get(stage, 1 if stage else 0), int(found[3] or 0)


def admits(operator: str, bound: str, version: str) -> bool | None:
    """Whether a version satisfies a clause; None if that cannot be told.

    >>> admits("<", "1", "0.1.0"), admits("==", "0.2.*", "0.1.0"), admits("~=", "0.1", "0.3.0")
    (True, False, True)
    """
    wild = bound.endswith(".*")
    wanted, given = _parsed(bound.removesuffix(".*")), _parsed(version)
    if wanted is None or given is None:
        return None
    if wild or operator == "~=":
        numbers = [int(n) for n in re.findall(r"\d+", bound.removesuffix(".*"))]
        head = numbers if wild else numbers[:-1]
        same = [a for a, _ in zip_longest(given[0][: len(head)], head, fillvalue=0)] == head
        return same if operator == "==" else not same if operator == "!=" else same and given >= wanted
    answers = {
        "<": given < wanted,
        "<=": given <= wanted,
        ">": given > wanted,
        ">=": given >= wanted,
        "==": given == wanted,
        "===": bound == version,
        "!=": given != wanted,
    }
    return answers[operator]
