"""Graphs whose nodes have classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.errors import UserError
from grape_bench.objectives.target import IGNORED

Load = Callable[..., DataSet]

SQUARE: dict[str, Any] = {
    "features": [[1.0, 1.0], [0.0, 2.0], [3.0, 1.0], [0.0, 0.0]],
    "neighbours": [[1, 3], [0, 2], [1, 3], [0, 2]],
    "label": [0, 1, 1, 0],
    "split": ["train", "train", "val", "test"],
}


def write(folder: Path, **changes: Any) -> str:
    """Write the square with other columns. A column that is None is left out."""
    columns = {name: values for name, values in {**SQUARE, **changes}.items() if values is not None}
    pq.write_table(pa.table(columns), folder / "graph.parquet")
    return f"parquet:{folder}"


def test_the_whole_graph_is_one_batch(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write(tmp_path))
    (((features, edges), named), target), *rest = data.train.batches(2, generator=torch.Generator())
    assert (rest, named, data.train.batch_count(1)) == ([], {}, 1)
    assert features.tolist() == [[0.5, 0.5], [0.0, 1.0], [0.75, 0.25], [0.0, 0.0]]
    assert sorted(zip(*edges.tolist(), strict=True)) == [(0, 1), (0, 3), (1, 0), (1, 2), (2, 1), (2, 3), (3, 0), (3, 2)]
    assert target.tolist() == [0, 1, IGNORED, IGNORED]
    assert (data.objective, data.target.unit, data.classes, data.shape) == ("node-classification", "node", 2, (2,))
    assert data.description["sizes"] == {"train": 2, "validation": 1, "test": 1}
    assert list(data.train.batches(2, skip=1)) == []


def test_masks_and_words(tmp_path: Path, load_on_cpu: Load) -> None:
    masks = {
        "train_mask": [True, True, False, False],
        "val_mask": [False, False, True, False],
        "test_mask": [False, False, False, True],
    }
    name = write(tmp_path, features=None, words=[[0], [2], [0, 2], []], split=None, **masks)
    data = load_on_cpu(name, normalize="none")
    ((features, _), _), _ = next(data.test.batches(1))
    assert features.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": None}, "no node is in the train split"),
        (
            {"split": None, "val_mask": [True] + [False] * 3, "test_mask": [False] * 3 + [True]},
            "no node is in the train split",
        ),
        ({"split": ["train", "train", "val", "none"]}, "no node is in the test split"),
        (
            {"split": None, "train_mask": [True] * 4, "val_mask": [True] + [False] * 3, "test_mask": [True] * 4},
            r"row 0 of graph.parquet: a node is in several splits: train and validation and test",
        ),
        ({"neighbours": None}, "unknown column 'neighbours'"),
        ({"neighbours": [[1], [4], [0], [0]]}, r"row 1 of graph.parquet: the neighbor 4 is not a node[\s\S]*0 to 3"),
        ({"neighbours": [[], [], [], []]}, "the graph has no edges"),
        ({"label": [0, 1, -1, 0]}, r"row 2 of graph.parquet: a node of the validation split has no label"),
        ({"label": [1, 1, 0, 0]}, "all training nodes have the same label"),
        ({"label": ["a", "b", "b", "a"]}, r"row 0 of graph.parquet: the label is 'a'"),
        ({"features": [[1.0], [float("nan")], [0.0], [0.0]]}, r"row 1 of graph.parquet: the features hold NaN"),
        ({"neighbours": [1, 0, 1, 0]}, r"column 'neighbours' has type int64[\s\S]*lists of whole numbers"),
        ({"neighbours": [["a"]] * 4}, r"column 'neighbours' has type list<element: string>"),
        ({"features": [["a"]] * 4}, r"column 'features' has type list<element: string>[\s\S]*lists of numbers"),
        ({"features": [[1.0], [1.0, 2.0], [0.0], [0.0]]}, "the nodes have 1 to 2 features"),
        ({"features": [[1.0], None, [0.0], [0.0]]}, "row 1 of graph.parquet: features has no value"),
        ({"features": [[1.0], [0.0], [None], [0.0]]}, "row 2 of graph.parquet: features has no value"),
        ({"features": None, "words": [[0], [None], [0], [0]]}, "row 1 of graph.parquet: words has no value"),
        ({"neighbours": [[1], [None], [0], [0]]}, "row 1 of graph.parquet: the neighbor None is not a node"),
        ({"label": [0, 1, 10**10, 0]}, "the largest label is 10000000000, but there are 4 labels"),
    ],
)
def test_bad_graphs_are_refused(tmp_path: Path, load_on_cpu: Load, changes: dict[str, Any], said: str) -> None:
    if "neighbours" in changes and changes["neighbours"] == [[], [], [], []]:
        changes = {"neighbours": pa.array([[]] * 4, pa.list_(pa.int64()))}
    with pytest.raises(UserError, match=said):
        load_on_cpu(write(tmp_path, **changes), kind="graph")


@pytest.mark.parametrize("text", ["{", "[1]", '{"features": "many"}'])
def test_metadata_that_declares_no_number_of_features_is_refused(tmp_path: Path, load_on_cpu: Load, text: str) -> None:
    name = write(tmp_path, features=None, words=[[0], [2], [0, 2], []])
    path = tmp_path / "graph.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"grape_bench": text}), path)
    with pytest.raises(UserError, match="the metadata `grape_bench` is"):
        load_on_cpu(name, kind="graph")


def test_a_graph_is_not_cut(tmp_path: Path, load_on_cpu: Load) -> None:
    with pytest.raises(UserError, match="unknown argument 'limit'"):
        load_on_cpu(write(tmp_path), limit=1)
    with pytest.raises(UserError, match="several processes"):
        load_on_cpu(f"parquet:{tmp_path}").for_process(0, 2)
