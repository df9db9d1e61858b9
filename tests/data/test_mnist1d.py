from collections.abc import Callable

import numpy as np
import torch

from grape_bench.data import DataSet
from grape_bench.data.mnist1d import TEMPLATES, generate
from tests.data.sources import unpacked


def test_shape_and_sizes(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("mnist1d")
    assert (data.shape, data.classes) == ((40,), 10)
    assert data.description["sizes"] == {"train": 3599, "validation": 401, "test": 1000}
    inputs = torch.cat([inputs for inputs, _ in unpacked(data.train.batches(500))])
    assert inputs.shape == (3599, 40)
    assert inputs.mean().abs() < 1e-5
    assert (inputs.std() - 1).abs() < 1e-3


def test_every_call_draws_the_same_signals() -> None:
    first, second = generate(), generate()
    assert np.array_equal(first[0], second[0])
    assert np.bincount(first[1]).tolist() == [500] * 10


def test_the_signals_are_hard_for_a_linear_classifier_and_not_noise() -> None:
    """The paper's logistic regression is right on 32 %; chance is 10 %."""
    signals, labels = generate()
    inputs = np.concatenate([signals, np.ones((len(signals), 1))], axis=1)
    weights = np.linalg.lstsq(inputs[:4000], np.eye(10)[labels[:4000]], rcond=None)[0]
    accuracy = (np.argmax(inputs[4000:] @ weights, axis=1) == labels[4000:]).mean()
    assert 0.2 < accuracy < 0.45
    assert TEMPLATES.shape == (10, 12)
