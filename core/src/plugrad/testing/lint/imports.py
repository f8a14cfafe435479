"""Checks of imports: light at registration, backends without tensors, and the kit in samples and tests only."""

from __future__ import annotations

import ast
import sys
from collections import deque
from collections.abc import Iterator

from ...backend import Backend
from ...plugins.hookspecs import PROJECT
from ...plugins.loader import discover
from . import facts
from .lint import Lint
from .registration import bound
from .source import Import, Module

LIGHT = ("plugrad.plugins", "plugrad.backend", "plugrad.errors")
BARRED = ("plugrad.tensor", "plugrad.tape", "plugrad.ops", "plugrad.op")
"""What a backend does not know."""
VALUES = "a kernel gets and gives values; use plugrad.backend, plugrad.dtypes and plugrad.errors"
KIT = "plugrad.testing"
BROUGHT = ("numpy", "ml_dtypes", "pluggy")
"""What importing plugrad loads anyway."""


def check(lint: Lint) -> None:
    """All of these."""
    _light(lint)
    _backends(lint)
    _kit(lint)


def under(name: str, modules: tuple[str, ...] | set[str]) -> bool:
    """Whether a full name is one of the modules or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _light(lint: Lint) -> None:
    """Follow the imports of each hooks module strictly, those of its packages with leave for what plugrad brings."""
    for module in lint.hook_modules:
        seen: set[tuple[str, bool]] = set()
        waiting = deque([(module, True), *[(package, False) for package in parents(lint, module.name)]])
        while waiting:
            current, strict = waiting.popleft()
            if (current.name, strict) in seen:
                continue
            seen.add((current.name, strict))
            for found in current.imports:
                if not found.early:
                    continue
                inner = reached(lint, found)
                waiting.extend((m, strict) for m in inner)
                waiting.extend((package, False) for m in inner for package in parents(lint, m.name))
                if not inner and not lint.tree.exists(found.module) and not _is_light(found, strict):
                    _heavy(lint, module, current, found)


def _heavy(lint: Lint, module: Module, current: Module, found: Import) -> None:
    name = found.module.partition(".")[0]
    what = found.module if name == PROJECT else name
    through = "" if current is module else f" (which registering with {module.name} imports)"
    remedy = "name it in a target, or import it inside a function"
    lint.report(current, found.line, "PG301", f"{what} is imported at registration{through}; {remedy}")


def _is_light(found: Import, strict: bool) -> bool:
    top = found.module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if top == PROJECT:
        kit = under(found.dotted, (KIT,))
        inner = found.module if found.module != PROJECT or not _is_module(found.dotted) else found.dotted
        return kit or not strict or inner == PROJECT or under(inner, LIGHT)
    return not strict and top in BROUGHT


def _is_module(dotted: str) -> bool:
    return dotted in sys.modules


def parents(lint: Lint, name: str) -> list[Module]:
    """The packages that importing a module imports first."""
    parts = name.split(".")
    found = [lint.tree.modules.get(".".join(parts[:n])) for n in range(1, len(parts))]
    return [package for package in found if package is not None]


def reached(lint: Lint, found: Import) -> list[Module]:
    """The modules of the tree that one import loads."""
    name = found.dotted if found.dotted in lint.tree.modules else found.module
    return [lint.tree.modules[name]] if name in lint.tree.modules else []


def _backends(lint: Lint) -> None:
    """The modules of backends, and those of the tree that they import."""
    waiting = deque(module for module, _, found in lint.classes() if lint.derives(found, Backend))
    seen: set[str] = set()
    points = [plugin.entry_point.value for plugin in discover().plugins]
    others = {point.partition(":")[0].partition(".")[0] for point in points} - lint.tree.packages - {PROJECT, "?"}
    while waiting:
        module = waiting.popleft()
        if module.name in seen:
            continue
        seen.add(module.name)
        for found in module.imports:
            waiting.extend(m for m in reached(lint, found) if not under(m.name, {*_hooks(lint)}))
            if under(found.dotted, BARRED) or _comes_from(found):
                lint.report(module, found.line, "PG302", f"a backend imports {found.dotted}; {VALUES}")
            elif under(found.module, others):
                remedy = "claim its ops by name, such as 'nn.softmax', and keep packages apart"
                lint.report(module, found.line, "PG302", f"a backend imports the plugin {found.module}; {remedy}")

        for line, dotted in _attributes(module):
            lint.report(module, line, "PG302", f"a backend uses {dotted}; {VALUES}")


def _attributes(module: Module) -> Iterator[tuple[int, str]]:
    """What backends do not know and is reached through ``plugrad`` itself, such as ``pg.asarray``."""
    names = {one.bound for one in module.imports if not one.name and PROJECT in (one.module, one.bound)}
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names):
            continue
        if _unknown_to_backends(dotted := f"{PROJECT}.{node.attr}"):
            yield node.lineno, dotted


def _hooks(lint: Lint) -> list[str]:
    return [module.name for module in lint.hook_modules]


def _comes_from(found: Import) -> bool:
    """Whether a name taken from ``plugrad`` itself is a thing that backends do not know."""
    return found.module == PROJECT and bool(found.name) and _unknown_to_backends(found.dotted)


def _unknown_to_backends(dotted: str) -> bool:
    return under(dotted, BARRED) or under(str(getattr(facts.named(dotted), "__module__", "")), BARRED)


def _kit(lint: Lint) -> None:
    targets = [bound(call).get("target") for call in lint.registered if call.name == "samples"]
    samples = {target.partition(":")[0] for target in targets if isinstance(target, str)}
    for module in lint.tree.sources():
        if under(module.name, samples) or "samples" in module.name.split("."):
            continue
        for found in module.imports:
            if under(found.dotted, (KIT,)):
                remedy = "only samples.py and tests may; move it there"
                lint.report(
                    module, found.line, "PG303", f"{found.module} is imported outside samples and tests; {remedy}"
                )
