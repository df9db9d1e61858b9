from collections.abc import Callable

import pytest
import torch

from grape_bench.data import DataSet


def shuffled(data: DataSet, size: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(data.train.batches(size, generator=torch.Generator().manual_seed(seed)))


def same(first: list, second: list) -> bool:
    return all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(first, second, strict=True))


@pytest.mark.parametrize("augment", ["none", "flip-crop"])
def test_a_seed_gives_the_same_batches_bit_for_bit(load_on_cpu: Callable[..., DataSet], augment: str) -> None:
    data = load_on_cpu("digits", augment=augment)
    assert same(shuffled(data, 64, 1), shuffled(load_on_cpu("digits", augment=augment), 64, 1))
    assert not same(shuffled(data, 64, 1), shuffled(data, 64, 2))


def test_a_second_pass_has_another_order(load_on_cpu: Callable[..., DataSet]) -> None:
    generator = torch.Generator().manual_seed(0)
    train = load_on_cpu("digits").train
    first, second = (list(train.batches(64, generator=generator)) for _ in range(2))
    assert not same(first, second)


def test_a_pass_left_half_way_changes_nothing_of_the_next(load_on_cpu: Callable[..., DataSet]) -> None:
    train = load_on_cpu("digits", augment="flip-crop").train
    second = []
    for first_batches in (1, 20):
        generator = torch.Generator().manual_seed(0)
        first = train.batches(64, generator=generator)
        for _ in range(first_batches):
            next(first)
        second.append(list(train.batches(64, generator=generator)))
    assert same(*second)


@pytest.mark.parametrize("skip", [0, 7, 20])
def test_the_rest_of_a_pass_is_what_it_would_have_been(load_on_cpu: Callable[..., DataSet], skip: int) -> None:
    train = load_on_cpu("digits", augment="flip-crop").train
    whole, rest = (train.batches(64, generator=torch.Generator().manual_seed(0), skip=k) for k in (0, skip))
    batches = list(whole)
    assert len(batches) == 20 and same(batches[skip:], list(rest))


def test_the_incomplete_last_batch_is_left_out_of_a_shuffled_pass_only(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=100)
    assert [len(labels) for _, labels in shuffled(data, 30, 0)] == [30, 30, 30]
    assert data.train.batch_count(30) == 3
    assert [len(labels) for _, labels in data.train.batches(30)] == [30, 30, 30, 10]


def test_unless_it_is_the_only_one(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=20)
    assert [len(labels) for _, labels in shuffled(data, 64, 0)] == [20]
    assert data.train.batch_count(64) == 1


def test_a_shuffled_pass_has_every_sample_once(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", limit=60)
    in_order = torch.cat([inputs for inputs, _ in data.train.batches(60)]).flatten(1)
    mixed = torch.cat([inputs for inputs, _ in shuffled(data, 20, 0)]).flatten(1)
    assert not torch.equal(in_order, mixed)
    assert torch.equal(in_order.sort(0).values, mixed.sort(0).values)


def test_the_global_generator_is_left_alone(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_on_cpu("digits", augment="flip-crop")
    before = torch.get_rng_state()
    shuffled(data, 64, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_shuffled_training_batches_are_augmented(load_on_cpu: Callable[..., DataSet]) -> None:
    plain, augmented = load_on_cpu("digits"), load_on_cpu("digits", augment="flip-crop")
    assert not same(shuffled(plain, 64, 0), shuffled(augmented, 64, 0))
    assert same(list(plain.train.batches(64)), list(augmented.train.batches(64)))
    for part in ("validation", "test"):
        passes = [
            list(getattr(data, part).batches(64, generator=torch.Generator().manual_seed(0)))
            for data in (plain, augmented)
        ]
        assert same(*passes)
