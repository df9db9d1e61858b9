"""A local database is complete or absent, and a damaged one is set aside at once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.track import database
from grape_bench.track.database import damage, database_of, holds_runs, prepare, replace_empty


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlflow.db", Path("mlflow.db")),
        ("sqlite:////data/mlflow.db?timeout=30", Path("/data/mlflow.db")),
        ("sqlite:///:memory:", None),
        ("http://mlflow.example:5000", None),
    ],
)
def test_only_a_local_store_is_a_file(uri: str, path: Path | None) -> None:
    assert database_of(uri) == path


def half_made(path: Path) -> None:
    """As a process leaves it that is killed while it creates the tables."""
    with closing(sqlite3.connect(path)) as connection:
        for table in ("experiments", "runs", "alembic_version"):
            connection.execute(f"CREATE TABLE {table} (version_num TEXT)")


def without_version(path: Path) -> None:
    """As a process leaves it that is killed before the first of MLflow's migrations."""
    with closing(sqlite3.connect(path)) as connection:
        for table in database._TABLES:
            connection.execute(f"CREATE TABLE {table} (version_num TEXT)")


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.touch(), "it is empty"),
    (lambda path: path.write_bytes(b"\x01\x99" * 4000), "file is not a database"),
    (lambda path: path.write_bytes(b"\0" * 8192), "file is not a database"),
    (half_made, "it was not created completely"),
    (without_version, "it was not created completely"),
]


@pytest.mark.parametrize(("broken", "why"), BROKEN)
def test_a_damaged_database_is_set_aside(
    broken: Callable[[Path], object], why: str, copied: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "mlflow.db"
    broken(path)
    note = prepare(path)
    assert f"was damaged ({why}) and is now mlflow.db.damaged; `grape-bench sync runs/*`" in note
    assert damage(path) == "" and not holds_runs(path)
    assert prepare(path) == ""


def test_the_log_of_a_database_goes_with_it(copied: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()
    path.with_name("mlflow.db-wal").write_bytes(b"its log")
    prepare(path)
    assert path.with_name("mlflow.db.damaged-wal").read_bytes() == b"its log"
    assert not path.with_name("mlflow.db-wal").exists()


def test_a_database_with_its_tail_cut_off_is_damaged(copied: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    prepare(path)
    path.write_bytes(path.read_bytes()[:-200_000])
    assert "mlflow.db.damaged" in prepare(path)


def test_the_database_of_another_program_is_left_alone(copied: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="belongs to another program"):
        prepare(path)
    assert path.read_bytes() == before


def test_a_process_that_ends_while_it_makes_one_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(uri: str, *_: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", killed)
    (tmp_path / ".123.mlflow.db").write_bytes(b"half")  # of a process that was killed earlier
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "mlflow.db")
    assert [path.name for path in tmp_path.iterdir()] == [".mlflow.db.lock"]


def test_two_suites_that_start_at_once_make_one(
    copied: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def slowly(path: Path) -> None:
        made.append(path)
        time.sleep(0.2)
        copied(path)

    monkeypatch.setattr(database, "_make", slowly)
    both = [threading.Thread(target=prepare, args=(tmp_path / "new" / "mlflow.db",)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(made) == 1 and damage(made[0]) == ""


def test_only_a_database_without_runs_is_replaced(copied: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    prepare(path)
    assert "it was not created completely" in replace_empty(path, RuntimeError("duplicate column name"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO runs (run_uuid) VALUES ('a')")
        connection.commit()
    with pytest.raises(RuntimeError, match="duplicate column name"):
        replace_empty(path, RuntimeError("duplicate column name"))
