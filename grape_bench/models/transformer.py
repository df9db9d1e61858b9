"""Transformers for tokens and series, as language models and as classifiers."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import Count, Rate
from grape_bench.models.inputs import Inputs
from grape_bench.models.sequence import Reader, pooled, real_steps

Norm = Literal["pre", "post"]
Positions = Annotated[int | None, Field(ge=1, description="a number of steps, 1 or more")]
Switch = Annotated[bool | None, Field(description="true, false")]

STD = 0.02


class Attention(nn.Module):
    """Multi-head self-attention: (N, length, width) -> the same shape."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """Attend over the steps that `real` (N, length) marks, or over all steps."""
        # x (N, L, W) -> q, k, v (N, heads, L, W / heads); allowed (N, 1, L, L) is true where a step may look.
        q, k, v = (one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in self.qkv(x).chunk(3, -1))
        if real is None:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            allowed = real[:, None, None, :].expand(-1, 1, x.shape[1], -1)
            allowed = allowed.tril() if self.causal else allowed
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        made: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return made


class TransformerLayer(nn.Module):
    """Attention and a GELU network of 4 * width units, each with a skip connection: (N, length, width) -> the same.

    LayerNorm comes before each part ("pre", Radford et al. 2019), or after the sum ("post", Vaswani et al. 2017).
    """

    def __init__(self, width: int, heads: int, *, norm: Norm, causal: bool, dropout: float) -> None:
        super().__init__()
        self.is_pre = norm == "pre"
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """Map the steps (N, length, width)."""
        if self.is_pre:
            x = x + self.dropout(self.attention(self.norm1(x), real))
            made: Tensor = x + self.dropout(self.feed(self.norm2(x)))
        else:
            x = self.norm1(x + self.dropout(self.attention(x, real)))
            made = self.norm2(x + self.dropout(self.feed(x)))
        return made


class Transformer(nn.Module):
    """Embeddings, `layers`, and a linear `head`: logits for every step, or for the mean of the real steps.

    Weights are normal with standard deviation 0.02, as in GPT-2. Raises UserError for data that are not sequences, for
    too few positions, and for a model that would see the token that it must predict.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        inputs: Inputs,
        width: Count = 128,
        depth: Count = 4,
        heads: Count = 4,
        norm: Norm = "pre",
        causal: Switch = None,
        positions: Positions = None,
        dropout: Rate = 0.0,
    ) -> None:
        super().__init__()
        self.reader = Reader("transformer", inputs, shape, width)
        causal = inputs.per_step if causal is None else causal
        count = _checked_positions(inputs, positions)
        _check(inputs, width, heads, causal=causal)
        self.per_step = inputs.per_step
        self.positions = nn.Embedding(count, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, norm=norm, causal=causal, dropout=dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.head = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=STD)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(
        self,
        x: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Map tokens or a series to logits (N, classes), or (N, length, classes) for a class per step."""
        real = real_steps(attention_mask, mask)
        x = self.reader(x, input_ids, token_type_ids)
        x = self.dropout(x + self.positions(torch.arange(x.shape[1], device=x.device)))
        for layer in self.layers:
            x = layer(x, real)
        x = self.norm(x)
        logits: Tensor = self.head(x if self.per_step else pooled(x, real, "mean"))
        return logits


def _checked_positions(inputs: Inputs, positions: int | None) -> int:
    if positions is not None and positions < inputs.length:
        raise UserError(
            f"positions = {positions}, but the data has sequences of {inputs.length} steps",
            where="model_args of 'transformer'",
            allowed=f"{inputs.length} or more",
            hint=f"dataset_args = {{ block = {positions} }} for text, length = {positions} for other sequences",
        )
    return positions or inputs.length


def _check(inputs: Inputs, width: int, heads: int, *, causal: bool) -> None:
    where = "model_args of 'transformer'"
    if width % heads:
        raise UserError(f"width = {width} is not a multiple of heads = {heads}", where=where)
    if inputs.predicts_next and not causal:
        what = "causal = false lets the model see the token that it must predict"
        raise UserError(what, where=where, hint="causal = true")
