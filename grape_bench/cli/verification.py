"""What `verify` and `publish` print about a verification: for a reader, or for `--json`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grape_bench.cli.say import say
from grape_bench.errors import in_one_line

if TYPE_CHECKING:
    from grape_bench.publish.verify import Verification

SHOWN = 5  # problems to print per check


def show(verification: Verification, place: Path) -> None:
    """Print a line per check and per rerun, the problems, and the badge. `place` is the folder or zip."""
    from grape_bench.publish.badge import meaning
    from grape_bench.publish.verify import BADGES

    for outcome in verification.outcomes:
        _say_whether(outcome.ok, f"{outcome.name:<12} {outcome.about}")
        for problem in outcome.problems[:SHOWN]:
            say(f"          {in_one_line(problem)}")
        if len(outcome.problems) > SHOWN:
            say(f"          and {len(outcome.problems) - SHOWN} more")
    for rerun in verification.reruns:
        found = rerun.reason if rerun.found is None else f"{rerun.found:.6g}"
        allowed = "to the bit" if rerun.exact else f"± {rerun.tolerance:.3g}"
        published = f"published {rerun.published:.6g} {allowed}"
        _say_whether(rerun.ok, f"rerun        {rerun.name}: {in_one_line(found)}, {published}")
        for caveat in rerun.caveats:
            say(f"          {in_one_line(caveat)}")
    for need in _needs(verification):
        say(f"needs   {in_one_line(need)}, to rerun")
    if digest := _digest(verification):
        say(f"digest  {digest} of curves, table and code, equal with and without --anonymous")
    say(f"{place}: {verification.badge} ({BADGES[verification.badge]})")
    for line in meaning(verification):
        say(f"  {line}")


def values(verification: Verification, place: Path) -> dict[str, Any]:
    """What `show` prints, for `--json`, with all problems."""
    outcomes = [{**dataclasses.asdict(outcome), "ok": outcome.ok} for outcome in verification.outcomes]
    return {
        "place": str(place),
        "ok": verification.ok,
        "badge": verification.badge,
        "digest": _digest(verification),
        "outcomes": outcomes,
        "reruns": [{**dataclasses.asdict(rerun), "ok": rerun.ok} for rerun in verification.reruns],
        "needs": _needs(verification),
    }


def _needs(verification: Verification) -> list[str]:
    from grape_bench.publish.relocate import needs

    return needs(record.job for record in verification.submission.records.values())


def _digest(verification: Verification) -> str | None:
    """The hash of the files that are the same with and without `--anonymous`. None if a check failed."""
    from grape_bench.publish.index import shared_id

    return shared_id(verification.submission.index["files"]) if verification.ok else None


def _say_whether(ok: bool, text: str) -> None:
    word, color = ("ok    ", "green") if ok else ("FAILED", "red")
    say(f"  {text}", word=word, color=color)
