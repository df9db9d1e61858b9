"""A local tracking database: created in one step, checked before use, and renamed if it is damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.record.damage import set_aside
from grape_bench.record.write import replacing

SQLITE = "sqlite:///"
_TABLES = {"alembic_version", "experiments", "runs", "tags", "params", "metrics", "latest_metrics"}
_SIDE_FILES = ("-journal", "-wal", "-shm")


def database_of(uri: str) -> Path | None:
    """Return the file of a `sqlite:///` store, or None for any other store."""
    name = uri.removeprefix(SQLITE).partition("?")[0]
    return Path(name) if uri.startswith(SQLITE) and name not in ("", ":memory:") else None


def prepare(path: Path) -> str:
    """Create the database at `path` if there is none. Returns a note for the user if a damaged one was renamed.

    Other processes that call this wait. If the process is killed, the database is complete or absent. Raises OSError,
    and UserError for a database of another program.
    """
    if path.exists() and not damage(path):
        return ""
    with _locked(path):
        why = damage(path) if path.exists() else ""
        note = _set_aside(path, why) if why else ""
        if not path.exists():
            _make(path)
    return note


def replace_empty(path: Path, error: Exception) -> str:
    """Replace a database that MLflow cannot open, if no run is in it. Returns a note for the user, else raises `error`.

    Such a database comes from a process that was killed while it created the tables.
    """
    with _locked(path):
        if holds_runs(path):
            raise error
        note = _set_aside(path, "it was not created completely")
        _make(path)
    return note


def damage(path: Path) -> str:
    """Return what is wrong with the database at `path`, or "". Raises UserError for one that is not MLflow's."""
    if path.stat().st_size == 0:
        return "it is empty"
    try:
        with closing(sqlite3.connect(path, timeout=10)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and not tables & _TABLES:
                hint = "--tracking-uri sqlite:///OTHER.db"
                raise UserError("this database belongs to another program", where=str(path), hint=hint)
            if not tables >= _TABLES or not database.execute("SELECT * FROM alembic_version").fetchall():
                return "it was not created completely"
            database.execute("SELECT count(*) FROM runs").fetchall()
    except sqlite3.OperationalError as error:
        return "" if "locked" in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return ""


def holds_runs(path: Path) -> bool:
    """Return whether any run is stored at `path`, or True if this cannot be determined."""
    try:
        with closing(sqlite3.connect(path, timeout=10)) as database:
            return bool(database.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.DatabaseError:
        return True


def _set_aside(path: Path, why: str) -> str:
    kept = set_aside(path)
    for suffix in _SIDE_FILES:  # with them, SQLite would roll back the new database
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(kept.with_name(kept.name + suffix))
    again = "`grape-bench sync runs/*` copies the records of other suites again"
    return f"{path} was damaged ({why}) and is now {kept.name}; {again}"


def _make(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for draft in path.parent.glob(f".*.{path.name}*"):
        draft.unlink()  # left by a killed process
    with replacing(path) as draft:
        SqlAlchemyStore(f"{SQLITE}{draft.resolve()}", "./mlruns").engine.dispose()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for other processes that make or replace this database. The kernel frees the lock of a killed process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
