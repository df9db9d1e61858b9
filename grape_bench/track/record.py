"""One file per job, `record.json`: what was run, how it ended, and everything measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.track.files import write_json
from grape_bench.track.migrate import migrated

SCHEMA = 3  # raised with a step in `migrate` when what a record says changes its place or meaning
RECORD, CURVE, STDERR, MANIFEST = "record.json", "curve.csv", "stderr.txt", "manifest.json"
DIAGNOSTICS = "diagnostics.csv"
STATUSES = ("finished", "diverged", "crashed", "oom", "timeout")
# What a job measures; null where it ended before it could.
MEASURED = ("metric", "result", "time", "memory", "profile", "credit", "diagnostics", "network", "data", "seeds")

Record = dict[str, Any]


def make_record(
    job: Mapping[str, Any],
    *,
    identity: tuple[str, str],
    outcome: Mapping[str, Any],
    environment: Mapping[str, Any],
    started: str,
) -> Record:
    """The record of `job` (its `to_dict`), whose (id, name) is `identity`.

    `outcome` holds `status`, `reason` and what was measured; a `status` outside `STATUSES` raises ValueError.
    """
    if outcome["status"] not in STATUSES:
        raise ValueError(f"status {outcome['status']!r} is not one of {', '.join(STATUSES)}")
    return {
        "schema": SCHEMA,
        "id": identity[0],
        "name": identity[1],
        "suite": job["suite"],
        "suite_version": job["version"],
        "task": job["task"],
        "rule": job["rule"],
        "seed": job["seed"],
        "job": dict(job),
        "status": outcome["status"],
        "reason": outcome.get("reason") or "",
        **{key: outcome.get(key) for key in MEASURED},
        "environment": dict(environment),
        "started": started,
        "ended": now(),
    }


def write_record(folder: Path, record: Record) -> None:
    """Write `record` into its job's `folder` in one step."""
    write_json(folder / RECORD, record)


def read_record(path: Path) -> Record:
    """The record in the file `path`, one of an older schema as of this one.

    Raises UserError where it is not a record, or of a schema that is not known here.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path), hint="delete it and run again") from error
    if not isinstance(record, dict) or record.get("schema") not in range(1, SCHEMA + 1):
        found = record.get("schema") if isinstance(record, dict) else None
        hint = "delete it and run again, or use the version that wrote it"
        raise UserError(f"a record of schema {found}; this version reads 1 to {SCHEMA}", where=str(path), hint=hint)
    return migrated(record, SCHEMA)


def read_records(folder: Path) -> list[Record]:
    """The records below `folder`, one suite's runs, in the order of its manifest.

    With a manifest only the jobs in it count, so that what was run with other settings before is not mixed
    in. Without one every record does, in the order of the folders' names.
    """
    manifest = folder / MANIFEST
    if manifest.is_file():
        jobs = json.loads(manifest.read_text(encoding="utf-8"))["jobs"]
        wanted = {job["name"]: job["id"] for job in jobs}
        paths = [folder / name / RECORD for name in wanted]
        records = [read_record(path) for path in paths if path.is_file()]
        return [record for record in records if record["id"] == wanted.get(record["name"])]
    return [read_record(path) for path in sorted(folder.glob(f"*/{RECORD}"))]


def now() -> str:
    """The time, UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
