"""The calls of scikit-learn that are tried: each a function of a namespace's ``asarray`` that gives what it found.

The data are the handwritten digits in float64. Lists of calls with the same names are kept by others for their own
arrays, so what comes back can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, RidgeCV
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    d2_tweedie_score,
    explained_variance_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    median_absolute_error,
    pairwise,
    precision_score,
    r2_score,
    roc_auc_score,
    zero_one_loss,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KernelCenterer,
    LabelBinarizer,
    LabelEncoder,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils._array_api import get_namespace_and_device, move_to

Make = Callable[[Any], Any]
"""An array of the library under test from one of NumPy's."""

_images, _labels = load_digits(return_X_y=True)
IMAGES, LABELS = _images[:400].astype(np.float64), _labels[:400]
PIXELS = IMAGES[:, 18:30]
"""A few columns, none of them constant."""
BINARY = (LABELS % 2).astype(np.int64)
SCORES = 1 / (1 + np.exp(-(PIXELS[:, 0] - 8) / 4))
GUESSED = np.where(np.arange(400) % 7 == 0, (LABELS + 1) % 10, LABELS)
TARGET = PIXELS @ np.linspace(-1, 1, 12) + 0.1 * LABELS
NEAR = TARGET + np.sin(np.arange(400.0))


def fitted(estimator: Any, method: str, make: Make, *, x: np.ndarray, y: np.ndarray | None = None) -> Any:
    """What ``method`` of an estimator gives for the data it was fitted to."""
    data = make(x)
    return getattr(estimator.fit(data, None if y is None else make(y)), method)(data)


def transformed(estimator: Any, make: Make) -> Any:
    return fitted(estimator, "transform", make, x=PIXELS)


def metric(f: Any, truth: np.ndarray, guess: np.ndarray, make: Make, **options: Any) -> Any:
    return f(make(truth), make(guess), **options)


def centred_kernel(make: Make) -> Any:
    kernel = make(PIXELS @ PIXELS.T)
    return KernelCenterer().fit(kernel).transform(kernel)


def searched(make: Make) -> Any:
    search = GridSearchCV(Ridge(solver="svd"), {"alpha": [0.1, 1.0]}, cv=3)
    return fitted(search, "predict", make, x=PIXELS, y=TARGET)


def crossed(make: Make) -> Any:
    return cross_val_score(LinearDiscriminantAnalysis(), make(PIXELS), make(LABELS), cv=3)


def to_numpy(make: Make) -> Any:
    return move_to(make(PIXELS), xp=np, device="cpu")


def other_library() -> Any:
    """A third library, to move to and from."""
    try:
        import torch
    except ImportError:
        import array_api_strict

        return array_api_strict
    return torch


def to_another(make: Make) -> Any:
    xp, _, device = get_namespace_and_device(other_library().asarray(PIXELS))
    return np.asarray(move_to(make(PIXELS), xp=xp, device=device))


def from_another(make: Make) -> Any:
    xp, _, device = get_namespace_and_device(make(PIXELS))
    return move_to(other_library().asarray(PIXELS), xp=xp, device=device)


def mixed_fit(make: Make) -> Any:
    return StandardScaler().fit(PIXELS).transform(make(PIXELS))


def undispatched(estimator: Any, make: Make) -> Any:
    with sklearn.config_context(array_api_dispatch=False):
        return fitted(estimator, "predict", make, x=PIXELS, y=LABELS)


CALLS: dict[str, Callable[[Make], Any]] = {
    "PCA": partial(transformed, PCA(3, svd_solver="full")),
    "PCA randomized": partial(
        transformed, PCA(3, svd_solver="randomized", power_iteration_normalizer="QR", random_state=0)
    ),
    "Ridge": partial(fitted, Ridge(solver="svd"), "predict", x=PIXELS, y=TARGET),
    "RidgeCV": partial(fitted, RidgeCV(), "predict", x=PIXELS, y=TARGET),
    "RidgeClassifier": partial(fitted, RidgeClassifier(solver="svd"), "predict", x=PIXELS, y=LABELS),
    "LinearDiscriminantAnalysis": partial(fitted, LinearDiscriminantAnalysis(), "predict_proba", x=PIXELS, y=LABELS),
    "GaussianNB": partial(fitted, GaussianNB(), "predict_proba", x=PIXELS, y=LABELS),
    "Nystroem": partial(transformed, Nystroem(n_components=20, random_state=0)),
    "GaussianMixture": partial(
        fitted, GaussianMixture(2, init_params="random_from_data", random_state=0), "predict_proba", x=PIXELS
    ),
    "LogisticRegression": partial(
        fitted, LogisticRegression(max_iter=50, tol=1e-1), "predict_proba", x=PIXELS / 16, y=BINARY
    ),
    "StandardScaler": partial(transformed, StandardScaler()),
    "MinMaxScaler": partial(transformed, MinMaxScaler()),
    "MaxAbsScaler": partial(transformed, MaxAbsScaler()),
    "Normalizer": partial(transformed, Normalizer()),
    "Binarizer": partial(transformed, Binarizer(threshold=8.0)),
    "PolynomialFeatures": partial(transformed, PolynomialFeatures(2)),
    "RobustScaler": partial(transformed, RobustScaler()),
    "KernelCenterer": centred_kernel,
    "LabelEncoder": lambda make: LabelEncoder().fit(make(LABELS)).transform(make(LABELS)),
    "LabelBinarizer": lambda make: LabelBinarizer().fit_transform(make(LABELS)),
    "train_test_split": lambda make: train_test_split(make(PIXELS), make(LABELS), random_state=0),
    "pipeline": partial(transformed, make_pipeline(StandardScaler(), PCA(3, svd_solver="full"))),
    "GridSearchCV": searched,
    "cross_val_score": crossed,
    "accuracy_score": partial(metric, accuracy_score, LABELS, GUESSED),
    "zero_one_loss": partial(metric, zero_one_loss, LABELS, GUESSED),
    "confusion_matrix": partial(metric, confusion_matrix, LABELS, GUESSED),
    "f1_score": partial(metric, f1_score, LABELS, GUESSED, average="macro"),
    "precision_score": partial(metric, precision_score, LABELS, GUESSED, average="macro"),
    "balanced_accuracy_score": partial(metric, balanced_accuracy_score, LABELS, GUESSED),
    "roc_auc_score": partial(metric, roc_auc_score, BINARY, SCORES),
    "log_loss": partial(metric, log_loss, BINARY, SCORES),
    "mean_squared_error": partial(metric, mean_squared_error, TARGET, NEAR),
    "r2_score": partial(metric, r2_score, TARGET, NEAR),
    "mean_absolute_error": partial(metric, mean_absolute_error, TARGET, NEAR),
    "median_absolute_error": partial(metric, median_absolute_error, TARGET, NEAR),
    "explained_variance_score": partial(metric, explained_variance_score, TARGET, NEAR),
    "d2_tweedie_score": partial(metric, d2_tweedie_score, np.abs(TARGET), np.abs(NEAR) + 1, power=1),
    "euclidean_distances": lambda make: pairwise.euclidean_distances(make(PIXELS)),
    "rbf_kernel": lambda make: pairwise.rbf_kernel(make(PIXELS)),
    "cosine_similarity": lambda make: pairwise.cosine_similarity(make(PIXELS)),
    "linear_kernel": lambda make: pairwise.linear_kernel(make(PIXELS)),
    "manhattan_distances": lambda make: pairwise.manhattan_distances(make(PIXELS[:50])),
    "KMeans": partial(fitted, KMeans(3, n_init=1, random_state=0), "predict", x=PIXELS),
    "RandomForestClassifier": partial(fitted, RandomForestClassifier(5, random_state=0), "predict", x=PIXELS, y=LABELS),
    "move to NumPy": to_numpy,
    "move to another library": to_another,
    "move from another library": from_another,
    "fitted to NumPy, used on ours": mixed_fit,
    "a metric of NumPy and ours": lambda make: mean_squared_error(TARGET, make(NEAR)),
    "LogisticRegression without dispatch": partial(undispatched, LogisticRegression(max_iter=50, tol=1e-1)),
    "RandomForestClassifier without dispatch": partial(undispatched, RandomForestClassifier(5, random_state=0)),
}
