"""Names that people can tell apart: one spelling, no invisible characters, nothing that looks like another name.

The approach of Unicode's report 39, reduced to the letters that can pass for the Latin ones of the names that ship.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from grape_bench.errors import INVISIBLE

SCRIPTS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "GEORGIAN", "LISU"})
"""Scripts whose letters look alike. A name has letters of at most one of them."""

MARKS = "_-+."
"""What a name may contain besides letters and digits."""

LOOKALIKES = str.maketrans(
    "авсԁеёһіїјкӏмոнорԛгѕтцхуүԝզαβγεηικνορτυχωϲϳոսօցհյղաքⅼ01|",
    "abcdeehiijklmnhopqrstuxyywqabyenikvoptuxwcjnuoghjnwploll",
)
"""Letters of other scripts, and digits, with the Latin letter that each can pass for."""

_LATIN = re.compile(r"LATIN (?:SMALL|CAPITAL)? ?LETTER .*?\b([A-Z])(?: WITH .*)?$")


def flaw(name: str) -> str:
    """Why `name` is not a normal name, or "" if it is one."""
    if unicodedata.normalize("NFKC", name) != name:
        return f"{name!a} is not in its normal form (NFKC), which is {unicodedata.normalize('NFKC', name)!a}"
    odd = [c for c in name if not (c.isalnum() or c in MARKS or unicodedata.category(c) in ("Mn", "Mc"))]
    odd += INVISIBLE.findall(name)
    if odd:
        return f"{name!a} has the character {unicodedata.name(odd[0], ascii(odd[0]))}"
    if not name or not name[0].isalnum():
        return f"{name!a} does not start with a letter or digit"
    if len(mixed := sorted({script for c in name if (script := _script(c)) in SCRIPTS})) > 1:
        return f"{name!a} mixes letters that look alike: {' and '.join(mixed)}"
    return ""


def lookalike(name: str, known: Iterable[str]) -> str:
    """The name among `known` that `name` could be mistaken for, or "" if there is none."""
    own = skeleton(name)
    return next((other for other in known if skeleton(other) == own), "")


def skeleton(name: str) -> str:
    """The form of a name that ignores case, accents, marks and the script of similar letters."""
    plain = unicodedata.normalize("NFKD", name)
    letters = [c for c in plain if not unicodedata.category(c).startswith(("M", "C", "Z"))]
    folded = "".join(map(_latin, letters)).casefold().translate(LOOKALIKES)
    joined = "".join(c for c in folded if c not in MARKS).replace("i", "l")
    return joined.replace("rn", "m").replace("vv", "w")


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""


def _latin(character: str) -> str:
    """The letter behind a Latin letter with a stroke, hook or other shape; any other character as it is."""
    found = _LATIN.match(unicodedata.name(character, "")) if not character.isascii() else None
    return found[1] if found else character
