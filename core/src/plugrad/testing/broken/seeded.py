"""A class with one fault as a Fault: declared for the kit, and not registered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from ..kit.declare import Declared
from ..kit.declared import kind_of_sample, name_of, with_samples
from .fault import Fault

NAME = "broken"
"""The name under which a faulty component is declared."""

Class = TypeVar("Class", bound=type)
Sampled = Callable[..., Declared]
"""Makes the sample of a class: ``f(class, **what the sample says otherwise)``."""


def component(sample: Declared, name: str, what: str, rules: Sequence[str], says: tuple[str, ...] = ()) -> Fault:
    """The fault of a component that a sample makes: ``rules`` are those that must notice it."""
    kind = kind_of_sample(sample)
    noticed = tuple([f"{kind}.{name_of(sample)}.{rule}" for rule in rules])

    def make() -> AbstractContextManager[str]:
        return _declared(sample)

    return Fault(f"{kind}.{name}", what, noticed, make, kind, says)


@contextmanager
def _declared(sample: Declared) -> Iterator[str]:
    with with_samples([sample]):
        yield name_of(sample)


def seeded(faults: list[Fault], sampled: Sampled, rules: str, *says: str, **about: Any) -> Callable[[Class], Class]:
    """Decorator of a class whose docstring says what is wrong, and whose name is the fault's: it joins ``faults``.

    ``rules`` are the names of those that must notice it, ``says`` words of the first one's message, ``about`` what its
    sample says otherwise.
    """

    def join(cls: Class) -> Class:
        what = " ".join((cls.__doc__ or "").split())
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        faults.append(component(sampled(cls, **about), name, what, rules.split(), says))
        return cls

    return join
