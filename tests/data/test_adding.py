from collections.abc import Callable

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.errors import UserError

Load = Callable[..., DataSet]


def test_the_target_is_the_sum_of_the_marked_numbers(load_on_cpu: Load) -> None:
    data = load_on_cpu("adding", length=10, samples=200)
    ((inputs,), _), target = next(data.train.batches(200))
    values, marks = inputs[:, 0], inputs[:, 1]
    assert torch.allclose((values * marks).sum(1, keepdim=True), target)
    assert (marks[:, :5].sum(1) == 1).all() and (marks[:, 5:].sum(1) == 1).all()
    assert (data.shape, data.objective) == ((2, 10), "regression")


def test_the_test_part_does_not_depend_on_the_training_part(load_on_cpu: Load) -> None:
    one, two = (load_on_cpu("adding", samples=samples) for samples in (100, 200))
    assert torch.equal(next(one.test.batches(9))[1], next(two.test.batches(9))[1])
    assert one.description["fingerprint"] != two.description["fingerprint"]


def test_a_sequence_needs_two_halves(load_on_cpu: Load) -> None:
    with pytest.raises(UserError, match="length = 1"):
        load_on_cpu("adding", length=1)
