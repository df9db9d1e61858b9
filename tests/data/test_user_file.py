"""Data sets from a user's own file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from grape_bench.data import DataSet
from grape_bench.data.names import check_name
from grape_bench.errors import UserError

Load = Callable[..., DataSet]

CLASSES = """
import numpy as np

def load(count=20):
    x = np.arange(count * 3.0).reshape(count, 3)
    return {"train": (x, np.arange(count) % 2), "test": (x[:4], np.array([0, 1, 0, 1]))}
"""


def write(folder: Path, source: str) -> str:
    (folder / "mine.py").write_text(source)
    return f"{folder}/mine.py:load"


def test_arrays_of_samples_and_classes(tmp_path: Path, load_on_cpu: Load) -> None:
    name = write(tmp_path, CLASSES)
    check_name(name)
    data = load_on_cpu(name, count=40)
    ((inputs,), _), labels = next(data.test.batches(4))
    assert inputs.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert (labels.tolist(), data.objective, data.shape, data.classes) == ([0, 1, 0, 1], "classification", (3,), 2)
    assert data.description["sizes"] == {"train": 36, "validation": 4, "test": 4}


def test_numbers_and_tokens(tmp_path: Path, load_on_cpu: Load) -> None:
    numbers = CLASSES.replace("np.arange(count) % 2", "x[:, 0]").replace("np.array([0, 1, 0, 1])", "x[:4, 0]")
    data = load_on_cpu(write(tmp_path, numbers))
    assert (data.objective, data.target.size, next(data.test.batches(4))[1].shape) == ("regression", 1, (4, 1))
    tokens = "import torch\ndef load():\n    x = torch.arange(40).view(10, 4) % 7\n"
    tokens += '    return {"train": ({"input_ids": x}, x), "test": ({"input_ids": x}, x)}\n'
    data = load_on_cpu(write(tmp_path, tokens))
    assert (data.objective, data.vocabulary, data.classes, len(data.test)) == ("next-token", 7, 7, 40)


def test_an_edited_file_is_another_data_set(tmp_path: Path, load_on_cpu: Load) -> None:
    one = load_on_cpu(write(tmp_path, CLASSES))
    two = load_on_cpu(write(tmp_path, CLASSES + "# edited\n"))
    assert one.description["fingerprint"] != two.description["fingerprint"]
    assert torch.equal(next(one.test.batches(4))[1], next(two.test.batches(4))[1])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", r"the loader returned int[\s\S]*inputs, targets"),
        ("return {'train': ([[1.0]], [0])}", "the loader returned a dict with train"),
        ("return {'train': [[1.0]], 'test': [[1.0]]}", "train split: the split is list"),
        ("return {'train': ([[1.0]], [0, 1]), 'test': ([[1.0]], [0])}", "train split: 1 inputs have 2 targets"),
        ("return {s: ([[float('nan')]] * 2, [0, 1]) for s in ('train', 'test')}", "the inputs hold NaN"),
        ("return {s: ([['a'], ['b']], [0, 1]) for s in ('train', 'test')}", "not an array of numbers"),
        ("return {s: ([[1.0]] * 20, [1] * 20) for s in ('train', 'test')}", "all training samples have the same label"),
        (
            "return {s: ({'input_ids': [[i]] * 4}, [0, 1, 0, 1]) for s, i in (('train', 5), ('test', 6))}",
            "the token id 6 is beyond the vocabulary",
        ),
        ("return 1 / 0", "the loader raised ZeroDivisionError"),
        ("return {s: ([[1j], [2.0]], [0, 1]) for s in ('train', 'test')}", "an array holds complex numbers"),
        (
            "return {s: ([[1.0]] * 3, [0, 1, 10**10]) for s in ('train', 'test')}",
            r"the largest label is 10000000000, but there are 3 labels[\s\S]*class numbers 0, 1, 2",
        ),
        (
            "return {s: ([[1.0]] * 3, [[0, 1], [1, 0], [1, 10**10]]) for s in ('train', 'test')}",
            "the largest label is 10000000000, but there are 6 labels",
        ),
        # Each split has the same arrays. Otherwise training would run, and its test would fail or score something else.
        (
            "return {'train': ([[1.0, 2.0]] * 2, [0, 1]), 'test': ([[1.0]] * 2, [0, 1])}",
            r"test split: input 0: numbers of shape \(N, 1\)[\s\S]*numbers of shape \(N, 2\), as in train",
        ),
        (
            "return {'train': ([[1.0]] * 2, [0, 1]), 'test': ([[1]] * 2, [0, 1])}",
            r"test split: input 0: whole numbers[\s\S]*numbers of shape \(N, 1\), as in train",
        ),
        (
            "return {'train': ({'x': [[1.0]] * 2}, [0, 1]), 'test': ({'y': [[1.0]] * 2}, [0, 1])}",
            "test split: input x: no array",
        ),
        (
            "return {'train': ([[1.0]] * 2, [0, 1]), 'test': ([[1.0]] * 2, [0.0, 1.0])}",
            r"test split: the targets: numbers of shape \(N, 1\)[\s\S]*whole numbers of shape \(N\), as in train",
        ),
    ],
)
def test_what_a_loader_may_not_return(tmp_path: Path, load_on_cpu: Load, body: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_on_cpu(write(tmp_path, f"def load():\n    {body}\n"))


def test_unknown_arguments_and_missing_files_are_refused(tmp_path: Path, load_on_cpu: Load) -> None:
    with pytest.raises(UserError, match="unknown argument 'cuont'; did you mean 'count'"):
        load_on_cpu(write(tmp_path, CLASSES), cuont=3)
    with pytest.raises(UserError, match="no file"):
        check_name(f"{tmp_path}/other.py:load")
    with pytest.raises(UserError, match="'lod' is not a function"):
        load_on_cpu(f"{tmp_path}/mine.py:lod")
