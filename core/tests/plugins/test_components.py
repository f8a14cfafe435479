"""Ops, kernels and components of plugins, found by name and imported when first used."""

from __future__ import annotations

from typing import Any

PLUGIN = """
from plugrad.plugins import hookimpl
API = (1, 0)

@hookimpl
def plugrad_ops(registrar):
    registrar.ops("fancy", target="fancy_ops")

@hookimpl
def plugrad_kernels(registrar):
    registrar.kernel("fancy.twice", "numpy", target="fancy_kernels:twice", dtypes="f4")
    registrar.kernel("exp", "toy", target="fancy_absent:exp")

@hookimpl
def plugrad_components(registrar):
    registrar.component("optimizer", "fancy", target="fancy_parts:Optimizer")
    registrar.component("optimizer", "broken", target="fancy_parts:Absent")
"""
OPS = """
from plugrad.op import Op

class Twice(Op):
    name = "fancy.twice"
    dtypes = "float"

    def decompose(self, x):
        return x + x

TWICE = Twice()
"""
FILES = {
    "fancy_plugin.py": PLUGIN,
    "fancy_ops.py": OPS,
    "fancy_kernels.py": "calls = []\ndef twice(x):\n    calls.append(x)\n    return 2 * x\n",
    "fancy_parts.py": "class Optimizer:\n    def __init__(self, rate, **rest):\n        self.got = rate, rest\n",
}


def install(site: Any, **changed: str) -> None:
    site.add(
        "plugrad-fancy",
        FILES | {name.replace("_py", ".py"): text for name, text in changed.items()},
        fancy="fancy_plugin",
    )


def test_components_are_created_by_name(site: Any) -> None:
    install(site)
    used = site.python(
        """
        import sys
        from plugrad.plugins import *
        print(components("optimizer"), "fancy_parts" in sys.modules)
        made = create("optimizer", "fancy", rate=0.1, decay=2)
        print(type(made) is component("optimizer", "fancy"), made.got)
        from plugrad.errors import PluginError, UnknownNameError
        for kind, name in (("optimizer", "fance"), ("optimiser", "fancy"), ("optimizer", "broken")):
            try:
                component(kind, name)
            except (UnknownNameError, PluginError) as error:
                print(type(error).__name__, error)
        """
    )
    assert used.returncode == 0, used.stderr
    lines = used.stdout.splitlines()
    assert lines[:2] == ["('fancy', 'broken') False", "True (0.1, {'decay': 2})"]
    assert lines[2].startswith("UnknownNameError optimizer 'fance' is not registered (did you mean 'fancy'?)")
    assert lines[3].startswith(
        "UnknownNameError component kind 'optimiser' is not registered (did you mean 'optimizer'?)"
    )
    assert lines[4].startswith(
        "PluginError optimizer broken of plugrad-fancy 1.0: cannot import 'fancy_parts:Absent': AttributeError"
    )


def test_ops_are_imported_when_a_name_is_looked_up_and_kernels_when_called(site: Any) -> None:
    install(site)
    used = site.python(
        """
        import sys
        import numpy as np
        import plugrad as pg
        from plugrad.plugins import lookup
        print(lookup("add").name, "fancy_ops" in sys.modules)
        op = lookup("fancy.twice")
        print(op.name, "fancy_kernels" in sys.modules, lookup("fancy.twice") is op)
        x = pg.asarray(np.array([1.5, 2.0], np.float32), device="numpy")
        print(op(x).tolist(), op(x).tolist(), len(sys.modules["fancy_kernels"].calls))
        print(op(x.astype("float64")).tolist(), len(sys.modules["fancy_kernels"].calls))
        """
    )
    assert used.stdout.splitlines() == [
        "add False",
        "fancy.twice False True",
        "[3.0, 4.0] [3.0, 4.0] 2",
        "[3.0, 4.0] 2",
    ], used.stderr


def test_an_unknown_op(site: Any) -> None:
    install(site)
    site.add("plugrad-torn", {"torn_plugin.py": "1 / 0"}, torn="torn_plugin")
    used = site.python(
        """
        import warnings
        warnings.simplefilter("ignore")
        from plugrad.errors import UnknownNameError
        from plugrad.plugins import load_ops, lookup
        for name in ("fancy.twise", "torn.op", "nothing", "Fancy"):
            try:
                lookup(name)
            except UnknownNameError as error:
                print(error)
        try:
            load_ops("fanci")
        except UnknownNameError as error:
            print(error)
        """
    )
    twise, torn, nothing, fancy, prefix = used.stdout.splitlines()
    assert "op 'fancy.twise' is not registered (did you mean 'fancy.twice'?)" in twise
    assert "plugin 'torn' of plugrad-torn 1.0: failed: ZeroDivisionError" in torn
    assert "op 'nothing' is not registered" in nothing and "op 'Fancy' is not registered" in fancy
    assert "ops with the prefix 'fanci' is not registered (did you mean 'fancy'?)" in prefix


def test_a_module_of_ops_that_fails_is_named_with_its_cause(site: Any) -> None:
    install(site, fancy_ops_py="import plugrad_absent_library\n")
    used = site.python("from plugrad.plugins import lookup; lookup('fancy.twice')")
    last = used.stderr.splitlines()[-1]
    assert "PluginError: ops fancy of plugrad-fancy 1.0: cannot import 'fancy_ops': ModuleNotFoundError" in last
    assert "plugrad_absent_library" in last
    doctor = site.cli("doctor")
    assert doctor.returncode == 1
    for broken in ("ops fancy of", "optimizer broken of"):
        assert f"{broken} plugrad-fancy 1.0: cannot import" in doctor.stdout
    assert "fancy_absent" not in doctor.stdout  # a kernel for a backend that is not there
