import json
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.record.write import new_folder, output, write_json, write_text


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "table.md", "old")
    with pytest.raises(KeyError), output(tmp_path / "table.md") as draft:
        draft.write_text("half of the ne")
        raise KeyError
    assert (tmp_path / "table.md").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_at_the_files_path_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "table.md").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / "table.md", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]


def test_json_is_strict_and_infinity_survives(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"clip": float("inf"), "low": [-float("inf")], "lost": float("nan"), "text": "inf"})
    text = (tmp_path / "a.json").read_text()
    assert "Infinity" not in text and "NaN" not in text
    assert json.loads(text) == {"clip": float("inf"), "low": [-float("inf")], "lost": None, "text": "inf"}


def test_a_folder_is_complete_or_absent(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_folder(tmp_path / "runs") as draft:
        (draft / "half").touch()
        raise KeyError
    assert not list(tmp_path.iterdir())
    for content in ("old", "new"):
        with new_folder(tmp_path / "runs", replace=True) as draft:
            (draft / content).touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["runs", "new"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rename = tmp_path / "made", Path.rename
    folder.mkdir()
    (folder / "old").touch()

    def full(path: Path, target: Path) -> Path:
        if target == folder and ".old" not in path.name:
            raise OSError("no space left on the device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="no space"), new_folder(folder, replace=True) as draft:
        (draft / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "old"]
