"""Import the named packages and use what is there: run in an environment of wheels by tools/wheels_alone.

It must know no package by name except the core: which ones are present is told on the command line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import warnings


def imports(names: list[str]) -> None:
    """Import each package and see that it comes from an installed wheel."""
    for name in names:
        module = importlib.import_module(name)
        if module.__file__ is None or "site-packages" not in module.__file__:
            raise SystemExit(f"{name} was imported from {module.__file__}, not from its wheel")


def listing(names: list[str], absent: str | None) -> None:
    """See that the plugin list names every distribution that is there, with no failure, and not the absent one."""
    main = importlib.import_module("plugrad.cli").main
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(["plugins"])
    text = output.getvalue()
    wanted = [name.replace("_", "-") for name in names]
    missing = [name for name in wanted if name not in text]
    if status or missing or "failed" in text.lower():
        raise SystemExit(f"`plugrad plugins` ended with {status}; not listed: {missing}; it said:\n{text}")
    if absent and absent.replace("_", "-") in text:
        raise SystemExit(f"`plugrad plugins` lists {absent}, which is not installed:\n{text}")


def derivative() -> None:
    """Differentiate on every backend that is available: d(x*x)/dx = 2x."""
    plugrad = importlib.import_module("plugrad")
    devices = ["numpy", *(["cpu"] if importlib.util.find_spec("plugrad_cpu") else [])]
    for device in devices:
        x = plugrad.asarray([1.0, 2.0, 3.0], device=device)
        slope = plugrad.grad(lambda v: plugrad.sum(v * v))(x)
        if slope.tolist() != [2.0, 4.0, 6.0]:
            raise SystemExit(f"the derivative of x*x on {device} is {slope.tolist()}, not [2, 4, 6]")


def main() -> None:
    """Do all of it, warnings being errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--absent", help="a package that must not be importable")
    parser.add_argument("packages", nargs="+")
    options = parser.parse_args()
    warnings.simplefilter("error")
    if options.absent and importlib.util.find_spec(options.absent):
        raise SystemExit(f"{options.absent} is importable although it was removed")
    imports(options.packages)
    listing(options.packages, options.absent)
    derivative()


if __name__ == "__main__":
    main()
