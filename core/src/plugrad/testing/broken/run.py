"""Run checks on a faulty thing: all of them, whatever fails, and none longer than a limit."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from ..contract import backend_checks
from .fault import Fault

Named = tuple[str, Callable[[str], Any]]
"""A check's name, and a function of the thing's name."""


def caught(fault: Fault, checks: Iterable[Named] | None = None, quick: bool = False) -> dict[str, str]:
    """The names of the checks that fail on the fault, each with the first line of its message.

    ``checks`` are those of backends unless others are given; ``quick`` runs only those that ``caught_by`` names. One
    that takes longer than the fault's ``limit`` fails with words that say so; its thread ends when it does.

    >>> from plugrad.testing.broken import FAULTS
    >>> fault = next(f for f in FAULTS if f.name == "backend.add_widens")
    >>> list(caught(fault, quick=True))
    ['values.add', 'kernels.result_is_as_promised']
    """
    chosen = [
        (name, check) for name, check in (backend_checks() if checks is None else checks)
        if not quick or fault.named(name)
    ]  # fmt: skip
    failed: dict[str, str] = {}
    with fault.make() as thing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker = _Worker()
        for name, check in chosen:
            answer = worker.run(check, thing, fault.limit)
            if answer is None:
                failed[name] = f"{name} of {thing}: has not ended after {fault.limit:g} s"
                worker = _Worker()  # the other one is left with it
            elif isinstance(answer, Exception):
                failed[name] = _line(answer)
        worker.end()
    return failed


def _line(error: Exception) -> str:
    """The first line of a message, with the error's kind where it is no AssertionError."""
    text = (str(error).splitlines() or [""])[0]
    return text if type(error) is AssertionError and text else f"{type(error).__name__}: {text}"


class _Worker:
    """One thread that runs checks, one after the other, until it is ended or left alone with one that hangs."""

    def __init__(self) -> None:
        self.work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Exception | bool] = queue.SimpleQueue()
        threading.Thread(target=self._loop, name="checks of a fault", daemon=True).start()

    def _loop(self) -> None:
        while (call := self.work.get()) is not None:
            try:
                call()
                self.answers.put(True)
            except Exception as error:
                self.answers.put(error)

    def run(self, check: Callable[[str], Any], thing: str, limit: float) -> Exception | bool | None:
        """What the check raised, True if nothing, None if it has not ended in time; the thread ends with it then."""
        self.work.put(lambda: check(thing))
        try:
            return self.answers.get(timeout=limit)
        except queue.Empty:
            self.end()
            return None

    def end(self) -> None:
        """The thread ends after what it does."""
        self.work.put(None)
