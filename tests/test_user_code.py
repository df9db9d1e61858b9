"""User files: finding the modules that a file imports, hashing them, and loading them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.user_code import load_file, user_code


def write(folder: Path, **files: str) -> Path:
    """Write files: `mine="..."` is mine.py, `pkg__init="..."` is pkg/__init__.py. Returns the first."""
    paths = []
    for name, text in files.items():
        path = folder / (name.replace("__init", "/__init__").replace("___", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append(path)
    return paths[0]


IMPORTS = {
    "absolute": {"mine": "import beside\nvalue = beside.value\n"},
    "from": {"mine": "from beside import value\n"},
    "relative": {"mine": "from .beside import value\n"},
    "relative module": {"mine": "from . import beside\nvalue = beside.value\n"},
    "inside a function": {"mine": "def read():\n    import beside\n    return beside.value\nvalue = read()\n"},
    "through another": {"mine": "from other import value\n", "other": "from beside import value\n"},
    "a package": {"mine": "from pkg import value\n", "pkg__init": "from .inner import value\n"}
    | {"pkg___inner": "from beside import value\n"},
    "a folder without __init__": {"mine": "from pkg.inner import value\n", "pkg___inner": "from beside import value\n"},
    "in a package": {
        "pkg___mine": "from .inner import value\n",
        "pkg__init": "",
        "pkg___inner": "from beside2 import value\n",
    }
    | {"beside2": "from beside import value\n"},
    "by its name": {"mine": "import importlib\nvalue = importlib.import_module('beside').value\n"},
}


@pytest.mark.parametrize("files", IMPORTS.values(), ids=IMPORTS.keys())
def test_an_edit_of_an_imported_module_changes_the_hash_and_what_is_loaded(tmp_path: Path, files: dict) -> None:
    path = write(tmp_path, **files, beside="value = 1\n")
    before = user_code(path).digest
    assert load_file(path).value == 1 and load_file(path) is load_file(path)
    write(tmp_path, beside="value = 2\n")
    assert user_code(path).digest != before and load_file(path).value == 2
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.parametrize("files", IMPORTS.values(), ids=IMPORTS.keys())
def test_copies_under_the_names_of_the_files_load_and_have_the_same_hash(tmp_path: Path, files: dict) -> None:
    code = user_code(write(tmp_path / "one", **files, beside="value = 3\n", unrelated="value = 4\n"))
    assert "unrelated.py" not in code.files
    for name, path in code.files.items():
        copy = tmp_path / "two" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    again = user_code(tmp_path / "two" / code.name)
    assert again.digest == code.digest and load_file(again.path).value == 3


def test_a_file_alone_has_the_hash_of_its_content(tmp_path: Path) -> None:
    from hashlib import sha256

    path = write(tmp_path, mine="import json, torch, grape_bench\nvalue = 1\n", json="", torch="", grape_bench="")
    assert user_code(path).digest == sha256(path.read_bytes()).hexdigest()[:16]
    assert load_file(path).value == 1


def test_two_files_use_the_modules_of_their_own_folders(tmp_path: Path) -> None:
    text = "import beside\nvalue = beside.value\n"
    paths = [write(tmp_path / name, mine=text, beside=f"value = {name!r}\n") for name in ("one", "two")]
    assert [load_file(path).value for path in paths] == ["one", "two"]
    assert "beside" in sys.modules


def test_two_files_share_a_module(tmp_path: Path) -> None:
    first = write(tmp_path, one="import beside\n", two="import beside\n", beside="value = []\n")
    assert load_file(first).beside is load_file(tmp_path / "two.py").beside


def test_a_module_of_a_folder_on_pythons_path_belongs_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rules", mine="from elsewhere import value\n")
    write(tmp_path / "lib", elsewhere="value = 5\n")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    assert sorted(user_code(path).files) == ["elsewhere.py", "mine.py"] and load_file(path).value == 5


def test_a_file_that_cannot_be_imported(tmp_path: Path) -> None:
    path = write(tmp_path, mine="import beside\n", beside="raise RuntimeError('no')\n")
    with pytest.raises(UserError, match=r"importing it raised RuntimeError: no"):
        load_file(path)
    write(tmp_path, beside="x = (\n")
    with pytest.raises(UserError, match="importing it raised SyntaxError"):
        load_file(path)
    with pytest.raises(UserError, match="importing it raised ModuleNotFoundError"):
        load_file(write(tmp_path, other="import not_there_at_all\n"))
