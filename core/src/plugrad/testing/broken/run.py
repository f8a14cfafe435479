"""Run checks on a faulty thing: all of them, whatever fails, and none longer than a limit."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Sequence

from ..kit.check import Check, NotHere
from .fault import Fault
from .scope import asked_of


def caught(
    fault: Fault, asked: Callable[[Fault, str], Sequence[Check]] = asked_of, quick: bool = False
) -> dict[str, str]:
    """The names of the checks that fail on the fault, each with the first line of its message.

    ``asked`` gives the checks for the thing's name; ``quick`` runs only those that ``caught_by`` names. One that takes
    longer than the fault's ``limit`` fails with words that say so; its thread ends when it does.

    >>> from plugrad.testing.broken import FAULTS
    >>> fault = next(f for f in FAULTS if f.name == "backend.add_widens")
    >>> "values.add.float32" in caught(fault, quick=True)
    True
    """
    failed: dict[str, str] = {}
    with fault.make() as thing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker = _Worker()
        for check in asked(fault, thing):
            if quick and not fault.named(check.name):
                continue
            answer = worker.run(check, fault.limit)
            if answer is None:
                failed[check.name] = f"{check.name} of {thing}: has not ended after {fault.limit:g} s"
                worker = _Worker()  # the other one is left with it
            elif isinstance(answer, Exception):
                failed[check.name] = _line(answer)
        worker.end()
    return failed


def _line(error: Exception) -> str:
    """The first line of a message, with the next two where it ends in a colon; with the error's kind where it is no
    AssertionError.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    text = " ".join(lines[: 3 if lines[0].endswith(":") else 1])
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
            except NotHere:
                self.answers.put(True)
            except Exception as error:
                self.answers.put(error)

    def run(self, check: Check, limit: float) -> Exception | bool | None:
        """What the check raised, True if nothing, None if it has not ended in time; the thread ends with it then."""
        self.work.put(check)
        try:
            return self.answers.get(timeout=limit)
        except queue.Empty:
            self.end()
            return None

    def end(self) -> None:
        """The thread ends after what it does."""
        self.work.put(None)
