"""Make a model of transformers fit a text: vocabulary, padding, positions, and no view of the future."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers.utils.hub import cached_file

from grape_bench.errors import UserError
from grape_bench.models.inputs import Inputs
from grape_bench.network.modes import evaluation

POSITIONS = ("max_position_embeddings", "n_positions")
CLOSE = 5e-6
"""Logits count as equal if they differ by at most this share of the largest one. Small models leak less than 1e-4."""


def text_settings(
    default: Any, inputs: Inputs, *, classes: int, is_classifier: bool, pretrained: bool
) -> dict[str, Any]:
    """Return the configuration fields that fit the tokens. A checkpoint keeps its own vocabulary.

    The padding token is that of the data. If the data have no padding, no token of the vocabulary may count as padding.
    So a classifier, which may look for the last token that is not padding, gets one extra token.
    """
    fitted: dict[str, Any] = {} if is_classifier else {"use_cache": False, "is_decoder": True}
    if inputs.kind == "token pairs":
        del fitted["is_decoder"]
    if pretrained:
        return fitted if inputs.padding is None else fitted | {"pad_token_id": inputs.padding}
    fitted |= {"vocab_size": inputs.vocabulary if is_classifier else classes, "pad_token_id": inputs.padding}
    if is_classifier and inputs.padding is None:
        fitted |= {"vocab_size": inputs.vocabulary + 1, "pad_token_id": inputs.vocabulary}
    for name in POSITIONS:
        if (getattr(default, name, None) or inputs.length) < inputs.length:
            fitted[name] = inputs.length
    return fitted


def check_positions(model_id: str, config: Any, inputs: Inputs) -> None:
    """Raise UserError if the sequences are longer than the model's positions. Relative positions have no limit."""
    count = next((getattr(config, name) for name in POSITIONS if getattr(config, name, None)), inputs.length)
    if inputs.length > count and not hasattr(config, "relative_attention_num_buckets"):
        raise UserError(
            f"the data has sequences of {inputs.length} tokens, and the model has {count} positions",
            where=model_id,
            hint=f"dataset_args = {{ block = {count} }} for text, length = {count} for sentences",
        )


def check_tokens(model_id: str, name: str, config: Any, inputs: Inputs) -> None:
    """Raise UserError unless the data use the tokens of the checkpoint `name`: its tokenizer, if it has one."""
    hint = f'dataset_args = {{ tokenizer = "{name}" }}'
    size = getattr(config, "vocab_size", inputs.vocabulary)
    if inputs.vocabulary > size:
        what = f"the data has {inputs.vocabulary} tokens, and the checkpoint has {size}"
        raise UserError(what, where=model_id, hint=hint)
    file = cached_file(
        name,
        "tokenizer.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if inputs.tokens_hash and file and tokenizer_hash(file) != inputs.tokens_hash:
        raise UserError("the tokens of the data are not those of the checkpoint", where=model_id, hint=hint)


def tokenizer_hash(file: str) -> str:
    """Return the digest that a data set with this tokenizer has in its record (`vocabulary_hash`)."""
    tokenizer = Tokenizer.from_file(file)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return sha256(tokenizer.to_str().encode()).hexdigest()[:16]


def fit_vocabulary(model: Any, size: int) -> None:
    """Drop the rows of a checkpoint's vocabulary that no token of its tokenizer uses."""
    if getattr(model.config, "vocab_size", size) > size:
        model.resize_token_embeddings(size)


@torch.no_grad()
def check_causal(model_id: str, model: nn.Module, inputs: Inputs) -> None:
    """Raise UserError if the logits of a token depend on the tokens after it, which are its targets."""
    ids = inputs.named["input_ids"][:1].to("cpu")
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % inputs.vocabulary
    with evaluation(model):
        first, second = (model(input_ids=one).logits[:, :-1] for one in (ids, other))
    if (first - second).abs().max() > CLOSE * first.abs().max():
        what = "the model sees the tokens that it must predict"
        raise UserError(what, where=model_id, hint="a causal model type, such as hf:gpt2")
