from collections.abc import Callable

import torch

from grape_bench.data import DataSet
from grape_bench.objectives.target import IGNORED


def test_the_last_ten_targets_are_the_first_ten_tokens(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("copy", length=5, samples=50, limit=20)
    (_, named), target = next(data.train.batches(20))
    ids = named["input_ids"]
    assert torch.equal(ids[:, :10], target[:, -10:])
    assert (target[:, :-10] == IGNORED).all()
    assert ids[0, 10:].tolist() == [0, 0, 0, 0, 9, *[0] * 10]
    assert (data.shape, data.vocabulary, data.classes) == ((25,), 10, 10)
    assert len(data.train) == sum(int((one != IGNORED).sum()) for one in data.train.targets()) == 200
