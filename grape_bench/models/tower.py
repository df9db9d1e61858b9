"""A network for tables: embeddings of the categories next to the numbers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import Count, Rate, Widths
from grape_bench.models.inputs import Inputs


class Tower(nn.Module):
    """One embedding table for all categorical columns, hidden layers as siblings in `hidden`, and a linear `head`.

    Numbers (N, F) and category ids (N, columns) -> (N, classes). Source: the deep part of Cheng et al. 2016, "Wide &
    Deep Learning for Recommender Systems". Raises UserError for data without category ids.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        inputs: Inputs,
        embedding: Count = 8,
        hidden: Widths = (256, 256),
        dropout: Rate = 0.0,
    ) -> None:
        super().__init__()
        if inputs.kind == "values":
            what = "the model needs numbers with category ids, not numbers"
            raise UserError(what, where="tower", hint='dataset_args = { categories = "ids" }, or model = "mlp"')
        inputs.require("tower", "categories")
        self.embedding = nn.Embedding(inputs.vocabulary, embedding)
        widths = [shape[0] + embedding * inputs.args[1].shape[1], *hidden]
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)) for a, b in pairwise(widths))
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Map a row's numbers and category ids to its outputs."""
        row = torch.cat([numbers, self.embedding(categories).flatten(1)], 1)
        outputs: Tensor = self.head(self.hidden(row))
        return outputs
