from collections.abc import Callable

import pytest

from grape_bench.data import DataSet
from grape_bench.errors import UserError

Load = Callable[..., DataSet]


def test_the_class_is_the_order_of_the_two_symbols(load_on_cpu: Load) -> None:
    data = load_on_cpu("temporal_order", length=20, samples=100)
    (_, named), labels = next(data.train.batches(100))
    for ids, label in zip(named["input_ids"].tolist(), labels.tolist(), strict=True):
        first, second = (one - 4 for one in ids if one >= 4)
        assert label == 2 * first + second
    assert (data.classes, data.vocabulary) == (4, 6)


def test_a_sequence_has_ten_steps_or_more(load_on_cpu: Load) -> None:
    with pytest.raises(UserError, match="length = 9"):
        load_on_cpu("temporal_order", length=9)
