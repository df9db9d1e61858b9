"""Sequence to sequence, with teacher forcing."""

from __future__ import annotations

from grape_bench.objectives.next_token import NextToken


class Seq2Seq(NextToken):
    """Cross-entropy of the decoder's logits (N, length, vocabulary) with the target sequence, scored by perplexity.

    The batch holds the correct earlier tokens as `decoder_input_ids`. Padding in the target is `IGNORED`.
    """
