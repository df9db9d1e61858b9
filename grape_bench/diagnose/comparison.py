"""Compare one vector with another, part by part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Comparison:
    """A vector against a reference, in float64: inner product and squared norms. NaN propagates.

    The comparisons of the parts add up to the comparison of the whole.
    """

    product: float = 0.0
    own: float = 0.0
    reference: float = 0.0

    @classmethod
    def of(cls, own: Tensor | None, reference: Tensor | None) -> Comparison:
        """Compare two tensors of one shape. None counts as zero."""
        a, b = (None if tensor is None else tensor.detach().flatten().double() for tensor in (own, reference))
        product = 0.0 if a is None or b is None else torch.dot(a, b).item()
        return cls(product, *(0.0 if vector is None else torch.dot(vector, vector).item() for vector in (a, b)))

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(self.product + other.product, self.own + other.own, self.reference + other.reference)

    @property
    def cosine(self) -> float:
        """The cosine, or NaN if one of the two is zero."""
        size = math.sqrt(self.own) * math.sqrt(self.reference)
        return self.product / size if size else math.nan

    @property
    def ratio(self) -> float:
        """Norm ÷ the reference's norm, or NaN if the reference is zero."""
        return math.sqrt(self.own / self.reference) if self.reference else math.nan
