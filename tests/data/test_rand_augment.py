"""RandAugment, as timm has it."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from grape_bench.data import DataSet
from grape_bench.data.rand_augment import rand_augment
from grape_bench.errors import UserError

Load = Callable[..., DataSet]
CONFIG = "rand-m9-mstd0.5-inc1"


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_gets_operations_of_its_own(channels: int) -> None:
    images = torch.randint(256, (channels, 16, 16)).expand(8, -1, -1, -1).float()
    augmentation = rand_augment(CONFIG, channels)
    changed = augmentation(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape and changed.dtype == torch.float32
    assert changed.min() >= 0 and changed.max() <= 255
    assert len({tuple(one.flatten().tolist()) for one in changed}) > 3
    assert torch.equal(changed, augmentation(images, torch.Generator().manual_seed(0)))


def test_no_operation_leaves_the_image_as_it_is() -> None:
    images = torch.randint(256, (4, 3, 8, 8)).float()
    assert torch.equal(rand_augment("rand-m9-p0.0", 3)(images, torch.Generator()), images)


def test_the_global_generators_are_left_alone(load_on_cpu: Load) -> None:
    data = load_on_cpu("digits", rand_augment=CONFIG)

    def drawn() -> tuple[float, float]:
        return random.random(), np.random.rand()

    random.seed(0), np.random.seed(0)
    plain = drawn()
    random.seed(0), np.random.seed(0)
    next(data.train.batches(64, generator=torch.Generator().manual_seed(0)))
    assert drawn() == plain


def first(data: DataSet) -> Tensor:
    (args, _), _ = next(data.train.batches(64, generator=torch.Generator().manual_seed(0)))
    return args[0]


def test_it_changes_shuffled_training_batches_alone(load_on_cpu: Load) -> None:
    plain, changed = load_on_cpu("digits"), load_on_cpu("digits", rand_augment=CONFIG)
    assert not torch.equal(first(plain), first(changed))
    (one, _), _ = next(plain.test.batches(64))
    (other, _), _ = next(changed.test.batches(64))
    assert torch.equal(one[0], other[0])
    assert changed.description["rand_augment"] == CONFIG
    assert changed.description["fingerprint"] == plain.description["fingerprint"]


@pytest.mark.parametrize("config", ["m9", "rand-bogus", "rand-tnonsense", "original"])
def test_what_timm_does_not_read(config: str) -> None:
    with pytest.raises(UserError, match=r"is no RandAugment[\s\S]*rand-m9-mstd0.5-inc1"):
        rand_augment(config, 3)
