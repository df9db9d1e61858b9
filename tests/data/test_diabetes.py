from collections.abc import Callable

import numpy as np
import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.errors import UserError
from tests.data.sources import unpacked

load_diabetes = pytest.importorskip("sklearn.datasets").load_diabetes


def test_the_splits_are_scikit_learns_rows_each_once_in_the_datas_units(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("diabetes")
    assert (data.shape, data.classes, data.objective, data.target.size) == ((10,), 0, "regression", 1)
    parts = [data.train, data.validation, data.test]
    assert [len(part) for part in parts] == [319, 35, 88]
    mean, (scale,) = data.description["target"]["mean"], data.target.scale
    found = torch.cat([target for part in parts for target in part.targets()])[:, 0] * scale + mean
    assert np.allclose(sorted(found.tolist()), sorted(load_diabetes(scaled=False).target), atol=1e-2)


def test_only_the_training_rows_set_the_scale(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("diabetes", limit=200)
    ((inputs, targets),) = unpacked(data.train.batches(200))
    assert (targets.dtype, targets.shape, inputs.shape) == (torch.float32, (200, 1), (200, 10))
    for values in (inputs, targets):
        assert values.mean(0).abs().max() < 1e-5 and (values.std(0, correction=0) - 1).abs().max() < 1e-4
    test = torch.cat(list(data.test.targets()))
    assert test.mean().abs() > 1e-3 and len(test) == len(data.test) == 88


def test_image_options_are_refused(load_on_cpu: Callable[..., DataSet]) -> None:
    with pytest.raises(UserError, match="unknown argument 'resize'"):
        load_on_cpu("diabetes", resize=4)
