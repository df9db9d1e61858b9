"""The badge of a publication, and what it proves.

Nobody can give a badge to their own submission: reruns are saved outside of it, in
`results/verifications/CONTENT.json`, where only maintainers write. A file is valid for the content whose hash is its
name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grape_bench.publish.verify import Verification
from grape_bench.record.content import parse_object
from grape_bench.record.record import now
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.typed_json import encode
from grape_bench.record.write import write_json

SHARES = (0.1, 0.3, 1.0)
"""Shares of forged runs in `meaning`."""


def caught(share: float, count: int) -> float:
    """The probability that `count` random reruns include a forged run, if this `share` of the runs is forged.

    caught(0.3, 3) = 1 - 0.7 ** 3 = 0.657. Drawing without repetition makes it a little higher.
    """
    return float(1 - (1 - share) ** count)


def meaning(verification: Verification) -> Iterator[str]:
    """What the badge proves and does not prove, in lines for a terminal."""
    reruns = [one for one in verification.reruns if one.name in verification.submission.own]  # the others are BP's
    count = len(reruns)
    if verification.badge == "recomputed":
        yield "the runs agree with the suite, the plan, the code and each other"
        yield "this does not prove that they took place: --rerun K does"
    if verification.badge == "verified":
        chances = ", ".join(f"{caught(share, count):.0%} if {share:.0%} of the runs" for share in SHARES)
        yield f"{count} reruns would find forged scores with a probability of 1 - (1 - f)^{count}: {chances} are forged"
        if tolerance := max(one.tolerance for one in reruns):
            yield f"on this machine a rerun may differ by {tolerance:.3g}, so a smaller forgery passes"
        yield "feature credit, step time and memory are the author's: no rerun measures them again"


STAGES = ("received", "recomputed", "rerun", "confirmed by its authors")
"""The stages of a submission. A maintainer adds `"confirmed": "NAME, DATE"` to the file of its reruns."""


def stage(verification: Verification, folder: Path) -> str:
    """Which of `STAGES` a submission has reached, with the reruns that `folder` holds."""
    badge = badge_of(verification, folder)
    if badge != "verified":
        return STAGES[1] if badge == "recomputed" else STAGES[0]
    confirmed = _saved(verification, folder).get("confirmed")
    return STAGES[3] if isinstance(confirmed, str) and confirmed else STAGES[2]


def write_verification(verification: Verification, seed: int, folder: Path) -> Path:
    """Save the reruns in `folder` under the hash of the content, because they hold only for it. Raises OSError."""
    identity = verification.submission.index["id"]
    path = folder / f"{identity}.json"
    folder.mkdir(parents=True, exist_ok=True)
    reruns = [{**encode(one), "ok": one.ok} for one in verification.reruns]
    write_json(path, {"id": identity, "badge": verification.badge, "when": now(), "seed": seed, "reruns": reruns})
    return path


def badge_of(verification: Verification, folder: Path) -> str:
    """The badge of a publication: "verified" if all checks pass and `folder` has reruns of exactly this content."""
    saved = _saved(verification, folder)
    return "verified" if saved.get("badge") == "verified" and verification.ok else verification.badge


def _saved(verification: Verification, folder: Path) -> dict[str, Any]:
    """The saved reruns of exactly this content; empty if there are none."""
    identity = verification.submission.index["id"]
    try:
        saved = {} if folder.is_symlink() else parse_object(read_text(folder / f"{identity}.json", Largest.DOCUMENT))
    except (OSError, ValueError, RecursionError):
        return {}
    return saved if saved.get("id") == identity else {}
