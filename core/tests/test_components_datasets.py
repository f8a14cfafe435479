"""The kit's checks of datasets: right ones pass all of them, and every seeded fault is noticed."""

import pytest

import plugrad as pg
from plugrad.testing import DatasetSample, NotHere
from plugrad.testing.broken.datasets import DATASETS, EXAMPLE, HONEST, Rows
from plugrad.testing.broken.run import caught
from plugrad.testing.components.datasets import checks


@pytest.mark.parametrize("name", HONEST)
def test_right_datasets_pass(name):
    for check in checks(HONEST[name], "numpy"):
        check()


def test_names_kinds_and_subjects():
    found = {check.name: check for check in checks(HONEST["rows"], "numpy")}
    assert found["dataset.rows.slices"].subject == "rows" and found["dataset.rows.slices"].kind == "dataset"
    assert [c.name for c in checks(HONEST["rows"], "numpy", quick=True)] == list(found)


def test_data_that_are_not_here():
    for check in checks([DatasetSample("rows", {}, available=lambda: "no folder of data", make=Rows)], "numpy"):
        with pytest.raises(NotHere, match="no folder of data"):
            check()


def test_data_that_are_here_are_read_where_others_are_not():
    absent = DatasetSample("rows", {}, available=lambda: "no folder of data", make=Rows)
    here = DatasetSample("rows", length=8, make=Rows)
    for samples in ([absent, here], [here, absent]):
        (check,) = [c for c in checks(samples, "numpy") if c.name.endswith("length")]
        with pytest.raises(AssertionError, match="expected 8"):
            check()


def test_a_registered_dataset_is_made_by_name(monkeypatch):
    made = []
    monkeypatch.setattr(pg, "create", lambda kind, name, **config: made.append((kind, name)) or Rows(**config))
    for check in checks([DatasetSample("by_name", {"n": 7}, 7, EXAMPLE)], "numpy"):
        check()
    assert set(made) == {("dataset", "by_name")}


# -- seeded faults


@pytest.mark.parametrize("fault", DATASETS, ids=str)
def test_a_fault_is_noticed(fault):
    found = caught(fault, quick=True)
    assert fault.unnoticed(found) == []
    message = found[fault.caught_by[0]]
    assert all(words in message for words in (*fault.says, "broken")), message


def test_every_rule_has_a_fault():
    named = {name.rpartition(".")[2] for fault in DATASETS for name in fault.caught_by}
    assert {c.name.rpartition(".")[2] for c in checks(HONEST["rows"], "numpy")} == named


def test_names_and_descriptions():
    assert len({fault.name for fault in DATASETS}) == len(DATASETS)
    for fault in DATASETS:
        assert fault.kind == "dataset" and fault.name.startswith("dataset.")
        assert fault.what.endswith(".") and fault.says


def test_a_length_that_is_declared_wrong_is_noticed():
    (check,) = [c for c in checks([DatasetSample("rows", length=8, make=Rows)], "numpy") if c.name.endswith("length")]
    with pytest.raises(AssertionError, match="expected 8"):
        check()
