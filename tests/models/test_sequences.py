"""Transformers and recurrent networks of tokens and series."""

from typing import Any

import pytest
import torch
from torch import nn

from grape_bench.errors import UserError
from grape_bench.models import build
from tests.models.sets import load_set

SMALL = {"width": 16, "depth": 2, "heads": 2}
SEQUENCES = [
    ("transformer", SMALL),
    ("lstm", {"hidden": [16, 16]}),
    ("gru", {"hidden": [16, 16]}),
    ("rnn", {"hidden": [16, 16]}),
]


def make(sets: dict[str, dict[str, Any]], name: str, model: str, args: dict[str, Any]) -> nn.Module:
    data = load_set(sets[name])
    torch.manual_seed(0)
    return build(model, shape=data.shape, classes=data.classes, args=args, data=data).eval()


@pytest.mark.parametrize(("model", "args"), SEQUENCES)
def test_a_language_model_does_not_see_the_future(
    model: str, args: dict[str, Any], sets: dict[str, dict[str, Any]]
) -> None:
    made = make(sets, "text", model, args)
    ids = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]])
    first, second = made(input_ids=ids)
    assert torch.equal(first[:3], second[:3])
    assert not torch.isclose(first[3], second[3]).all()


@pytest.mark.parametrize(("model", "args"), [*SEQUENCES, ("transformer", {**SMALL, "causal": True, "norm": "post"})])
def test_padding_changes_nothing(model: str, args: dict[str, Any], sets: dict[str, dict[str, Any]]) -> None:
    texts = make(sets, "sentences", model, args)
    mask = torch.tensor([[1, 1, 1, 0]])
    padded = [texts(input_ids=torch.tensor([[3, 4, 5, end]]), attention_mask=mask) for end in (0, 6)]
    short = texts(input_ids=torch.tensor([[3, 4, 5]]), attention_mask=mask[:, :3])
    series = make(sets, "series", model, args)
    x = torch.randn(2, 1, 5)
    both = series(torch.cat([x, torch.randn(2, 1, 2)], 2), mask=torch.arange(7).expand(2, 7) < 5)
    assert torch.allclose(padded[0], padded[1], atol=1e-6) and torch.allclose(padded[0], short, atol=1e-6)
    assert torch.allclose(both, series(x, mask=torch.ones(2, 5, dtype=torch.bool)), atol=1e-6)


def test_an_encoder_sees_all_tokens_and_a_causal_classifier_the_earlier_ones(sets: dict[str, dict[str, Any]]) -> None:
    for causal in (None, True):
        made = make(sets, "sentences", "transformer", {**SMALL, "causal": causal})
        seen: list[torch.Tensor] = []
        made.get_submodule("layers.1").register_forward_hook(lambda module, args, out, seen=seen: seen.append(out))
        for last in (5, 6):
            made(input_ids=torch.tensor([[3, 4, last]]))
        assert torch.equal(seen[0][:, :2], seen[1][:, :2]) is bool(causal)


def test_norm_comes_before_or_after_the_parts(sets: dict[str, dict[str, Any]]) -> None:
    pre, post = (make(sets, "text", "transformer", {**SMALL, "norm": norm}) for norm in ("pre", "post"))
    x = 5 * torch.randn(2, 4, 16) + 3
    outputs = [made.get_submodule("layers.0")(x, None) for made in (pre, post)]
    assert torch.allclose(outputs[1].mean(-1), torch.zeros(2, 4), atol=1e-5)
    assert (outputs[0] - x).abs().max() < 1  # the skip connection is not normalized


def test_gpt2_has_its_published_size() -> None:
    from grape_bench.models.inputs import Inputs
    from grape_bench.models.transformer import Transformer

    ids = torch.zeros(1, 1024, dtype=torch.int64)
    with torch.device("meta"):
        made = Transformer((1024,), 50257, Inputs((), {"input_ids": ids}, ids, 50257), width=768, depth=12, heads=12)
    size = sum(parameter.numel() for parameter in made.parameters()) - made.head.weight.numel() - 50257
    assert size == 124_439_808  # with the head tied to the embeddings, as published


def test_pairs_of_texts_have_an_embedding_of_the_text_number(sets: dict[str, dict[str, Any]]) -> None:
    made = make(sets, "pairs", "transformer", SMALL)
    ids, mask = torch.tensor([[3, 4, 5]]), torch.ones(1, 3, dtype=torch.int64)
    first, second = (
        made(input_ids=ids, attention_mask=mask, token_type_ids=torch.tensor([types])) for types in ([0, 0, 1], [0] * 3)
    )
    assert not torch.isclose(first, second).all()


@pytest.mark.parametrize(("model", "args"), SEQUENCES)
def test_signals_are_series_of_one_channel(model: str, args: dict[str, Any]) -> None:
    made = build(model, shape=(40,), classes=3, args=args)
    assert made(torch.randn(2, 40)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "model", "args", "said"),
    [
        ("text", "transformer", {"positions": 8}, "positions = 8, but the data has sequences of 12 steps"),
        ("text", "transformer", {"causal": False}, "lets the model see the token that it must predict"),
        ("text", "transformer", {"width": 10, "heads": 4}, "width = 10 is not a multiple of heads = 4"),
        ("text", "transformer", {"norm": "before"}, "norm = 'before'|unknown norm 'before'"),
        ("text", "lstm", {"hidden": []}, "positive integers"),
        ("text", "gru", {"dropout": 1.0}, "from 0 to below 1"),
        ("digits", "lstm", {}, r"needs tokens or series, not samples of shape \(1, 8, 8\)"),
        ("graph", "transformer", {}, "needs tokens or numbers, not a graph"),
        ("table", "gru", {}, "not numbers with category ids"),
        ("translation", "transformer", {}, 'not sequences with `decoder_input_ids`\n  try: model = "hf:t5"'),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, model: str, args: dict[str, Any], said: str, sets: dict[str, dict[str, Any]]
) -> None:
    with pytest.raises(UserError, match=said):
        make(sets, name, model, args)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_leaky_unit_keeps_a_part_of_its_state(activation: str) -> None:
    """h_t = (1 - a) h_{t-1} + a f(W h_{t-1} + U x_t + b)."""
    args = {"hidden": [3], "leak": 0.25, "activation": activation}
    made = build("rnn", shape=(2, 5), classes=2, args=args).double()
    cell = made.get_submodule("layers.0.cell")
    W, U = cell.recurrent.weight, cell.inputs.weight
    x, h = torch.randn(1, 5, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    found, last = cell(x)
    for t in range(5):
        h = 0.75 * h + 0.25 * getattr(torch, activation)(W @ h + U @ x[0, t] + cell.inputs.bias)
        assert torch.allclose(found[0, t], h)
    assert torch.equal(last, found[:, -1])
    with pytest.raises(UserError, match="above 0"):
        build("rnn", shape=(2, 5), classes=2, args={"leak": 0.0})
