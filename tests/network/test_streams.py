import torch

from grape_bench.network.streams import RandomStreams
from grape_bench.streams import stream_seed


def draw(streams, stream):
    return torch.rand(3, generator=streams.generator(stream))


def test_a_stream_starts_at_its_own_seed_and_continues():
    streams, plain = RandomStreams(3), torch.Generator().manual_seed(stream_seed(3, "feedback"))
    for _ in range(2):
        assert torch.equal(draw(streams, "feedback"), torch.rand(3, generator=plain))
    assert not torch.equal(draw(streams, "perturbation"), draw(RandomStreams(3), "feedback"))


def test_streams_resume_where_they_were_saved():
    first = RandomStreams(3)
    draw(first, "anchor")
    seed, positions = first.seed, first.positions()
    second = RandomStreams(0)
    second.restore(seed, positions)
    assert torch.equal(draw(second, "anchor"), draw(first, "anchor"))


def test_reseeding_restarts_every_stream():
    streams = RandomStreams(3)
    before = draw(streams, "anchor")
    streams.reseed(3)
    assert torch.equal(draw(streams, "anchor"), before)
