import numpy as np
import pytest

from grape_bench.data.options import ImageOptions
from grape_bench.data.partition import check_labels, stratified_cut, train_and_validation
from grape_bench.errors import UserError

LABELS = np.repeat([0, 1, 2], [100, 50, 10])


def test_a_cut_takes_its_share_of_every_class() -> None:
    kept, cut = stratified_cut(LABELS, 0.1)
    assert np.bincount(LABELS[cut]).tolist() == [10, 5, 1]
    assert sorted([*kept, *cut]) == list(range(160))


def test_both_sides_of_a_cut_keep_the_order_of_the_permutation() -> None:
    """The example in the comment of `stratified_cut`."""
    kept, cut = stratified_cut(np.array([0, 0, 1, 1]), 0.5)
    assert (kept.tolist(), cut.tolist()) == ([3, 0], [2, 1])


def test_the_cut_is_the_same_in_every_version() -> None:
    assert stratified_cut(np.zeros(10, dtype=np.int64), 0.3)[1].tolist() == [2, 8, 4]


def test_validation_does_not_depend_on_limit() -> None:
    full = train_and_validation(LABELS, has_validation=False, options=ImageOptions())
    limited = train_and_validation(LABELS, has_validation=False, options=ImageOptions(limit=7))
    assert np.array_equal(full[1], limited[1])
    assert np.array_equal(full[0][:7], limited[0])


def test_nothing_is_cut_if_the_source_has_a_validation_split() -> None:
    train, validation = train_and_validation(LABELS, has_validation=True, options=ImageOptions())
    assert (len(train), len(validation)) == (160, 0)
    with pytest.raises(UserError, match="already has a validation split"):
        train_and_validation(LABELS, has_validation=True, options=ImageOptions(validation=0.2))


def test_a_cut_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="leaves 4 for training and 0 for validation"):
        stratified_cut(np.array([0, 0, 1, 1]), 0.1)


@pytest.mark.parametrize("labels", [[0, -1, 1], [0, 1, 2]])
def test_labels_out_of_range_are_refused(labels: list[int]) -> None:
    with pytest.raises(UserError, match="1 of 3 labels are out of range"):
        check_labels(np.array(labels), 2, where="test split")
