"""A suite file for the tests of plan."""

from __future__ import annotations

from pathlib import Path

SUITE = """\
name = "small"
version = "1.0"
rules = ["dfa", "bp", "dfa+anchor"]
seeds = 2

[[task]]
name = "first"
model = "mlp"
model_args = { hidden = [8] }
dataset = "digits"
epochs = 2
batch_size = 64
optimizer = { name = "adamw", lr = 1e-3 }

[[task]]
name = "second"
model = "timm:test_resnet"
dataset = "digits"
epochs = 1
batch_size = 32
optimizer = { name = "sgd", lr = 0.1, momentum = 0.9 }
"""


def write_suite(folder: Path, *, old: str = "", new: str = "", more: str = "") -> Path:
    """Write the suite to `folder` with one text replaced and `more` appended."""
    assert old in SUITE
    path = folder / "small.toml"
    path.write_text((SUITE.replace(old, new, 1) if old else SUITE) + more, encoding="utf-8")
    return path
