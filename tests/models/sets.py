"""Small data sets of every kind, generated or built in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from grape_bench.data import load
from grape_bench.data.dataset import DataSet

CPU = torch.device("cpu")
LOADERS = """
import numpy as np

def pairs():
    random = np.random.default_rng(0)
    ids = random.integers(1, 8, (90, 6))
    shifted = np.concatenate([np.zeros((90, 1), int), ids[:, ::-1][:, :-1]], 1)
    made = {"input_ids": ids, "attention_mask": np.ones_like(ids), "decoder_input_ids": shifted}
    part = lambda rows: ({name: one[rows] for name, one in made.items()}, ids[:, ::-1][rows].copy())
    return {"train": part(slice(0, 70)), "test": part(slice(70, 90))}
"""


def write_sets(root: Path) -> dict[str, dict[str, Any]]:
    """Write a folder per kind, and return the task keys of each: `dataset` and `dataset_args`."""
    random = np.random.default_rng(0)
    (root / "loaders.py").write_text(LOADERS)
    words = ["good", "fine", "bad", "sad"]
    for part, count in {"train": 60, "test": 20}.items():
        label = np.arange(count) % 2
        said = [[words[2 * one + random.integers(2)] for _ in range(random.integers(2, 6))] for one in label]
        number = random.normal(size=count)
        tables: dict[str, dict[str, Any]] = {
            "text": {"text": ["the cat sat on the mat\n"] * count},
            "sentences": {"sentence": [" ".join(one) for one in said], "label": label},
            "pairs": {"sentence1": [" ".join(one) for one in said], "sentence2": ["so it is"] * count, "label": label},
            "table": {"size": number, "city": [words[one] for one in label], "target": number + label},
            "series": {"series": [[float(one)] * random.integers(3, 8) for one in label], "label": label},
        }
        for kind, columns in tables.items():
            (root / kind).mkdir(exist_ok=True)
            pq.write_table(pa.table(columns), root / kind / f"{part}.parquet")
    write_graph(root / "graph")
    return {
        "text": {"dataset": f"parquet:{root / 'text'}", "dataset_args": {"tokens": "characters", "block": 12}},
        "sentences": {"dataset": f"parquet:{root / 'sentences'}"},
        "pairs": {"dataset": f"parquet:{root / 'pairs'}"},
        "table": {"dataset": f"parquet:{root / 'table'}", "dataset_args": {"categories": "ids"}},
        "series": {"dataset": f"parquet:{root / 'series'}", "dataset_args": {"pad": "mask"}},
        "graph": {"dataset": f"parquet:{root / 'graph'}"},
        "translation": {"dataset": f"{root / 'loaders.py'}:pairs", "objective": "seq2seq"},
        "order": {"dataset": "temporal_order", "dataset_args": {"length": 12, "samples": 64}},
        "digits": {"dataset": "digits", "dataset_args": {"limit": 128}},
        "points": {"dataset": "yin_yang", "dataset_args": {"limit": 128}},
    }


def write_graph(folder: Path) -> None:
    """Write a ring of 30 nodes in three classes."""
    here = np.arange(30)
    columns = {
        "features": np.eye(3)[here // 10].tolist(),
        "neighbours": [[(one - 1) % 30, (one + 1) % 30] for one in here],
        "label": here // 10,
        "split": [("train", "validation", "test")[one % 3] for one in here],
    }
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "graph.parquet")


def load_set(task: dict[str, Any]) -> DataSet:
    return load(task["dataset"], args=task.get("dataset_args", {}), device=CPU)
