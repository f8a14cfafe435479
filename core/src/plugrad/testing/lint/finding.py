"""A finding, and the codes of all mistakes that there are checks for."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import PlugradError


class LintError(PlugradError, ValueError):
    """What was to be checked is not there, or is no plugin."""


class Finding(NamedTuple):
    """A mistake: where it is, its code, and what is wrong with the remedy."""

    path: str
    line: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.code} {self.message}"


CODES: dict[str, str] = {
    "PG001": "a file that is not Python",
    "PG101": "a function that looks like a hook, under a name that no hook has",
    "PG102": "a hook without `@hookimpl`, which is never called",
    "PG103": "a hook that does not take `registrar` alone",
    "PG104": "a hook that returns something",
    "PG105": "`API` is missing or is no pair of integers",
    "PG106": "a protocol version that this plugrad does not speak",
    "PG201": "a method that the registrar does not have",
    "PG202": "arguments that the registrar's method does not take, or lacks",
    "PG203": "a name, target, priority or order that the registrar refuses",
    "PG204": "a target in a module that does not exist",
    "PG205": "a target that its module does not define",
    "PG206": "one name registered twice",
    "PG301": "a heavy import at registration",
    "PG302": "a backend that imports tensors, operations or another plugin",
    "PG303": "`plugrad.testing` imported outside samples and tests",
    "PG401": "a kernel of an operation that does not exist",
    "PG402": "one operation twice in a table of kernels",
    "PG403": "a kernel with another number of operands than its operation",
    "PG404": "a kernel that lacks an attribute, does not take it as a keyword, or asks for one that there is not",
    "PG405": "a kernel of a creation operation without `device`",
    "PG406": "a kernel that writes an operand",
    "PG407": "a dtype or group of dtypes that does not exist",
    "PG501": "a backend without a member that it owes",
    "PG502": "a method of a backend with another signature than the contract's",
    "PG503": "a backend whose name is not the registered one",
    "PG504": "a member of a backend that looks misspelt",
    "PG601": "a rule of an operation that does not exist or looks misspelt",
    "PG602": "a rule with another signature than the one it is called with",
    "PG603": "rules of one operation that disagree about its operands or attributes",
    "PG604": "an operation whose name lacks the prefix that the plugin registers",
    "PG605": "a rule of the wrong type",
    "PG701": "operations or components without registered samples",
    "PG702": "something registered that no sample calls",
    "PG703": "a sample of something that is not registered",
    "PG801": "no entry point of the group `plugrad`",
    "PG802": "an entry point that names a module that does not exist",
    "PG803": "a dependency on plugrad that is missing, unbounded, or excludes this version",
    "PG804": "a package inside the namespace `plugrad`",
    "PG805": "a `pyproject.toml` that cannot be read",
    "PG901": "a hooks module that raises when it is imported (only with `--import`)",
    "PG902": "a heavy module that is loaded at registration (only with `--import`)",
    "PG903": "a plugin that the loader refuses (only with `--import`)",
}
"""What each code stands for."""
