"""Folders of CSV files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grape_bench.data import DataSet
from grape_bench.errors import UserError

Load = Callable[..., DataSet]

GOOD = "a,label\n1,0\n2,1\n"


def write(folder: Path, **splits: str) -> str:
    for split, text in splits.items():
        (folder / f"{split}.csv").write_text(text, encoding="utf-8")
    return f"csv:{folder}"


def test_a_table(tmp_path: Path, load_on_cpu: Load) -> None:
    text = "\ufeffage,city,label\n" + '30,"Basel, CH",yes\n20,NA,no\n' * 10
    data = load_on_cpu(write(tmp_path, train=text, dev=text, test=text))
    assert (data.shape, data.classes) == ((3,), 2)  # the age and two cities, one of which is called NA
    assert data.description["sizes"] == {"train": 20, "validation": 20, "test": 20}


def test_sentences(tmp_path: Path, load_on_cpu: Load) -> None:
    text = "text,label\n" + "so good,1\nso bad,2\n" * 10
    data = load_on_cpu(write(tmp_path, train=text, test=text))
    assert (data.objective, data.vocabulary, data.description["class_values"]) == ("classification", 6, [1, 2])


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("a,label\n1,0\n2\n", r"test split, test.csv: the file cannot be read: .*Expected 2 columns"),
        ("", r"test split, test.csv: the file cannot be read"),
        ("a,a,label\n1,2,0\n", r"test split, test.csv: 2 columns have the name 'a'"),
        ("b,label\n1,0\n", r"test split, test.csv: unknown column 'a'"),
        ("a,label\n,0\n", r"test split, test.csv: column 'a' has type null"),
        ("a,label\n1,0\n,1\n", r"test split, row 1 of test.csv: column 'a' has no number"),
        ("a,label\nnan,0\n", r"test split, row 0 of test.csv: column 'a' holds NaN"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, load_on_cpu: Load, test: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_on_cpu(write(tmp_path, train=GOOD, dev=GOOD, test=test))


def test_other_encodings_and_separators_are_refused(tmp_path: Path, load_on_cpu: Load) -> None:
    name = write(tmp_path, train="city,label\nBern,0\nGenf,1\n", test="")
    (tmp_path / "test.csv").write_bytes("city,label\nZürich,0\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"test.csv: column 'city' is not UTF-8 text"):
        load_on_cpu(name)
    with pytest.raises(UserError, match=r"train.csv: there is one column, called 'a;label'[\s\S]*commas"):
        load_on_cpu(write(tmp_path, train="a;label\n1;0\n", test=GOOD))
