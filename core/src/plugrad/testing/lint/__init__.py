"""``plugrad lint``: checks a plugin's hooks, kernels and operations against the contract, without running any of it.

It reads sources, and asks the running plugrad for what it must agree with: hooks, methods of the registrar, operations
and how their kernels are called, members of a backend. What cannot be told by reading is passed over in silence.
"""

from __future__ import annotations

from . import backends, hooks, importing, imports, kernels, ops, packaging, registration, samples
from .finding import CODES, Finding, LintError
from .lint import Lint
from .target import find

__all__ = ["CODES", "Finding", "LintError", "lint"]

CHECKS = (packaging.check, hooks.check, registration.check, imports.check, kernels.check, backends.check, ops.check)
"""In the order of the codes, but for the samples, which need the ops evaluated."""


def lint(what: str, with_import: bool = False) -> list[Finding]:
    """The findings about a path or an installed distribution, by file and line; LintError if there is none."""
    run = Lint(find(what))
    for path, line, message in run.tree.broken:
        run.report(path, line, "PG001", f"{message}; nothing else in it is checked")
    run.registered = hooks.run_hooks(run)
    for check in (*CHECKS, samples.check, *([importing.check] if with_import else [])):
        check(run)
    return sorted(run.findings)
