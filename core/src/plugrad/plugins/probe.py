"""Asks whether something can be used here: once, with a time limit, on a thread that nobody waits for afterwards."""

from __future__ import annotations

import contextlib
import os
import pkgutil
import threading
from typing import Any, NamedTuple

from ..errors import PluginError
from .names import BROKEN, TARGET, because, cause, check


class Outcome(NamedTuple):
    """``status`` is "available", "unavailable", "timed out" or "raised"; ``reason`` says why it is not available."""

    status: str
    reason: str = ""

    @property
    def available(self) -> bool:
        return self.status == "available"

    def __str__(self) -> str:
        return because(self.status, self.reason)


AVAILABLE = Outcome("available")


def time_limit() -> float:
    """Seconds that a probe may take: PLUGRAD_PROBE_TIMEOUT, or 5."""
    text = os.environ.get("PLUGRAD_PROBE_TIMEOUT") or "5"
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= threading.TIMEOUT_MAX:
            return float(text)
    raise PluginError(f"PLUGRAD_PROBE_TIMEOUT: {text!r} is not a number of seconds above 0; write for example 5")


class Probe:
    """The question, asked at the first call of ``outcome()`` and never again."""

    def __init__(self, target: str, what: str) -> None:
        check(f"target of the probe of {what}", target, TARGET)
        self.target, self._what, self._lock = target, what, threading.Lock()
        self._outcome: Outcome | None = None

    def outcome(self) -> Outcome:
        """The answer of the probe. Any number of threads may ask; it runs once."""
        with self._lock:
            if self._outcome is None:
                self._outcome = self._ask(time_limit())
            return self._outcome

    def _ask(self, seconds: float) -> Outcome:
        late = f"its probe {self.target} gave no answer in {seconds:g} s; PLUGRAD_PROBE_TIMEOUT sets the limit"
        answers = [Outcome("timed out", late)]
        thread = threading.Thread(target=lambda: answers.append(self._run()), name=f"probe {self._what}", daemon=True)
        thread.start()
        thread.join(seconds)
        return answers[-1]

    def _run(self) -> Outcome:
        try:
            answer: Any = pkgutil.resolve_name(self.target)()
        except BROKEN as error:
            return Outcome("raised", f"its probe {self.target} raised {cause(error)}")
        if answer is True:
            return AVAILABLE
        if isinstance(answer, str) and answer:
            return Outcome("unavailable", answer)
        return Outcome("raised", f"its probe {self.target} answered {answer!r}; it must return True or a reason")
