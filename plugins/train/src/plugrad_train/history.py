"""What a run measured: one row of named numbers for each epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


class History:
    """Rows in the order of epochs; ``history["loss"]`` is a column.

    The loop writes ``loss``, the metrics, their ``validation_`` twins, ``learning_rate``, ``seconds`` and
    ``images_per_second``.

    >>> history = History([{"loss": 2.0}, {"loss": 1.0, "accuracy": 0.5}])
    >>> history["loss"], history.last["accuracy"], history.names()
    ([2.0, 1.0], 0.5, ['loss', 'accuracy'])
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self.rows: list[dict[str, float]] = [dict(row) for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    def __contains__(self, name: object) -> bool:
        return any(name in row for row in self.rows)

    def __getitem__(self, name: str) -> list[float]:
        """The column ``name``, NaN where an epoch lacks it; raises ``KeyError`` that lists the columns if no epoch
        has it."""
        if name not in self:
            raise KeyError(f"History: no column {name!r}; there are {', '.join(self.names()) or 'no epochs yet'}")
        return [row.get(name, float("nan")) for row in self.rows]

    def names(self) -> list[str]:
        """The columns, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def last(self) -> dict[str, float]:
        """The row of the last epoch; empty before the first."""
        return self.rows[-1] if self.rows else {}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v:.4g}" for k, v in self.last.items())
        return f"History({len(self)} epochs{'; last: ' + shown if shown else ''})"
