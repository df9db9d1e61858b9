from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.record.write import output, write_text


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "table.md", "old")
    with pytest.raises(KeyError), output(tmp_path / "table.md") as draft:
        draft.write_text("half of the ne")
        raise KeyError
    assert (tmp_path / "table.md").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_in_the_files_place_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "table.md").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / "table.md", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]
