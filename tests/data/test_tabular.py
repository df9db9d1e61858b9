"""Tables of numbers and categories."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.errors import UserError
from tests.data.tables import write_columns

Load = Callable[..., DataSet]

NUMBERS = {"a": [1.0, 2.0, 3.0, 4.0], "b": [0, 10, 0, 10], "target": [1.0, 3.0, 5.0, 7.0]}
MIXED = {"size": [1.0, 2.0, 3.0, 4.0], "color": ["red", "blue", None, "red"], "label": [0, 1, 0, 1]}


def everything(data: DataSet, part: str = "test") -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """The model's inputs and the targets of a whole part."""
    (args, _), target = next(getattr(data, part).batches(1000))
    return args, target


def test_numbers_and_targets_are_standardized_with_the_training_rows(tmp_path: Path, load_on_cpu: Load) -> None:
    test = {"a": [2.5, 100.0], "b": [5, 5], "target": [4.0, 0.0]}
    data = load_on_cpu(write_columns(tmp_path, NUMBERS, test, validation=NUMBERS))
    assert (data.objective, data.shape, data.classes, data.target.size) == ("regression", (2,), 0, 1)
    (inputs,), target = everything(data)
    assert inputs[0].tolist() == [0.0, 0.0]
    assert inputs[1, 0].item() == pytest.approx(97.5 / 1.25**0.5)
    assert data.target.scale == (pytest.approx(5**0.5),)
    assert (target * data.target.scale[0] + 4).flatten().tolist() == pytest.approx([4.0, 0.0], abs=1e-6)


def test_other_splits_do_not_change_the_standardization(tmp_path: Path, load_on_cpu: Load) -> None:
    extreme = {name: [1e6] * 4 for name in ("a", "b", "target")}
    one = load_on_cpu(write_columns(tmp_path / "one", NUMBERS, validation=NUMBERS))
    two = load_on_cpu(write_columns(tmp_path / "two", NUMBERS, extreme, validation=extreme))
    assert torch.equal(everything(one, "train")[0][0], everything(two, "train")[0][0])
    assert one.target == two.target


def test_categories_become_one_hot(tmp_path: Path, load_on_cpu: Load) -> None:
    test = {"size": [2.5, 2.5], "color": ["blue", "green"], "label": [0, 1]}
    data = load_on_cpu(write_columns(tmp_path, MIXED, test, validation=MIXED))
    (inputs,), labels = everything(data)
    assert inputs.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]  # the categories are "", "blue" and "red"
    assert (data.objective, data.shape, data.classes, labels.tolist()) == ("classification", (4,), 2, [0, 1])
    assert data.description["unseen_categories"] == {"train": 0, "validation": 0, "test": 1}


def test_categories_as_ids_share_one_range(tmp_path: Path, load_on_cpu: Load) -> None:
    columns = {**MIXED, "code": [7, 7, 9, 9]}
    test = {"size": [1.0], "color": ["green"], "label": [1], "code": [9]}
    name = write_columns(tmp_path, columns, test, validation=columns)
    data = load_on_cpu(name, categories="ids", categorical=["code"])
    (numbers, ids), _ = everything(data)
    assert (numbers.shape, ids.tolist()) == ((1, 1), [[0, 6]])  # color has the ids 0 to 3, code 4 to 6
    assert (data.vocabulary, data.shape) == (7, (1,))


def test_columns_can_be_chosen(tmp_path: Path, load_on_cpu: Load) -> None:
    data = load_on_cpu(write_columns(tmp_path, NUMBERS, validation=NUMBERS), columns=["b"], target_column="a")
    assert data.shape == (1,)


def test_lists_of_numbers_are_columns(tmp_path: Path, load_on_cpu: Load) -> None:
    columns = {"features": [[1.0, 2.0, 3.0]] * 10, "target": list(map(float, range(10)))}
    data = load_on_cpu(write_columns(tmp_path, columns), validation=0.3)
    assert (data.shape, data.description["sizes"]) == ((3,), {"train": 7, "validation": 3, "test": 10})


@pytest.mark.parametrize(
    ("test", "args", "said"),
    [
        ({"a": [1.0], "target": [1.0]}, {}, r"test\.parquet: unknown column 'b'"),
        ({**NUMBERS, "a": [1.0, 2.0, float("nan"), 4.0]}, {}, r"row 2 of test\.parquet: column 'a' holds NaN"),
        ({**NUMBERS, "a": [1.0, float("inf"), 3.0, 4.0]}, {}, r"row 1 of test\.parquet: column 'a' holds NaN or inf"),
        ({**NUMBERS, "b": [0, None, 0, 0]}, {}, r"row 1 of test\.parquet: column 'b' has no number"),
        ({**NUMBERS, "target": [1.0, None, 0.0, 0.0]}, {}, r"row 1 of test\.parquet: column 'target' has no number"),
        ({**NUMBERS, "a": ["x"] * 4}, {}, r"test\.parquet: column 'a' holds text, but numbers in .*train\.parquet"),
        ({**NUMBERS, "b": [True] * 4}, {}, r"column 'b' holds true or false, but numbers in .*train\.parquet"),
        ({**NUMBERS, "target": [True] * 4}, {}, "column 'target' holds true or false, but numbers"),
        (NUMBERS, {"target_column": "targt"}, "unknown target_column 'targt'; did you mean 'target'"),
        (NUMBERS, {"columns": ["c"]}, "unknown column 'c'"),
        (NUMBERS, {"columns": []}, "no column is left"),
        (NUMBERS, {"categories": "ids"}, "needs a column of categories"),
        (NUMBERS, {"label_column": "b", "target_column": "a"}, "both label_column and target_column"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, load_on_cpu: Load, test: dict, args: dict[str, Any], said: str) -> None:
    name = write_columns(tmp_path, NUMBERS, test, validation=NUMBERS)
    with pytest.raises(UserError, match=said):
        load_on_cpu(name, kind="table", **args)


def test_a_table_without_a_target_and_one_with_a_single_class(tmp_path: Path, load_on_cpu: Load) -> None:
    with pytest.raises(UserError, match="none of the columns a, b is the target"):
        load_on_cpu(write_columns(tmp_path / "none", {"a": [1.0, 2.0], "b": [1.0, 2.0]}))
    with pytest.raises(UserError, match="all training samples have the same label"):
        load_on_cpu(write_columns(tmp_path / "one", {"a": [1.0, 2.0], "label": [1, 1]}))
