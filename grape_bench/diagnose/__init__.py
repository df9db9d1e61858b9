"""Metrics that show whether a rule really trains a network: alignment, descent, growth, linear probes."""
