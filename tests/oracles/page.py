"""Run the comparison, print what is wrong, and write the page docs/oracles.md.

Runs in an environment that has plugrad and both peers; ``tools/oracles`` makes one. The exit status is 1 if something
disagrees without a reason.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
import torch
from compare import DTYPES, Measured, apart, corner, measure, promotions
from measures import QUANTITIES, Difference, Key, reason, unknown
from reasons import EXEMPT, REASONS
from table import ROWS

import plugrad as pg

PAGE = Path(__file__).resolve().parents[2] / "docs" / "oracles.md"
PAIRING = 1e-9
DIFFERENCED = 1e-7
PEERS = ("torch", "jax")
HEAD = """# Against PyTorch and JAX

Every differentiable public function, in float64 and complex128 on `numpy`, against PyTorch {torch} and JAX {jax}
(NumPy {numpy}): its value, its vjp at a random cotangent, its jvp at a random tangent, and the second derivative, the
gradient of ⟨vjp, t⟩. The page is written by `tools/oracles` from the tables in `tests/oracles`, where a function is one
line, and a public function without a line is an error. A dash stands for a function or a derivative that the peer does
not have.

## Conventions

- **Complex numbers.** A cotangent pairs with a tangent by Re⟨g, t⟩, so `x - lr * grad` descends. This is PyTorch's
  convention; JAX's is its conjugate, and its cotangents are conjugated here on both sides before they are compared.
- **Ties.** Equal extrema share the cotangent, in `max` and `min` of many elements and in `maximum` and `minimum` of
  two, so in `clip` at a bound too. In `nn.max_pool2d` the first largest element of a window gets it, as in PyTorch.
- **Kinks.** The derivative of `abs` at 0 is 0, that of `nn.relu` is 0, and that of `nn.leaky_relu` the slope. Norms,
  `hypot` and `atan2` have the derivative 0 at 0. That of `nextafter` in x is 1: it differs from x by a rounding.
- **NaN and infinity.** A derivative is NaN or infinite where its formula is: `x ** p` at 0 is infinitely steep for
  p < 1, so that the gradient of `sum(abs(x) ** p)` is NaN there, and that of `std` where all elements are equal.
  `safe_where` keeps a function from such points. The gradient of an extremum goes to NaN where there is any.

## Largest differences

Relative to the largest number of the result where that is above 1. The last columns are of plugrad alone:
|⟨g, Jt⟩ - ⟨Jᵀg, t⟩|, which must be at most {pairing:.0e}, and how far the jvp and the second derivative are from
differences of values and of vjps, at most {differenced:.0e} and mostly the error of those.
"""
CORNERS = """Values, vjp and jvp at zeros of both signs, infinities, NaN, huge and tiny numbers, every pair of these for
functions of two operands, ties, no elements and no axes, with cotangents and tangents of ones. They agree but for what
follows, which has the rows, too, that differ at the regular inputs of the table above.
"""


def figure(error: float | None) -> str:
    """An error in a cell."""
    return "–" if error is None else "0" if error == 0 else f"{error:.0e}"


def regular(found: dict[str, Measured]) -> Iterable[str]:
    """The table of differences."""
    columns = [f"{peer} {quantity}" for peer in PEERS for quantity in QUANTITIES]
    yield f"| function | {' | '.join(columns)} | pairing | differences |"
    yield "|---|" + "--:|" * (2 * len(QUANTITIES) + 2)
    for name, one in found.items():
        cells = [figure(error) for peer in PEERS for error in one.errors[peer]]
        yield f"| `{name}` | {' | '.join(cells)} | {figure(one.paired)} | {figure(one.differenced)} |"


def corners(grouped: dict[Key, list[Difference]]) -> Iterable[str]:
    """The table of reasons, with how many inputs differ and the first of them."""
    yield "| function | derivative | peer | first of so many | plugrad | peer's | reason |"
    yield "|---|---|---|---|---|---|---|"
    for key, differences in grouped.items():
        name, quantities, peer, _ = key
        first = differences[0]
        at = f"`{first.at}` of {len(differences)}"
        which = f"`{name}` | {quantities.replace(' ', ', ')} | {peer}"
        yield f"| {which} | {at} | `{first.ours}` | `{first.theirs}` | {REASONS[key]} |"


def page(found: dict[str, Measured], grouped: dict[Key, list[Difference]]) -> str:
    """The whole page."""
    versions = {"torch": torch.__version__.partition("+")[0], "jax": jax.__version__, "numpy": np.__version__}
    lines = [HEAD.format(**versions, pairing=PAIRING, differenced=DIFFERENCED), *regular(found), "", "## Corners", ""]
    lines += [
        CORNERS,
        *corners(grouped),
        "",
        "## Promotion",
        "",
        f"The dtype of a sum of two dtypes, for every pair of {DTYPES.replace(' ', ', ')}:",
    ]
    other = [f"- {one} and {two}: {ours} here, {a} in torch, {b} in JAX" for one, two, ours, a, b in promotions()]
    lines += ["", *(other or ["the three agree."]), "", "## Without a row", ""]
    lines += [f"- {why}: {', '.join([f'`{name}`' for name in names.split()])}" for why, names in EXEMPT.items()]
    return "\n".join(lines) + "\n"


def wrong(name: str, one: Measured) -> Iterable[str]:
    """What is wrong with plugrad's derivatives among themselves."""
    if not one.paired <= PAIRING:
        yield f"{name}: <g, Jt> and <J*g, t> are {one.paired:.1e} apart"
    if one.differenced is not None and one.differenced > DIFFERENCED:
        yield f"{name}: derivatives are {one.differenced:.1e} from differences"


def main() -> int:
    """Compare, report, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these functions; the page is not written")
    names = parser.parse_args().names
    warnings.simplefilter("ignore")  # of the peers
    faults, found = unknown(ROWS, " ".join(EXEMPT.values()).split()), {}
    grouped: dict[Key, list[Difference]] = {key: [] for key in REASONS}
    with pg.device("numpy"):
        for name, row in ROWS.items():
            if names and name.split()[0] not in names:
                continue
            try:
                found[name] = one = measure(row)
                differences = [*apart(name, row, one), *[d for x in row.corners for d in corner(name, row, x)]]
            except Exception as error:  # anything: the other rows are to be seen too
                faults.append(f"{name}: {type(error).__name__}: {error}")
                continue
            faults += wrong(name, one)
            for difference in differences:
                key = reason(difference, REASONS)
                if key is None:
                    faults.append("{}: {} differs from {}'s ({}) at {}: {}, there {}".format(*difference))
                else:
                    grouped[key].append(difference)
    faults += [f"{key}: a reason for no difference" for key, these in grouped.items() if not these and not names]
    print("\n".join(faults) or f"{len(found)} rows agree", file=sys.stderr if faults else sys.stdout)
    if not faults and not names:
        with pg.device("numpy"):
            PAGE.write_text(page(found, grouped), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
