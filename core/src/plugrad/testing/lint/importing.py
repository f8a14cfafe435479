"""What shows only when the hooks module is imported, in a process of its own: ``--import``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from .imports import BROUGHT
from .lint import Lint

SECONDS = 60
"""How long importing may take."""
_PROGRAM = """
import json, sys, traceback
from importlib import import_module
from importlib.metadata import EntryPoint
roots, name, value, files = json.loads(sys.argv[1])
import plugrad
sys.path[:0] = roots
from plugrad.plugins.loader import PluginStatus, load_all
from plugrad.plugins.registrar import Provider
before, answer = set(sys.modules), {}
try:
    import_module(value.partition(":")[0].strip())
except BaseException as error:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    answer["raised"] = f"{type(error).__name__}: {error}"
    answer["at"] = [frames[-1].filename, frames[-1].lineno] if frames else None
else:
    answer["loaded"] = sorted({n.partition(".")[0] for n in set(sys.modules) - before})
    (status,) = load_all([PluginStatus(Provider("checked", "0", name), EntryPoint(name, value, "plugrad"))]).plugins
    answer["status"], answer["reason"] = status.status, status.reason
print("\\n" + json.dumps(answer))
"""


def check(lint: Lint) -> None:
    """Import each hooks module, alone."""
    names = {point.text.partition(":")[0].strip(): name for name, point in lint.target.entry_points.items()}
    for module in lint.hook_modules:
        answer = _ask(lint, names.get(module.name, "checked"), module.name)
        if "raised" in answer:
            path, line = answer["at"] or (str(module.path), 1)
            where = next((m for m in lint.tree.modules.values() if str(m.path.resolve()) == path), module)
            message = f"importing {module.name} raises {answer['raised']}; a hooks module must import anywhere"
            lint.report(where, int(line), "PG901", message)
            continue
        told = " ".join(f.message for f in lint.findings if f.code == "PG301")
        allowed = {*lint.tree.packages, *sys.stdlib_module_names, *BROUGHT, "plugrad"}
        for name in answer["loaded"]:
            if name not in allowed and not name.startswith("_") and name not in told.split():
                message = f"importing {module.name} loads {name}; name it in a target, or import it inside a function"
                lint.report(module, 1, "PG902", message)
        static = any(f.code in _SAME for f in lint.findings)
        if answer["status"] != "ok" and not static:
            lint.report(module, 1, "PG903", f"the loader refuses it: {answer['reason']}")


_SAME = ("PG101", "PG102", "PG103", "PG104", "PG105", "PG106", "PG201", "PG202", "PG203", "PG407")
"""Findings that have said why the loader refuses a plugin."""


def _ask(lint: Lint, name: str, module: str) -> dict[str, Any]:
    files = [str(m.path.resolve()) for m in lint.tree.modules.values()]
    roots = [str(root.resolve()) for root in lint.target.roots]
    words = json.dumps([roots, name, module, files])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PLUGRAD_PLUGINS": "none"}
    command = [sys.executable, "-c", _PROGRAM, words]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        answer = json.loads(done.stdout.rpartition("\n{")[2].join(["{", ""]))
    except subprocess.TimeoutExpired:
        return {"raised": f"nothing: it takes more than {SECONDS} s", "at": None}
    except ValueError:
        return {"raised": f"nothing, but ends the process (exit code {done.returncode})", "at": None}
    return dict(answer)
