"""Golden runs: the numbers of every rule on every family of models, stored in `runs.json`.

pytest tests/golden          # compare
python -m tests.golden       # update: after `numerics` was raised, or for a new rule or family
"""
