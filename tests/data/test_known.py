"""The table of known data sets has what loading them gives, and says where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grape_bench import data
from grape_bench.data.known import known_datasets
from grape_bench.data.named import HUB
from grape_bench.data.names import DATASETS

KNOWN = {known.dataset: known for known in known_datasets()}


def test_every_data_set_with_a_name_has_a_row_and_its_id_on_the_hub() -> None:
    assert list(KNOWN) == list(DATASETS)
    assert {name: known.hub for name, known in KNOWN.items() if known.hub} == HUB


@pytest.mark.parametrize("name", ["digits", "diabetes", "mnist1d", "yin_yang"])
def test_sizes_and_shapes_are_those_of_the_data(name: str) -> None:
    found, known = data.load(name, args={}, device=torch.device("cpu")), KNOWN[name]
    sizes = [str(len(split)) for split in (found.train, found.validation, found.test)]
    assert sizes == [known.train, known.validation, known.test]
    assert known.input == "x".join(map(str, found.shape))
    assert (known.unit, known.objective) == (found.target.unit, found.objective)


def test_where_the_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("GRAPE_BENCH_DATA", str(tmp_path))
    assert KNOWN["digits"].place == "built in" and KNOWN["mnist"].place == "here"
    assert KNOWN["sst2"].place == "Hub" and KNOWN["cora"].place == "missing"
