"""A network seen as blocks: find them, cut between them, carry tangents through them."""

NUMERICS = 2
"""Part of the id of every job whose rule cuts the network ("cuts"). Raise it when a change here gives other blocks,
signals or tangents. Code that only backpropagation or the FA family uses does not count: raise `numerics` of those
rules in `rules/names.py` instead."""
