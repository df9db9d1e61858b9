"""`grape-bench sync`: copy existing records to MLflow or another store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from grape_bench.cli.names import RunFolder
from grape_bench.cli.say import amount, say
from grape_bench.cli.tracking import summarize, tracking
from grape_bench.errors import UserError, redacted

if TYPE_CHECKING:
    from grape_bench.record.record import Record
    from grape_bench.track.store import Sweep


@click.command("sync")
@click.argument("runs", nargs=-1, required=True, type=RunFolder())
@tracking("MLflow store, tensorboard:DIR, or file.py:MyStore.")
def command(runs: tuple[Path, ...], tracking_uri: str) -> None:
    """Copy the records of RUNS (such as runs/quickstart) to a store. Records that are already there are skipped."""
    from grape_bench.track.mirror import finish, in_a_line
    from grape_bench.track.store import store_class

    open_store = store_class(tracking_uri)
    for folder in runs:
        sweep, records, complete = _read(folder)
        try:
            store = open_store(tracking_uri, sweep)
            copied = sum(store.add(record) for record in records)
            finish(store, folder, complete, summarize)
        except UserError:
            raise
        except Exception as error:  # a store passes on any error of its database, network or server
            hint = "check --tracking-uri; when the store answers, run the same command to resume"
            raise UserError(f"the store failed: {in_a_line(error)}", where=redacted(tracking_uri), hint=hint) from error
        if store.note:
            say(f"warning: {store.note}", err=True)
        say(f"{folder}: {amount(copied, 'job')} copied, {len(records) - copied} already there ({store.place})")


def _read(folder: Path) -> tuple[Sweep, list[Record], bool]:
    """Return the sweep in `folder`, its records, and whether every job of its table has one."""
    from grape_bench.execute.resume import survey
    from grape_bench.record.folder import read_folder
    from grape_bench.record.manifest import MANIFEST, read_manifest
    from grape_bench.track.store import Sweep

    manifest = read_manifest(folder / MANIFEST)
    sweep = Sweep(manifest.suite, manifest.version, manifest.sweep, folder)
    recorded = read_folder(folder)
    return sweep, recorded.records, not survey(recorded.jobs(), folder).pending
