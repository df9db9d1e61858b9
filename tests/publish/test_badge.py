from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from grape_bench.publish.badge import badge_of, caught, meaning, write_verification
from grape_bench.publish.rerun import Rerun
from grape_bench.publish.verify import Verification

AGREES = Rerun("job", 90.0, 90.0, 0.0, exact=True)


def verification(*reruns: Rerun, identity: str = "a" * 64, ok: bool = True) -> Verification:
    submission = cast(Any, SimpleNamespace(index={"id": identity}, own={AGREES.name: None}))
    return Verification(submission, [cast(Any, SimpleNamespace(ok=ok))], reruns)


def test_what_random_reruns_catch() -> None:
    assert caught(0.3, 3) == pytest.approx(1 - 0.7**3)
    assert caught(0.0, 5) == 0 and caught(1.0, 1) == 1


def test_reruns_count_for_their_content_alone(tmp_path: Path) -> None:
    write_verification(verification(AGREES), 7, tmp_path)
    assert badge_of(verification(), tmp_path) == "verified"
    assert badge_of(verification(identity="b" * 64), tmp_path) == "recomputed"
    assert badge_of(verification(ok=False), tmp_path) == "reported"


def test_a_damaged_or_linked_verification_gives_no_badge(tmp_path: Path) -> None:
    path = write_verification(verification(AGREES), 7, tmp_path / "saved")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / path.name).symlink_to(path)
    assert badge_of(verification(), tmp_path / "linked") == "recomputed"
    path.write_text('{"id": ')
    assert badge_of(verification(), tmp_path / "saved") == "recomputed"


def test_the_meaning_of_a_badge_is_printed() -> None:
    assert "does not prove" in " ".join(meaning(verification()))
    line, rest = meaning(verification(AGREES, AGREES))
    assert line == (
        "2 reruns would find forged scores with a probability of 1 - (1 - f)^2: "
        "19% if 10% of the runs, 51% if 30% of the runs, 100% if 100% of the runs are forged"
    )
    assert "no rerun measures them again" in rest
    elsewhere = [replace(AGREES, exact=False, tolerance=0.9), replace(AGREES, name="bp", exact=False, tolerance=1.0)]
    count, limit, _ = meaning(verification(*elsewhere))
    assert count.startswith("1 reruns would find") and limit == (
        "on this machine a rerun may differ by 0.9, so a smaller forgery passes"
    )
    assert list(meaning(verification(ok=False))) == []
