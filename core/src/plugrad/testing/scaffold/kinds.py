"""What ``plugrad new`` can write: one entry and one folder of templates a kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A sort of distribution. ``$name`` and the other variables of a project may occur in its texts.

    folders      those in templates/ whose files are written; a later one replaces files of an earlier one
    label        what ``plugrad plugins`` calls the thing that is registered; two of one name cannot live together
    help         a line for the command's help
    description  the distribution's description
    provides     what ``plugrad plugins`` lists, in the order of the hooks' names
    subject      the name under which the kit knows the thing
    needs        what it builds on beside plugrad and NumPy: installed distributions of the project
    """

    folders: tuple[str, ...]
    label: str
    help: str
    description: str
    provides: tuple[str, ...]
    subject: str = "$name"
    needs: tuple[str, ...] = ()


SAMPLES = "samples $package.samples:samples"

KINDS: dict[str, Kind] = {
    "backend": Kind(
        folders=("common", "backend"),
        label="backend",
        help="a device of your own: the twelve kernels of a first evening, on NumPy, to be replaced by yours",
        description="A backend of plugrad: the device $name.",
        provides=("backend $name",),
    ),
    "op": Kind(
        folders=("common", "sampled", "op"),
        label="ops",
        help="ops under a prefix of your own: a normalisation with a derivative, to be replaced by yours",
        description="Ops for plugrad: $name.rms_norm.",
        provides=("ops $name", SAMPLES),
        subject="$name.rms_norm",
    ),
    "layer": Kind(
        folders=("common", "sampled", "layer"),
        label="layer",
        help="a layer of your own: a dense one with gates, to be replaced by yours",
        description="A layer for plugrad: $name.",
        provides=("layer $name", SAMPLES),
    ),
    "optimizer": Kind(
        folders=("common", "sampled", "optimizer"),
        label="optimizer",
        help="an optimizer of your own, on plugrad-optim: RMSprop, to be replaced by yours",
        description="An optimizer for plugrad: $name.",
        provides=("optimizer $name", SAMPLES),
        needs=("plugrad-optim",),
    ),
    "dataset": Kind(
        folders=("common", "sampled", "dataset"),
        label="dataset",
        help="a dataset of your own: two spirals in the plane, to be replaced by yours",
        description="A dataset for plugrad: $name.",
        provides=("dataset $name", SAMPLES),
    ),
    "command": Kind(
        folders=("common", "command"),
        label="command",
        help="a command of your own, plugrad NAME: it times a matrix product, to be replaced by yours",
        description="A command of plugrad: plugrad $dashed.",
        provides=("command $dashed",),
    ),
}
"""By the word that follows ``plugrad new``."""
