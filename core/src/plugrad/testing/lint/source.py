"""The source tree that is checked: its modules, what each binds and imports, and whose name a name is. Imports none of
it.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

COMPILED = (".pyx", ".so", ".pyd")
"""Modules whose contents nobody reads here."""
APART = ("tests", "test", "testing", "conftest")
DEEPEST = 100
"""Nodes inside one another, above which a module is not read but passed over, as compiled ones are."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One name that is imported: ``from a import b as c`` binds c to a.b. ``early``: when the module is."""

    line: int
    module: str
    name: str
    bound: str
    early: bool

    @property
    def dotted(self) -> str:
        """The full name of what is imported."""
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(eq=False)
class Module:
    """A module of the tree."""

    name: str
    path: Path
    tree: ast.Module
    is_package: bool = False

    @property
    def package(self) -> str:
        """What relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def is_test(self) -> bool:
        """Whether it belongs to tests."""
        return any(part in APART or part.startswith("test_") for part in self.name.split(".")[1:] or [self.name])

    @cached_property
    def imports(self) -> list[Import]:
        """Every import, in the order of the text, but for those that only type checkers see."""
        return list(_imports(self, self.tree.body, True))

    @cached_property
    def bindings(self) -> dict[str, ast.AST]:
        """The names that the module has once it is imported, with what binds them last. Star imports apart."""
        found: dict[str, ast.AST] = {bound: node for node in statements(self.tree.body) for bound in bound_names(node)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Global):
                found.update(dict.fromkeys(node.names, node))
        return found

    @cached_property
    def is_open(self) -> bool:
        """Whether it may have names that do not show."""
        tricks = {"globals", "vars", "setattr", "exec", "__getattr__"}
        names = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name)}
        return bool(tricks & (names | set(self.bindings)))

    @cached_property
    def origins(self) -> dict[str, str]:
        """The full names of what it imports, by the name here."""
        late = {i.bound: _origin(i) for i in self.imports if i.bound != "*" and not i.early}
        return late | {i.bound: _origin(i) for i in self.imports if i.bound != "*" and i.early}

    @cached_property
    def stars(self) -> list[str]:
        """The modules of its star imports."""
        return [i.module for i in self.imports if i.bound == "*"]


def _origin(found: Import) -> str:
    """``import a.b`` binds a."""
    return found.dotted if found.name or found.bound != found.module.partition(".")[0] else found.bound


def _imports(module: Module, body: list[ast.stmt], early: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, "", alias.asname or alias.name.partition(".")[0], early)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            for alias in node.names:
                star = alias.name == "*"
                yield Import(node.lineno, base, "" if star else alias.name, alias.asname or alias.name, early)
        elif isinstance(node, ast.If) and is_for_types(node):
            yield from _imports(module, node.orelse, early)
        else:
            yield from _imports(module, blocks(node), early and not isinstance(node, Function))


def is_for_types(node: ast.If) -> bool:
    """Whether a block is for type checkers alone."""
    return isinstance(node.test, ast.Name | ast.Attribute) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """The full name of the module that ``from`` names."""
    if not node.level:
        return node.module or ""
    base = module.package.split(".")
    base = base[: len(base) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a body does, those in blocks included, those of functions and classes not."""
    for node in body:
        yield node
        if not isinstance(node, Function | ast.ClassDef):
            yield from statements(blocks(node))


def blocks(node: ast.stmt) -> list[ast.stmt]:
    """The statements directly inside one."""
    found: list[ast.stmt] = []
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.stmt):
            found.append(part)
        elif isinstance(part, ast.ExceptHandler | ast.match_case):
            found += part.body
    return found


def bound_names(node: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, without the statements in it."""
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    else:
        for part in ast.iter_child_nodes(node):
            if not isinstance(part, ast.stmt):
                yield from (n.id for n in ast.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def parsed(source: bytes, path: Path) -> ast.Module:
    """The syntax tree of what compiles; RecursionError if it is deeper than checks can follow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source, path)
        compile(tree, path, "exec", dont_inherit=True)
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise RecursionError
    return tree


@dataclass
class Tree:
    """All modules of what is checked. ``focus``: the file or folder to report on, None for all."""

    modules: dict[str, Module] = field(default_factory=dict)
    compiled: set[str] = field(default_factory=set)
    broken: list[tuple[Path, int, str]] = field(default_factory=list)
    focus: Path | None = None

    def add(self, path: Path, name: str) -> None:
        """Read a module, or a package with all that is in it."""
        if path.is_dir():
            if any(path.samefile(folder) for folder in path.parents):  # a link to a folder that it lies in
                return
            init = path / "__init__.py"
            if init.is_file():
                self._read(init, name, True)
            for item in sorted(path.iterdir()):
                stem = item.name.partition(".")[0]
                inner = item.is_dir() and any(item.rglob("*.py"))
                if stem.isidentifier() and stem != "__init__" and (inner or item.suffix in (".py", *COMPILED)):
                    self.add(item, f"{name}.{stem}")
        elif path.suffix == ".py":
            self._read(path, name, False)
        else:
            self.compiled.add(name)

    def _read(self, path: Path, name: str, is_package: bool) -> None:
        try:
            tree = parsed(path.read_bytes(), path)
        except (RecursionError, MemoryError):
            self.compiled.add(name)
        except OSError as error:
            self.compiled.add(name)
            self.broken.append((path, 1, f"this cannot be read: {error.strerror}"))
        except (SyntaxError, ValueError) as error:
            self.compiled.add(name)  # it exists; what is in it is unknown
            line = getattr(error, "lineno", None) or 1
            self.broken.append((path, line, f"this is not Python: {getattr(error, 'msg', None) or error}"))
        else:
            self.modules[name] = Module(name, path, tree, is_package)

    @property
    def packages(self) -> set[str]:
        """The names at the top."""
        return {name.partition(".")[0] for name in [*self.modules, *self.compiled]}

    def sources(self) -> list[Module]:
        """The modules that are checked: tests are not."""
        return [m for m in self.modules.values() if not m.is_test]

    def exists(self, name: str) -> bool:
        """Whether there is a module, a compiled one, or a folder of that name."""
        return any(n == name or n.startswith(f"{name}.") for n in [*self.modules, *self.compiled])

    def split(self, dotted: str) -> tuple[Module, list[str]] | None:
        """The module that a full name starts with, and the rest of the name."""
        parts = dotted.split(".")
        for n in range(len(parts), 0, -1):
            module = self.modules.get(".".join(parts[:n]))
            if module is not None:
                return module, parts[n:]
        return None

    def has(self, module: Module, name: str) -> bool | None:
        """Whether a module has this name; None if that cannot be told."""
        if name in module.bindings or f"{module.name}.{name}" in {*self.modules, *self.compiled}:
            return True
        found = [self.has(self.modules[star], name) if star in self.modules else None for star in module.stars]
        return True if True in found else None if module.is_open or None in found else False

    def names(self, module: Module) -> list[str]:
        """What a module has, for suggestions."""
        inner = [name for star in module.stars if star in self.modules for name in self.names(self.modules[star])]
        return [*module.bindings, *inner]

    def origin(self, dotted: str) -> str:
        """The full name under which something is defined, through the imports of the tree."""
        for _ in range(20):
            at = self.split(dotted)
            if at is None or not at[1]:
                return dotted
            module, (name, *rest) = at
            if name in module.origins and not isinstance(module.bindings.get(name), Function | ast.ClassDef):
                following = module.origins[name]
            elif name not in module.bindings:
                stars = [s for s in module.stars if s in self.modules and self.has(self.modules[s], name)]
                if not stars:
                    return dotted
                following = f"{stars[0]}.{name}"
            else:
                return dotted
            dotted = ".".join([following, *rest])
        return dotted

    def full(self, node: ast.AST, module: Module) -> str:
        """The full name of what a name or a dotted name at module level stands for; empty for other expressions."""
        if isinstance(node, ast.Attribute):
            base = self.full(node.value, module)
            return self.origin(f"{base}.{node.attr}") if base else ""
        if not isinstance(node, ast.Name):
            return ""
        if node.id in module.origins:
            return self.origin(module.origins[node.id])
        known = self.has(module, node.id)
        return self.origin(f"{module.name}.{node.id}") if known else node.id
