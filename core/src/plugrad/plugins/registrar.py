"""What a plugin declares, as data: frozen entries that carry their provider. Imports no target, touches no table."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from ..backend import API, Kernel
from ..dtypes import parse
from ..errors import PluginError
from .names import DOTTED, LABEL, MODULE, TARGET, WORD, Form, check, resolve
from .probe import AVAILABLE, Outcome, Probe


class IncompatibleError(PluginError):
    """A plugin was written for another version of the protocol."""


class Provider(NamedTuple):
    """The entry point that registered something, and its distribution."""

    distribution: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Entry:
    """One registration: a word for what it is, a name, and the target that is imported when the name is first used.

    ========= ===================================================================================
    backend   ``probe``: the question whether it can be used here; ``priority``
    ops       ``name``: the prefix of its ops; the target is a module
    kernel    ``name``: the op; ``backend``; ``kernel``. A ready kernel has no target
    component ``kind``: "optimizer", "layer", ...
    samples   ``name``: the target
    pass      ``order``
    observer
    command   ``help``
    ========= ===================================================================================
    """

    provider: Provider
    word: str
    name: str
    target: str
    kind: str = ""
    backend: str = ""
    kernel: Kernel | None = None
    probe: Probe | None = None
    priority: int = 0
    order: int = 0
    help: str = ""

    @property
    def key(self) -> Hashable:
        """Two entries with one key cannot live together."""
        return self.word, self.kind, self.name, self.backend, self.kernel and self.kernel.priority

    def __str__(self) -> str:
        return f"{self.kind or self.word} {self.name}" + (f" on {self.backend}" if self.backend else "")

    def outcome(self) -> Outcome:
        """Whether it can be used here: what its probe answered, which is asked once. Without a probe it can."""
        return self.probe.outcome() if self.probe else AVAILABLE

    def load(self) -> Any:
        """Import the target; raises PluginError that names the entry and the distribution."""
        return self.kernel.fn if self.kernel and not self.target else resolve(self.target, f"{self} of {self.provider}")


def lazy(target: str, what: str) -> Callable[..., Any]:
    """A function that imports its target at the first call and from then on only forwards to it."""
    check(f"target of {what}", target, TARGET)

    @cache
    def imported() -> Callable[..., Any]:
        found = resolve(target, what)
        if not callable(found):
            raise PluginError(f"{what}: {target!r} is a {type(found).__name__}; name a function instead")
        return found

    return lambda *args, **kwargs: imported()(*args, **kwargs)


def check_api(declared: object, what: str) -> None:
    """IncompatibleError unless this core serves the version that ``what`` declares; PluginError if malformed."""
    if not isinstance(declared, tuple) or [type(part) for part in declared] != [int, int]:
        raise PluginError(f"{what}: API is {declared!r}; write API = {API}, the protocol version it was written for")
    if declared[0] != API[0] or declared[1] > API[1]:
        older = "plugrad" if declared > API else "the plugin"
        versions = "written for plugin protocol {}.{}, this plugrad speaks {}.{}".format(*declared, *API)
        raise IncompatibleError(f"{what}: {versions}; upgrade {older}")


class Registrar:
    """Collects what one plugin declares. New methods never break an old plugin."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.entries: list[Entry] = []

    def backend(
        self, name: str, target: str, probe: str | None = None, api: tuple[int, int] = (1, 0), priority: int = 0
    ) -> None:
        """Declare a backend.

        ``probe`` is the target of a cheap function that answers ``True``, or why the backend cannot be used here. The
        available backend of the highest priority is the default device.
        """
        check_api(api, f"backend {name}")
        asked = Probe(probe, f"backend {name}") if probe is not None else None
        self._add("backend", name, target, WORD, probe=asked, priority=priority)

    def ops(self, prefix: str, target: str) -> None:
        """Declare the module that makes the ops called ``prefix.something``; imported when one is first looked up."""
        self._add("ops", prefix, target, DOTTED, MODULE)

    def kernel(
        self,
        op: str,
        backend: str,
        target: str | Kernel,
        dtypes: str | None = None,
        priority: int = 10,
        when: Callable[..., bool | str] | str | None = None,
        scalars: bool = False,
    ) -> None:
        """Declare a kernel for an op on a backend, both by name; see ``plugrad.backend.Kernel`` for the fields.

        ``when`` may be a target too. A ready ``Kernel`` keeps its own fields, and its own priority if that is not 0:
        priority 0 is for the backend's own kernels.
        """
        check("kernel", op, DOTTED)
        check("kernel", backend, WORD)
        what = f"kernel {op} on {backend} of {self.provider}"
        if isinstance(target, Kernel):
            path, kernel = "", target
        else:
            promise = lazy(when, what) if isinstance(when, str) else when
            path, kernel = target, Kernel(lazy(target, what), dtypes, scalars, promise, priority)
        parse(kernel.dtypes or "")  # raises for a dtype that does not exist
        kernel = replace(kernel, priority=kernel.priority or priority, provider=self.provider.distribution)
        if type(kernel.priority) is not int or kernel.priority < 1:
            raise PluginError(f"{what}: priority {kernel.priority!r} is for the backend's own kernels; use 1 or more")
        self.entries.append(Entry(self.provider, "kernel", op, path, backend=backend, kernel=kernel))

    def component(self, kind: str, name: str, target: str) -> None:
        """Declare what ``plugrad.create(kind, name, **config)`` makes."""
        check("component kind", kind, WORD)
        self._add("component", name, target, kind=kind)

    def samples(self, target: str) -> None:
        """Declare a function that gives test inputs for one's own ops and components."""
        self._add("samples", target, target, TARGET)

    def compile_pass(self, name: str, target: str, order: int) -> None:
        """Declare a pass of compile; passes run in ascending ``order``."""
        self._add("pass", name, target, order=order)

    def observer(self, name: str, target: str) -> None:
        """Declare an observer."""
        self._add("observer", name, target)

    def command(self, name: str, target: str, help: str = "") -> None:
        """Declare a sub-command of the CLI; its target is ``main(argv: list[str]) -> int | None``."""
        self._add("command", name, target, help=help)

    def _add(self, word: str, name: str, target: str, form: Form = LABEL, path: Form = TARGET, **fields: Any) -> None:
        check(word, name, form)
        check(f"target of {word} {name}", target, path)
        for number in ("priority", "order"):
            if type(fields.get(number, 0)) is not int:
                raise PluginError(f"{number}: {fields[number]!r} is not an integer; give a number such as 10")
        self.entries.append(Entry(self.provider, word, name, target, **fields))
