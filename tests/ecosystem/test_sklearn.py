"""scikit-learn's array API dispatch takes plugrad's tensors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sklearn
from calls import judge_unless, passing
from sklearn_calls import CALLS

MISSES = {
    "GaussianMixture": (
        "ill-defined empirical covariance",
        "writes through the view covariances[k, :, :]; a view of a tensor is a value",
    ),
    "roc_auc_score": (
        "diff: too many positional arguments",
        "gives diff a second positional argument and where one only, which the standard does not have",
    ),
    "KMeans": ("use different devices", "takes no arrays of the standard: mixes NumPy's with the data"),
    "RandomForestClassifier": (
        "bytes-like object is required",
        "takes no arrays of the standard: hands the data to compiled code",
    ),
}
"""All but the first fail for array-api-strict's arrays too."""


@pytest.fixture(autouse=True)
def dispatch() -> Iterator[None]:
    with sklearn.config_context(array_api_dispatch=True):
        yield


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name: str) -> None:
    judge_unless(name, CALLS, MISSES, rtol=1e-6)


def test_enough_calls_pass() -> None:
    assert len(CALLS) == 52
    assert passing(CALLS, MISSES) >= 48
