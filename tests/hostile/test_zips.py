"""A hostile zip ends in one message, leaves nothing behind, and takes little memory."""

from __future__ import annotations

import os
import random
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED

import pytest
from click.testing import CliRunner

from grape_bench.cli.main import cli
from grape_bench.errors import UserError
from grape_bench.publish.archive import opened, write_archive
from tests.hostile.zips import HOSTILE, INDEX, MIB, bomb, zipped


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a zip. Whatever is unpacked lies in tmp_path/unpacked."""
    (tmp_path / "unpacked").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "unpacked"))
    return tmp_path / "sent.zip"


def left(path: Path) -> list[str]:
    return sorted(one.relative_to(path.parent).as_posix() for one in path.parent.rglob("*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("make", "why"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_zip_is_refused(path: Path, make: Callable[[], bytes], why: str) -> None:
    path.write_bytes(make())
    done = CliRunner().invoke(cli, ["verify", str(path)], catch_exceptions=False)
    assert done.exit_code == 2 and why in done.output
    assert done.output.startswith(f"error: {path}: not a zip of a publication: ")
    assert str(path.parent / "unpacked") not in done.output
    assert left(path) == ["sent.zip", "unpacked"]


def test_what_a_bomb_hides_is_never_held(path: Path) -> None:
    path.write_bytes(bomb())
    tracemalloc.start()
    with opened(path) as folder:
        assert (folder / "index.json").read_bytes() == bytes(100)  # as many as it says it has
    assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    tracemalloc.stop()


def test_a_zip_of_any_packer_is_read(path: Path) -> None:
    """Compressed, with entries for folders, in a folder of another name or in none."""
    for inside in ("", "mine/"):
        files = [(f"{inside}{name}", b"x") for name in ("index.json", "runs/a/record.json")]
        path.write_bytes(zipped(*[(f"{inside}runs/", b"")], *files, kind=ZIP_DEFLATED))
        with opened(path) as folder:
            assert (folder / "runs" / "a" / "record.json").read_text() == "x"
        assert left(path) == ["sent.zip", "unpacked"]


def test_an_error_names_the_zip_and_not_where_it_was_unpacked(path: Path) -> None:
    path.write_bytes(zipped(INDEX))
    done = CliRunner().invoke(cli, ["verify", str(path)], catch_exceptions=False)
    assert done.exit_code == 2 and done.output.startswith(f"error: {path}: not a published folder: index.json: ")


def test_zips_with_changed_bytes(path: Path) -> None:
    folder = path.parent / "folder"
    (folder / "runs" / "a").mkdir(parents=True)
    for name in ("index.json", "rule.toml", "runs/a/record.json"):
        (folder / name).write_text("{}" * 20)
    write_archive(folder, path, "s/r")
    content, draw, read = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 3))):
            changed[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(changed)
        try:
            with opened(path) as unpacked:
                read += len(list(unpacked.rglob("*.json")))
        except UserError as error:
            assert error.what.startswith("not a zip of a publication: ")
    assert read > 0 and not list((path.parent / "unpacked").iterdir())


def test_a_zip_that_is_too_large_is_not_read(path: Path) -> None:
    path.touch()
    os.truncate(path, 257 * MIB)
    with pytest.raises(UserError, match="it is larger than 256 MiB"), opened(path):
        pass
