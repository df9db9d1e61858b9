import torch

from grape_bench.rules.feedback import Dense, PerToken, Shared, choose_layout, draw_feedback


def test_dense_while_it_is_small_then_shared_over_positions():
    assert choose_layout((16, 8, 8), (10,), dense_limit=10240) == Dense(1024)
    assert choose_layout((16, 8, 8), (10,), dense_limit=100) == Shared(16, channel=1)
    assert choose_layout((49, 96), (10,), dense_limit=100) == Shared(96, channel=2)
    assert choose_layout((7, 7, 96), (10,), dense_limit=100) == Shared(96, channel=3)


def test_tokens_get_their_own_error_and_an_encoder_the_sum_of_the_decoders():
    assert choose_layout((6, 32), (6, 60), dense_limit=100) == PerToken(32)
    assert choose_layout((9, 32), (6, 60), dense_limit=100) == Shared(32, channel=2)


def test_every_layout_passes_on_the_norm_of_the_error():
    """`spread` keeps the norm of its rows, so a B with rows of norm one has one scale in every layout."""
    for layout, shape in [(Dense(24), (2, 6, 4)), (PerToken(4), (2, 6, 4)), (Shared(6, 1), (2, 6, 2, 2))]:
        rows = torch.randn(layout.row_count(torch.Size(shape)), layout.features)
        torch.testing.assert_close(layout.spread(rows, torch.Size(shape)).norm(), rows.norm())


def test_feedback_rows_have_norm_one():
    B = draw_feedback(3, 50, torch.Generator().manual_seed(0))
    torch.testing.assert_close(B.norm(dim=1), torch.ones(3))
