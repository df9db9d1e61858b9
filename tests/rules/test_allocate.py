"""The rule by which feedback is laid out and kept, and what each kind costs."""

import pytest
import torch

import grape_bench as gb
from grape_bench import UserError
from grape_bench.rules.allocate import Chooser, FeedbackChoice, draw_feedback
from grape_bench.rules.layout import Dense, PerChannel, PerToken
from tests.network.problems import BY_NAME, convolutions, tanh_mlp

IMAGES = Chooser(output_shape=(10,), limit=200)
TOKENS = Chooser(output_shape=(6, 60), limit=2000, varying=True)


def test_dense_within_the_limit_then_per_channel():
    assert Chooser((10,), limit=10240).choose("auto", (16, 8, 8), 0) == FeedbackChoice(Dense(1024), "dense")
    assert IMAGES.choose("auto", (16, 8, 8), 0) == FeedbackChoice(PerChannel(16, channel=1), "per-channel")
    assert IMAGES.choose("auto", (49, 20), 1) == FeedbackChoice(PerChannel(20, channel=2), "per-channel")
    assert IMAGES.choose("auto", (7, 7, 20), 2) == FeedbackChoice(PerChannel(20, channel=3), "per-channel")


def test_of_the_greatest_rank_within_the_limit_where_per_channel_is_beyond():
    assert IMAGES.choose("auto", (30, 8, 8), 0) == FeedbackChoice(
        PerChannel(30, channel=1), "per-channel, rank 5", rank=5
    )
    assert IMAGES.choose("auto", (190,), 0) == FeedbackChoice(Dense(190), "dense, rank 1", rank=1)


def test_tokens_get_their_own_error_and_an_encoder_the_sum_of_the_decoders():
    assert TOKENS.choose("auto", (6, 32), 1) == FeedbackChoice(PerToken(32, 2), "per-token")
    assert TOKENS.choose("auto", (9, 32), 1) == FeedbackChoice(PerChannel(32, channel=2), "per-channel")
    assert TOKENS.choose("auto", (6, 320), 1) == FeedbackChoice(PerToken(320, 2), "per-token, rank 5", rank=5)


def test_no_number_per_position_where_lengths_vary():
    sequences = Chooser(output_shape=(10,), limit=10**6, varying=True)
    for kind in ("auto", "slice", "low-rank", "seeded"):
        assert sequences.choose(kind, (6, 32), 1).layout == PerChannel(32, channel=2)


def test_what_need_not_be_kept_may_be_dense_beyond_the_limit():
    assert IMAGES.choose("seeded", (16, 8, 8), 0) == FeedbackChoice(Dense(1024), "dense, seeded")
    assert Chooser((10,), limit=200, blocks=60).choose("slice", (16, 8, 8), 0) == FeedbackChoice(
        Dense(1024), "dense, slice"
    )
    assert IMAGES.choose("slice", (16, 8, 8), 0) == FeedbackChoice(PerChannel(16, channel=1), "per-channel, slice")


def test_a_kind_asked_for_by_name_is_taken_or_refused():
    assert IMAGES.choose("dense", (16, 8, 8), 0) == FeedbackChoice(Dense(1024), "dense")
    assert TOKENS.choose("per-channel", (6, 32), 1) == FeedbackChoice(PerChannel(32, channel=2), "per-channel")
    with pytest.raises(UserError, match=r"no per-token feedback from an error of shape \(10,\)"):
        IMAGES.choose("per-token", (49, 96), 1)
    with pytest.raises(UserError, match="feedback = 'sparse' is not one of auto, dense"):
        gb.make_rule("dfa", feedback="sparse")
    for kind in ("slice", "seeded"):
        with pytest.raises(UserError, match=f"feedback = '{kind}' cannot learn"):
            gb.make_rule("grape", feedback=kind)


def test_channels_may_lie_on_any_axis():
    series, segments = Chooser((10,), limit=200), Chooser((40, 5), limit=2000)
    assert series.choose("auto", (16, 40), 0) == FeedbackChoice(PerChannel(16, channel=1), "per-channel")
    assert segments.choose("auto", (16, 40), 0) == FeedbackChoice(PerToken(16, channel=1), "per-token")
    assert segments.choose("auto", (40, 40), 0) == FeedbackChoice(PerToken(40, channel=1), "per-token")
    assert segments.choose("auto", (40, 16), 0) == FeedbackChoice(PerChannel(40, channel=1), "per-channel")


@pytest.mark.parametrize("kind", ["per-channel", "auto"])
def test_a_signal_per_channel_is_the_same_at_all_times(kind):
    net = gb.attach(convolutions(1), gb.make_rule("dfa", feedback=kind), torch.randn(4, 1, 40))
    block = net.blocks[0].at(torch.zeros(4, 16, 40))
    signal = net.rule.signal(block, torch.randn(4, 10))
    steady = torch.equal(signal, signal[:, :, :1].expand_as(signal))
    assert steady == (kind == "per-channel") and not torch.equal(signal[:, 0], signal[:, 1])


def test_feedback_rows_have_norm_one():
    B = draw_feedback(3, 50, torch.Generator().manual_seed(0))
    torch.testing.assert_close(B.norm(dim=1), torch.ones(3))


def test_the_network_tells_how_its_feedback_is_kept():
    def kept(rule, **settings):
        return [
            str(k) for k in gb.attach(tanh_mlp(), gb.make_rule(rule, **settings), torch.randn(2, 6)).feedback().values()
        ]

    assert kept("dfa") == ["dense 4 × 7", "dense 4 × 5"]
    assert kept("grape+anchor", feedback="low-rank") == ["dense, rank 2 4 × 7", "dense, rank 2 4 × 5"]
    assert kept("fa")[0] == "per weight 7 × 6"
    assert kept("usf")[0] == "one number"
    assert kept("bp") == kept("head-only") == []


def test_the_numbers_that_each_kind_keeps():
    def numbers(kind):
        net = gb.attach(tanh_mlp(), gb.make_rule("dfa", feedback=kind), torch.randn(2, 6))
        assert all("grape_bench" in n for n, b in net.model.named_buffers())
        return [kept.numbers for kept in net.feedback().values()]

    assert numbers("dense") == [4 * 7, 4 * 5]
    assert numbers("slice") == [4 * 7, 0]
    assert numbers("low-rank") == [4 * 2 + 2 * 7, 4 * 2 + 2 * 5]
    assert numbers("seeded") == [1, 1]


def test_per_token_where_a_decoder_has_an_error_per_token():
    problem = BY_NAME["gpt2"]
    kept = gb.attach(problem.model(), "dfa", problem.batch()).feedback()
    assert kept["transformer.h.0"].kind == "per-token" and kept["transformer.h.0"].shape == (32, 32)
