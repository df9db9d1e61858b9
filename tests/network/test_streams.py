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


def test_a_generator_that_somebody_holds_is_moved_by_a_restore():
    """A rule may fetch its generator once, in `setup`."""
    saved, streams = RandomStreams(3), RandomStreams(0)
    held = streams.generator("rule/h1")
    torch.rand(5, generator=saved.generator("rule/h1"))
    streams.restore(saved.seed, saved.positions())
    assert torch.equal(torch.rand(3, generator=held), draw(saved, "rule/h1"))


def test_blocks_of_a_rule_draw_their_own_numbers():
    streams = RandomStreams(3)
    assert not torch.equal(draw(streams, "rule/h1"), draw(streams, "rule/h2"))


def test_processes_share_the_feedback_and_draw_their_own_perturbations():
    first, second = RandomStreams(3), RandomStreams(3)
    draw(second, "perturbation")  # while attaching, before the processes part
    first.split(0)
    second.split(1)
    assert torch.equal(draw(first, "feedback"), draw(second, "feedback"))
    for stream in ("perturbation", "rule/h1"):
        assert not torch.equal(draw(first, stream), draw(second, stream))
