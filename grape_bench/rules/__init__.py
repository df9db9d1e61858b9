"""The learning rules: the contract in `base`, one family or rule per module."""
