"""The public names are those declared, and nothing is installed in secret."""

import ast
import inspect

import plugrad as pg


def test_all_lists_every_public_name():
    public = {n for n, v in vars(pg).items() if not n.startswith("_") and not inspect.ismodule(v)}
    modules = {"errors", "fft", "linalg", "plugins", "random", "tree"}
    assert public | modules <= set(pg.__all__) | {"annotations"}
    assert all(hasattr(pg, n) for n in pg.__all__)


def test_installed_methods_are_those_declared():
    (klass,) = ast.parse(inspect.getsource(pg.Tensor)).body
    (block,) = [node for node in klass.body if isinstance(node, ast.If)]
    nodes = list(ast.walk(block))
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    aliases = [one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef)} | {name.id for name in aliases}
    declared = {name for name in names if name.startswith("__") or not name.startswith("_")} - {"__slots__"} | {"shape"}
    own = {node.name for node in klass.body if isinstance(node, ast.FunctionDef)}
    installed = {n for n, v in vars(pg.Tensor).items() if callable(v) or isinstance(v, property)} - own
    installed -= {"__class__", "__hash__", "_convert", "_cut", "__doc__", "__slots__", "__module__"}
    installed = {n for n in installed if not inspect.ismemberdescriptor(vars(pg.Tensor)[n])}
    base = {n for n in vars(pg.Tensor.__mro__[1]) if n.startswith("__") and n in declared and n not in installed}
    assert installed | base == declared and base >= {"__add__", "__rmul__", "__neg__", "__eq__", "__lt__"}


def test_every_public_function_is_documented():
    for name in pg.__all__:
        value = getattr(pg, name)
        if inspect.isfunction(value) or (inspect.isclass(value) and value.__module__.startswith("plugrad")):
            assert inspect.getdoc(value), name
