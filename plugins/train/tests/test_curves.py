"""Pictures: they are drawn, and show what they should."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from plugrad.errors import ShapeError
from plugrad_train import History, MissingExtraError, plot_history, plot_predictions

to_rgba = pytest.importorskip("matplotlib.colors", reason="matplotlib is not installed").to_rgba
figure_module = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = figure_module.Figure.savefig

    def keep(self, *args, **kwargs):
        figures.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(figure_module.Figure, "savefig", keep)
    return figures


ROWS = [
    {
        "loss": 2.0,
        "accuracy": 0.2,
        "validation_loss": 2.2,
        "validation_accuracy": 0.1,
        "learning_rate": 0.1,
        "seconds": 1.0,
    },
    {
        "loss": 1.0,
        "accuracy": 0.6,
        "validation_loss": 1.4,
        "validation_accuracy": 0.5,
        "learning_rate": 0.1,
        "images_per_second": 5.0,
    },
]


def is_png(path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_learning_curves(tmp_path, drawn):
    plot_history(History(ROWS), tmp_path / "curve.png")
    assert is_png(tmp_path / "curve.png")
    panels = drawn[0].axes
    assert [axes.get_title() for axes in panels] == ["loss", "accuracy"]
    lines = {line.get_label(): line.get_ydata().tolist() for line in panels[0].lines}
    assert lines == {"training": [2.0, 1.0], "validation": [2.2, 1.4]}
    assert panels[1].lines[0].get_xdata().tolist() == [1, 2]


def test_learning_curves_from_a_dict(tmp_path, drawn):
    plot_history({"loss": [1.0, 2.0, 3.0]}, str(tmp_path / "curve.png"))
    assert len(drawn[0].axes) == 1 and len(drawn[0].axes[0].lines) == 1


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="plot_history: the history is empty"):
        plot_history(History(), tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5), (3, 6, 5)])
def test_predictions_are_marked(tmp_path, drawn, shape):
    images = np.random.default_rng(0).uniform(size=(7, *shape)).astype(np.float32)
    plot_predictions(images, np.arange(7), np.array([0, 1, 9, 3, 4, 5, 8]), tmp_path / "p.png", limit=6, columns=4)
    assert is_png(tmp_path / "p.png")
    cells = drawn[0].axes
    assert [axes.get_title() for axes in cells] == ["0", "1", "9 (2)", "3", "4", "5", "", ""]
    assert drawn[0].get_supxlabel() == "title: predicted; red: wrong, true label in brackets. 5 of 7 right"
    framed = [axes.axison for axes in cells]
    assert framed == [False, False, True] + [False] * 5
    colours = [axes.title.get_color() for axes in cells[:6]]
    assert len(set(colours)) == 2 and colours.count(colours[2]) == 1
    assert cells[2].spines["top"].get_edgecolor() == to_rgba(colours[2])
    assert [len(axes.images) for axes in cells] == [1] * 6 + [0, 0]
    shown = np.asarray(cells[1].images[0].get_array())
    np.testing.assert_array_equal(shown, np.moveaxis(images[1], 0, -1) if shape[0] == 3 else images[1].reshape(6, 5))


def test_names_of_classes(tmp_path, drawn):
    plot_predictions(np.zeros((2, 3, 3)), [0, 1], [0, 0], tmp_path / "p.png", names=["cat", "dog"])
    assert [axes.get_title() for axes in drawn[0].axes] == ["cat", "cat (dog)"]


@pytest.mark.parametrize(
    ("images", "labels", "predicted", "message"),
    [
        (np.zeros((2, 9)), [0, 1], [0, 1], r"images have shape \(2, 9\)"),
        (np.zeros((2, 2, 3, 3)), [0, 1], [0, 1], r"images have shape \(2, 2, 3, 3\)"),
        (np.zeros((2, 3, 3)), [0, 1, 2], [0, 1], r"2 images, labels \(3,\), predicted \(2,\)"),
        (np.zeros((2, 3, 3)), [0, 1], [[0], [1]], r"predicted \(2, 1\)"),
        (np.zeros((0, 3, 3)), [], [], "at least one"),
    ],
)
def test_shapes_that_do_not_fit(tmp_path, images, labels, predicted, message):
    with pytest.raises(ShapeError, match=f"^plot_predictions: .*{message}"):
        plot_predictions(images, labels, predicted, tmp_path / "p.png")


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingExtraError, match=r"^plot_history: matplotlib is not installed; pip install 'plugrad-train\[plot\]'"
    ):
        plot_history(History(ROWS), tmp_path / "curve.png")


def test_matplotlib_is_imported_late_and_left_alone(tmp_path):
    script = f"""
import sys
import plugrad_train
assert not any(name.split(".")[0] in ("matplotlib", "tqdm") for name in sys.modules)
plugrad_train.plot_history({{"loss": [1.0, 2.0]}}, {str(tmp_path / "c.png")!r})
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
