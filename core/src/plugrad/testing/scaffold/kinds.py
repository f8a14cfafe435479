"""What ``plugrad new`` can write: one entry and one folder of templates a kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A sort of distribution.

    folder       its folder in templates/; what is in templates/common is written too
    label        what ``plugrad plugins`` calls the thing that is registered; two of one name cannot live together
    help         a line for the command's help
    description  the distribution's description; ``$name`` and the other variables of a project may occur in it
    """

    folder: str
    label: str
    help: str
    description: str


KINDS: dict[str, Kind] = {
    "backend": Kind(
        folder="backend",
        label="backend",
        help="a device of your own: the twelve kernels of a first evening, on NumPy, to be replaced by yours",
        description="A backend of plugrad: the device $name.",
    ),
}
"""By the word that follows ``plugrad new``."""
