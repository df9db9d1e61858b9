"""The real data sets of every kind, where there is a copy of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.objectives.target import IGNORED

ROOT = os.environ.get("GRAPE_BENCH_DATA", "")

# objective, shape, classes, sizes of train + validation and of test, as published
PUBLISHED: dict[str, tuple[str, tuple[int, ...], int, int, int]] = {
    "tinyshakespeare": ("next-token", (128,), 65, 1_003_855 + 55_779, 55_757),
    "wikitext2": ("next-token", (128,), 33_278, 2_088_627 + 217_645, 245_568),
    "sst2": ("classification", (52,), 2, 67_349, 872),
    "cora": ("node-classification", (1433,), 7, 640, 1000),
    "adult": ("binary", (108,), 2, 32_561, 16_281),
    "pictures": ("picture", (2,), 0, 2 * 256**2, 256**2),
    "ucr_arrowhead": ("classification", (1, 251), 3, 36, 175),
    "ucr_gunpoint": ("classification", (1, 150), 2, 50, 150),
    "ucr_italypowerdemand": ("classification", (1, 24), 2, 67, 1029),
    "ucr_japanesevowels": ("classification", (12, 29), 9, 270, 370),
    "uci_concrete": ("regression", (8,), 0, 927, 103),
    "uci_energy": ("regression", (8,), 0, 691, 77),
    "uci_kin8nm": ("regression", (8,), 0, 7373, 819),
    "uci_naval": ("regression", (16,), 0, 10_741, 1193),
    "uci_protein": ("regression", (9,), 0, 41_157, 4573),
    "uci_yacht": ("regression", (6,), 0, 277, 31),
}


def load_real(name: str, load: Callable[..., DataSet], **args: Any) -> DataSet:
    if not ROOT or not any((Path(ROOT) / name).glob("*.parquet")):
        pytest.skip(f"$GRAPE_BENCH_DATA has no {name}")
    return load(name, **args)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_loads_by_name_as_published(name: str, load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_real(name, load_on_cpu)
    sizes = data.description["sizes"]
    found = (data.objective, data.shape, data.classes, sizes["train"] + sizes["validation"], sizes["test"])
    assert found == PUBLISHED[name]
    for part in (data.train, data.validation, data.test):
        targets = torch.cat([target.flatten() for target in part.targets()])
        assert int((targets != IGNORED).sum()) == len(part) * data.target.size
        (args, named), target = next(part.batches(2))
        assert all(one.isfinite().all() for one in (*args, *named.values()))
        assert target.dtype == (torch.int64 if data.classes else torch.float32)


def test_byte_pairs_of_real_text(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_real("tinyshakespeare", load_on_cpu, tokens="bpe", vocabulary=1000)
    assert data.vocabulary == 1000
    assert 300_000 < len(data.train) < 500_000


def test_adult_counts_its_positives(load_on_cpu: Callable[..., DataSet]) -> None:
    data = load_real("adult", load_on_cpu)
    assert int(next(iter(data.test.targets())).sum()) == 3846
