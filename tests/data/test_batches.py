import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from grape_bench.data import DataSet, batches
from grape_bench.data.batches import PADDING, OnDemandSplit, Transform, draw_augmentation, flip_crop
from tests.data.sources import unpacked
from tests.pretended import GPU, PretendedGPU


def shuffled(data: DataSet, size: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(unpacked(data.train.batches(size, generator=torch.Generator().manual_seed(seed))))


def same(first: list, second: list) -> bool:
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(first, second, strict=True))


@pytest.mark.parametrize("augment", ["none", "flip-crop"])
def test_a_seed_gives_the_same_batches_bit_for_bit(load_on_cpu: Callable[..., DataSet], augment: str) -> None:
    data = load_on_cpu("digits", augment=augment)
    assert same(shuffled(data, 64, 1), shuffled(load_on_cpu("digits", augment=augment), 64, 1))
    assert not same(shuffled(data, 64, 1), shuffled(data, 64, 2))


def test_a_second_epoch_has_another_order(load_on_cpu: Callable[..., DataSet]) -> None:
    generator = torch.Generator().manual_seed(0)
    train = load_on_cpu("digits").train
    first, second = (list(unpacked(train.batches(64, generator=generator))) for _ in range(2))
    assert not same(first, second)


def test_stopping_midway_does_not_change_the_next_epoch(load_on_cpu: Callable[..., DataSet]) -> None:
    train = load_on_cpu("digits", augment="flip-crop").train
    second = []
    for first_batches in (1, 20):
        generator = torch.Generator().manual_seed(0)
        first = train.batches(64, generator=generator)
        for _ in range(first_batches):
            next(first)
        second.append(list(unpacked(train.batches(64, generator=generator))))
    assert same(*second)


@pytest.mark.parametrize("skip", [0, 7, 20])
def test_the_batches_after_skip_are_those_of_the_whole_epoch(load_on_cpu: Callable[..., DataSet], skip: int) -> None:
    train = load_on_cpu("digits", augment="flip-crop").train
    whole, rest = (train.batches(64, generator=torch.Generator().manual_seed(0), skip=k) for k in (0, skip))
    batches = list(unpacked(whole))
    assert len(batches) == 20 and same(batches[skip:], list(unpacked(rest)))


def test_only_a_shuffled_epoch_drops_the_incomplete_last_batch(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=100)
    assert [len(labels) for _, labels in shuffled(data, 30, 0)] == [30, 30, 30]
    assert data.train.batch_count(30) == 3
    assert [len(labels) for _, labels in data.train.batches(30)] == [30, 30, 30, 10]


def test_an_incomplete_batch_stays_if_it_is_the_only_one(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=20)
    assert [len(labels) for _, labels in shuffled(data, 64, 0)] == [20]
    assert data.train.batch_count(64) == 1


def test_the_targets_are_those_of_the_batches_in_order(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=60)
    expected = torch.cat([labels for _, labels in data.train.batches(25)])
    for split in (data.train, data.for_process(1, 2).train):
        assert torch.equal(torch.cat(list(split.targets())), expected)


def test_a_shuffled_epoch_has_every_sample_once(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=60)
    in_order = torch.cat([inputs for inputs, _ in unpacked(data.train.batches(60))]).flatten(1)
    mixed = torch.cat([inputs for inputs, _ in shuffled(data, 20, 0)]).flatten(1)
    assert not torch.equal(in_order, mixed)
    assert torch.equal(in_order.sort(0).values, mixed.sort(0).values)


def test_the_global_generator_does_not_move(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", augment="flip-crop")
    before = torch.get_rng_state()
    shuffled(data, 64, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_shuffled_training_batches_are_augmented(load_on_cpu: Callable[..., DataSet]) -> None:
    plain, augmented = load_on_cpu("digits"), load_on_cpu("digits", augment="flip-crop")
    assert not same(shuffled(plain, 64, 0), shuffled(augmented, 64, 0))
    assert same(*(list(unpacked(data.train.batches(64))) for data in (plain, augmented)))
    for part in ("validation", "test"):
        passes = [
            list(unpacked(getattr(data, part).batches(64, generator=torch.Generator().manual_seed(0))))
            for data in (plain, augmented)
        ]
        assert same(*passes)


def test_the_batches_of_all_processes_together_are_the_joint_batches(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", augment="flip-crop", limit=48)
    joint = shuffled(data, 16, 0)
    shares = [shuffled(data.for_process(index, 2), 16, 0) for index in range(2)]
    for (inputs, labels), *halves in zip(joint, *shares, strict=True):
        for index, (share_inputs, share_labels) in enumerate(halves):
            assert torch.equal(share_inputs, inputs[index::2]) and torch.equal(share_labels, labels[index::2])


def reference(image: torch.Tensor, down: int, right: int, flip: int) -> torch.Tensor:
    """One image (C, H, W), step by step."""
    height, width = image.shape[1:]
    padded = F.pad(image.float()[None], (PADDING,) * 4, mode="reflect")[0]
    crop = padded[:, down : down + height, right : right + width]
    return crop.flip(2) if flip else crop


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 9)])
def test_augmenting_a_batch_equals_augmenting_one_image_at_a_time(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, (50, *shape), dtype=torch.uint8)
    draws = draw_augmentation(50, torch.Generator().manual_seed(0))
    result = flip_crop(images, draws)
    assert result.dtype == torch.uint8
    for image, after, offsets in zip(images, result, draws.T.tolist(), strict=True):
        assert torch.equal(after.float(), reference(image, *offsets))


def test_reflected_columns_of_a_row() -> None:
    """The example in the comment of `flip_crop`."""
    row = torch.arange(8).expand(1, 1, 8, 8)
    for flip, expected in ((0, [3, 2, 1, 0, 1, 2, 3, 4]), (1, [4, 3, 2, 1, 0, 1, 2, 3])):
        assert flip_crop(row, torch.tensor([[4], [1], [flip]]))[0, 0, 0].tolist() == expected


def test_the_middle_unflipped_is_the_image() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(flip_crop(images, torch.tensor([[4, 4], [4, 4], [0, 0]])), images)


def test_all_offsets_and_both_directions_are_drawn() -> None:
    draws = draw_augmentation(5000, torch.Generator().manual_seed(0))
    assert draws[0].unique().tolist() == draws[1].unique().tolist() == list(range(9))
    assert abs(draws[2].float().mean() - 0.5) < 0.03


class Pictures(Dataset):
    """Twelve gray pictures of 2 x 2 pixels, read batch by batch."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.full((1, 2, 2), row, dtype=torch.uint8)

    def __getitems__(self, rows: list[int]) -> torch.Tensor:
        return torch.stack([self[row] for row in rows])


def test_a_set_that_is_decoded_on_demand_copies_its_labels_to_the_gpu_once_per_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "MAX_WORKERS", 0)
    with PretendedGPU() as gpu, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no memory to pin for a pretended GPU
        zero, one = torch.zeros((), device=GPU), torch.ones((), device=GPU)
        transform = Transform(zero, one, "none")
        split = OnDemandSplit(images=Pictures(), labels=torch.arange(12), index=torch.arange(12), transform=transform)
        gpu.uploads.clear()
        for ((inputs,), _), labels in split.batches(3, generator=torch.Generator().manual_seed(0)):
            assert labels.device == GPU
            assert torch.equal(inputs[:, 0, 0, 0].cpu(), labels.cpu().float())
        assert sum(count for line, count in gpu.uploads.items() if "labels" in line) == 1
