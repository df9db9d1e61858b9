"""An augmentation from a user's own file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.errors import UserError

Load = Callable[..., DataSet]

NOISE = """
import torch

def noise(images, generator):
    assert images.dtype == torch.float32 and images.max() > 15
    return images + torch.randn(images.shape, generator=generator)

def smaller(images, generator):
    return images[:, :, 1:]
"""


@pytest.fixture
def name(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(NOISE)
    return f"{tmp_path}/mine.py:noise"


def passes(data: DataSet, **more: int) -> list[torch.Tensor]:
    return [args[0] for (args, _), _ in data.train.batches(64, generator=torch.Generator().manual_seed(0), **more)]


def test_it_changes_shuffled_training_batches_alone(name: str, load_on_cpu: Load) -> None:
    plain, noisy = load_on_cpu("digits"), load_on_cpu("digits", augment_with=name)
    std = noisy.description["std"][0]
    difference = (passes(noisy)[0] - passes(plain)[0]) * std
    assert difference.std().item() == pytest.approx(1, abs=0.05)
    for part in ("train", "validation", "test"):
        (((one,), _), _), (((other,), _), _) = (next(getattr(data, part).batches(64)) for data in (plain, noisy))
        assert torch.equal(one, other)


@pytest.mark.parametrize("augment", ["none", "flip-crop"])
def test_the_same_seed_gives_the_same_batches_also_after_a_skip(name: str, load_on_cpu: Load, augment: str) -> None:
    data = load_on_cpu("digits", augment_with=name, augment=augment)
    first, second, later = passes(data), passes(data), passes(data, skip=3)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first[3:], later, strict=True))
    assert not torch.equal(first[0], first[1])


def test_what_a_function_may_not_return(name: str, load_on_cpu: Load) -> None:
    data = load_on_cpu("digits", augment_with=name.replace(":noise", ":smaller"))
    with pytest.raises(UserError, match=r"the augmentation returned \(64, 1, 7, 8\)[\s\S]*\(64, 1, 8, 8\)"):
        passes(data)


@pytest.mark.parametrize(
    ("changed", "said"),
    [(":other", "'other' is not a function"), ("2:noise", "is no file"), ("2.py:noise", "no file")],
)
def test_a_name_without_a_function_is_refused(name: str, load_on_cpu: Load, changed: str, said: str) -> None:
    wrong = name.replace(":noise", ":other") if changed == ":other" else name.replace(".py:noise", changed)
    with pytest.raises(UserError, match=said):
        load_on_cpu("digits", augment_with=wrong)
