"""The theory suite as a command, with fewer draws, and its report of a bound that does not hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import theory


@pytest.mark.slow
def test_it_measures_that_the_bound_holds_and_that_batches_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theory, "DRAWS", 256)
    monkeypatch.setattr(theory, "REPEATS", 10)
    monkeypatch.setattr(theory, "BATCHES", (12, 48))
    monkeypatch.setattr("sys.argv", ["theory", "-o", str(tmp_path)])
    assert theory.main() == 0
    assert (tmp_path / "theory.svg").stat().st_size > 1000
    found = pd.read_csv(tmp_path / "theory.csv")
    assert set(found["model"]) == {"mlp", "cnn", "vit", "decoder"}
    errors = pd.read_csv(tmp_path / "concentration.csv").pivot(
        index=["model", "block"], columns="batch", values="error"
    )
    assert (errors[12] / errors[48]).median() == pytest.approx(2, rel=0.2)


def test_a_mean_below_the_bound_by_more_than_its_error_is_a_violation() -> None:
    rows = [
        {"block": "holds", "perturbations": 1, "cosine": 0.2, "error": 0.01, "bound": 0.1},
        {"block": "noise", "perturbations": 1, "cosine": 0.08, "error": 0.01, "bound": 0.1},
        {"block": "violated", "perturbations": 1, "cosine": 0.06, "error": 0.01, "bound": 0.1},
        {"block": "another bound", "perturbations": 4, "cosine": 0.0, "error": 0.0, "bound": 0.1},
    ]
    assert list(theory.violated(pd.DataFrame(rows))["block"]) == ["violated"]
