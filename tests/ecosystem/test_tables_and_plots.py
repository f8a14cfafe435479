"""pandas and matplotlib take tensors as the numbers that they are."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas
import pytest

import plugrad as pg

matplotlib.use("Agg")
from matplotlib import pyplot

X = np.linspace(0.0, 1.0, 20)


def test_a_series_is_floating() -> None:
    series = pandas.Series(pg.asarray(X))
    assert series.dtype == np.float64
    np.testing.assert_array_equal(series.to_numpy(), X)


def test_a_frame_from_a_matrix_and_from_columns() -> None:
    frame = pandas.DataFrame(pg.asarray(X.reshape(5, 4)), columns=list("abcd"))
    assert (frame.dtypes == np.float64).all()
    frame = frame.assign(e=pg.asarray(X[:5]), f=pg.asarray(np.arange(5)))
    assert frame["e"].dtype == np.float64 and frame["f"].dtype == np.int64
    columns = pandas.DataFrame({"x": pg.asarray(X), "y": pg.asarray(X.astype("float32"))})
    assert list(columns.dtypes) == [np.float64, np.float32]


def test_a_frame_becomes_a_tensor() -> None:
    frame = pandas.DataFrame({"x": X, "y": X})
    found = pg.asarray(frame.to_numpy())
    assert found.shape == (20, 2) and found.dtype == np.float64
    assert pg.asarray(frame["x"]).shape == (20,)


def test_selecting_rows() -> None:
    series = pandas.Series(X)
    assert len(series[np.asarray(pg.asarray(X) > 0.5)]) == 10
    assert series.iloc[np.asarray(pg.asarray([0, 2]))].tolist() == [X[0], X[2]]


def test_what_is_recorded_is_not_taken_apart() -> None:
    x = pg.asarray(X).requires_grad_()
    with pytest.raises(pg.errors.RecordingError, match="detach"):
        pandas.Series(x * 2)


def test_plots(tmp_path: Path) -> None:
    x, y = pg.asarray(X), pg.asarray(X) ** 2
    figure, axes = pyplot.subplots(2, 3)
    (line,) = axes[0, 0].plot(x, y)
    np.testing.assert_array_equal(line.get_ydata(), X**2)
    axes[0, 1].scatter(x, y, c=y)
    heights, _, _ = axes[0, 2].hist(x, bins=4)
    np.testing.assert_array_equal(heights, [5, 5, 5, 5])
    bars = axes[1, 0].bar(pg.arange(3), pg.asarray([1.0, 2.0, 3.0]))
    assert [bar.get_height() for bar in bars] == [1.0, 2.0, 3.0]
    image = axes[1, 1].imshow(pg.asarray(X.reshape(4, 5)))
    np.testing.assert_array_equal(np.asarray(image.get_array()), X.reshape(4, 5))
    axes[1, 2].fill_between(x, y)
    figure.savefig(tmp_path / "figure.png")
    pyplot.close(figure)
    assert (tmp_path / "figure.png").stat().st_size > 1000
