"""One training run: the loop, its observers, checkpoints and evaluation."""

NUMERICS = 1
"""Part of every job's id ("trainer"). Raise it when a change gives other numbers for the same rule, model and data: a
new order of batches, schedule, precision, or evaluation. Every job is then planned again."""
