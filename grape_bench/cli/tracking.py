"""The store that a command copies records to: its option, and what the command says about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from grape_bench.cli.say import say
from grape_bench.errors import redacted
from grape_bench.track.uri import NONE, TRACKING_URI, VARIABLE

if TYPE_CHECKING:
    from grape_bench.track.mirror import Mirror


def tracking(text: str, default: str = TRACKING_URI) -> Callable[..., Any]:
    """Add the option `--tracking-uri` to a command. Without it MLflow's own variable counts, and then `default`."""
    return click.option(
        "--tracking-uri",
        default=default,
        show_default=True,
        envvar=VARIABLE,
        show_envvar=True,
        metavar="URI",
        help=text,
    )


def mirror_of(uri: str) -> Mirror | None:
    """Return a mirror into the store `uri`, or None if `uri` is `none`. Raises UserError if no class opens it."""
    from grape_bench.track.mirror import Mirror
    from grape_bench.track.store import store_class

    return None if uri == NONE else Mirror(uri, store_class(uri), summarize)


def summarize(runs: Path, target: Path) -> None:
    """Write table.csv and index.html for the runs in `runs` to `target`, if any of them has a result."""
    from grape_bench.record.write import write_text
    from grape_bench.report import csv, page
    from grape_bench.score.results import results
    from grape_bench.track.runs import read_runs

    found = read_runs(runs)
    if not any(record.status.is_result and record.job.trial is None for record in found.records):
        return
    scored = results(found.records, found.curves, found.diagnostics)
    csv.write_scores(scored.table, target)
    write_text(target / "index.html", page.render(scored))


def say_where(folder: Path, mirror: Mirror | None) -> None:
    """Print where the copies of the records of `folder` are, or why some are missing."""
    if mirror is None:
        return
    uri = redacted(mirror.uri)
    if mirror.note:
        say(f"warning: {mirror.note}", err=True)
    if mirror.warning:
        later = f"grape-bench sync {folder} --tracking-uri {uri}"
        what = f"not every job was copied to the store ({mirror.warning})"
        say(f"warning: {what}; to copy them later: {later}", err=True)
        return
    source = click.get_current_context().get_parameter_source("tracking_uri")
    named = f" (from {VARIABLE})" if source is ParameterSource.ENVIRONMENT else ""
    say(f"copies   {mirror.place}{named}")
