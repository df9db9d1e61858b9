"""Mixup and CutMix: mixed images with mixed labels, in shuffled training batches alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench.data import DataSet
from grape_bench.data.mix import Mix
from grape_bench.errors import UserError
from grape_bench.job.run import check
from grape_bench.job.setup import load_data, make_trainer
from tests.job.jobs import job

Load = Callable[..., DataSet]


def batches(data: DataSet, **more: int) -> list[tuple[Tensor, Tensor]]:
    found = data.train.batches(64, generator=torch.Generator().manual_seed(0), **more)
    return [(args[0], target) for (args, _), target in found]


def test_a_hand_worked_mix() -> None:
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    mixed, shares = Mix(mixup=1.0, cutmix=0.0, classes=3)(images, torch.tensor([0, 2]), seed=0)
    share = mixed[1, 0, 0, 0]  # of the white image in the second mix
    assert 0 < share < 1
    assert torch.allclose(mixed[0, 0], (1 - share).expand(4, 4)) and torch.allclose(mixed[1, 0], share.expand(4, 4))
    assert torch.allclose(
        shares,
        torch.stack(
            [
                share * F.one_hot(torch.tensor(2 * i), 3) + (1 - share) * F.one_hot(torch.tensor(2 - 2 * i), 3)
                for i in (0, 1)
            ]
        ),
    )


def test_cutmix_pastes_a_rectangle_whose_area_is_the_share() -> None:
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    mixed, shares = Mix(mixup=0.0, cutmix=1.0, classes=2)(images, torch.tensor([0, 1]), seed=1)
    assert set(mixed.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(mixed[1].mean(), shares[1, 1])


@pytest.mark.parametrize("args", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_the_same_seed_gives_the_same_batches_also_after_a_skip(args: dict[str, float], load_on_cpu: Load) -> None:
    data = load_on_cpu("digits", **args)
    first, second, later = batches(data), batches(data), batches(data, skip=3)
    for (a, b), (c, d) in zip((*first, *first[3:]), (*second, *later), strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)
    assert first[0][1].shape == (64, 10) and torch.allclose(first[0][1].sum(1), torch.ones(64))
    assert all(target.dtype is torch.int64 for _, target in data.train.batches(64))
    assert "mixup" in data.description or "cutmix" in data.description


def test_the_global_generator_is_left_alone(load_on_cpu: Load) -> None:
    data = load_on_cpu("digits", mixup=0.8)
    torch.manual_seed(0)
    batches(data)
    found = torch.rand(())
    torch.manual_seed(0)
    assert found == torch.rand(())


def test_bp_learns_from_shares_as_a_plain_loop_does() -> None:
    one = job(dataset_args={"mixup": 0.8, "cutmix": 1.0}, optimizer={"name": "sgd", "lr": 0.1})
    data = load_data(one, torch.device("cpu"))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    plain.load_state_dict(model.state_dict())
    trainer = make_trainer(one, model, data, "bp", {})
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    for images, shares in batches(data)[:3]:
        trainer.step(((images,), {}), shares)
        optimizer.zero_grad()
        F.cross_entropy(plain(images), shares).backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rule": "drtp"}, "rule 'drtp' cannot learn from mixed samples"),
        ({"dataset_args": {"mixup": -1.0}}, "mixup"),
    ],
)
def test_what_cannot_learn_from_mixed_samples(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(job(**{"dataset_args": {"mixup": 0.8}, **changes}))


def test_a_loss_that_takes_no_shares(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from grape_bench.objectives.classification import Classification\n"
        "class Margin(Classification):\n"
        "    shares = False\n"
    )
    with pytest.raises(UserError, match=r"objective '.*Margin' cannot learn from mixed samples"):
        check(job(objective=f"{tmp_path}/mine.py:Margin", dataset_args={"mixup": 0.8}))
