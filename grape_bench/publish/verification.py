"""`verification.json`: that somebody ran cells of a publication again, and what came out."""

from __future__ import annotations

import json
from pathlib import Path

from grape_bench.publish.index import VERIFICATION
from grape_bench.publish.verify import Verification
from grape_bench.record.record import now
from grape_bench.record.write import write_json


def write_verification(verification: Verification, seed: int) -> Path:
    """Keep a verification with its reruns beside the index; it holds for exactly this content."""
    path = verification.submission.folder / VERIFICATION
    reruns = [
        {"name": r.name, "published": r.published, "found": r.found, "tolerance": r.tolerance, "ok": r.ok}
        for r in verification.reruns
    ]
    content = {"id": verification.submission.index["id"], "badge": verification.badge, "when": now(), "seed": seed}
    write_json(path, {**content, "reruns": reruns})
    return path


def badge_of(verification: Verification) -> str:
    """The badge of a publication: what was just checked, or "verified" where a kept rerun is of this very content."""
    try:
        kept = json.loads((verification.submission.folder / VERIFICATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return verification.badge
    same = isinstance(kept, dict) and kept.get("id") == verification.submission.index["id"]
    return "verified" if same and verification.ok and kept.get("badge") == "verified" else verification.badge
