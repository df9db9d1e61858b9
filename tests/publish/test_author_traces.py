"""What identifies an author is found in every common form, and code is not taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.publish.author_patterns import GENERAL_MARKS, Mark, address_parts, marks, person_pattern
from grape_bench.publish.author_traces import prose, traces
from tests.publish.author import become

COMMIT = "4d0f6b1c9a7e2853bb6120d9f3ac47e851f0c2d8"


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Each mark of the author as (text, what it is), found in a text that has all of them."""
    known = marks([become(tmp_path, monkeypatch)], [COMMIT])
    text = "zelda WINDMILL7 windmill7.mancha.example rocinante.mancha.example Z. Quixote dulcinea_lab thesis 4d0f6b1c9"
    return {(trace.text, trace.about) for trace in traces(text, known)}


def test_the_marks_of_a_machine_its_user_and_a_repository(found: set[tuple[str, str]]) -> None:
    assert found >= {
        ("zelda", "your user name"),
        ("WINDMILL7", "the name of your machine"),
        ("windmill7.mancha.example", "the name of your machine"),
        ("rocinante.mancha.example", "the host of your MLflow store"),
        ("Z. Quixote", "your name in git"),
        ("dulcinea_lab", "in the address of your git remote origin"),
        ("4d0f6b1c9", "the commit of your runs"),
    }
    assert "thesis" not in {text for text, _ in found}, "a project often has the name of the rule"


def mark(name: str) -> Mark:
    pattern = person_pattern(name)
    assert pattern
    return Mark("a name", pattern)


@pytest.mark.parametrize(
    "text",
    [
        *("Jané Doe", "JANE DOE", "jane_doe", "JaneDoe", "Jane M. Doe", "J. Doe", "jdoe", "Doe, Jane", "by Jane"),
        *("by Doe", "doe2", "doe_rule.py", "DoeRule"),
    ],
)
def test_the_forms_of_a_name(text: str) -> None:
    assert list(traces(text, [mark("Jane Doe")]))


@pytest.mark.parametrize("text", ["doer", "undoe", "jane", "Janet", "does", "endoetic", "DOES"])
def test_words_that_contain_a_name_are_not_it(text: str) -> None:
    assert not list(traces(text, [mark("Jane Doe")]))


def test_short_names_match_as_a_whole_only() -> None:
    assert not list(traces("for x in range(3): xi = in_features", [mark("Xi In")]))
    assert list(traces("# by Xi In", [mark("Xi In")])) and list(traces("xi_in.py", [mark("Xi In")]))
    assert person_pattern("李") is None and person_pattern("") is None


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("git@github.com:jane/rule.git", ["jane"]),
        ("https://token@git.uni.example/group/jane/rule", ["git.uni.example", "group", "jane"]),
        ("ssh://git@codeberg.org:22/jane/rule", ["jane"]),
        ("../rule", [""]),
    ],
)
def test_the_owner_and_the_host_of_a_remote(address: str, parts: list[str]) -> None:
    assert address_parts(address) == parts


IDENTIFYING = {
    "jane@uni.example": "# by jane@uni.example",
    "jane.doe (at) uni.example": 'x = "jane.doe (at) uni.example"',
    "/home/jane/data": 'open("/home/jane/data")',
    "/scratch/lab/x.npy": "# read from /scratch/lab/x.npy, once",
    "~/data/x": "'see ~/data/x'",
    "C:\\Users\\jane": 'path = r"C:\\Users\\jane\\x.py"',
    "__author__": "__author__ = 'x'",
    "Author:": "# Author: x",
    "Copyright": "# Copyright 2026 x",
}
INNOCENT = [
    "y = W@error.mT + (a@b.grad).sum()",
    "half = x//y/z",
    "# the ratio a/b/c, and 3/4 of (N, C)/(H, W)/2",
    '"""See https://arxiv.org/abs/1609.01596 and docs/rules.md."""',
    "#!/usr/bin/env python",
    'open("/dev/null"), open("/tmp/cache/x")',
    "@gb.register_rule('x')",
    "# the authors of DFA say so",
]


@pytest.mark.parametrize(("text", "line"), IDENTIFYING.items())
def test_what_identifies_anyone(text: str, line: str) -> None:
    found = list(traces(f"import os\n\n{line}\n", GENERAL_MARKS, python=True))
    assert [(one.text, one.line, one.around) for one in found] == [(text, 3, line)]


@pytest.mark.parametrize("line", INNOCENT)
def test_code_and_references_identify_nobody(line: str) -> None:
    assert not list(traces(line + "\n", GENERAL_MARKS, python=True))


def test_comments_and_strings_stay_on_their_lines() -> None:
    source = 'a = b@c.d  # one\n\nx = """two\nthree"""\n'
    assert [line.split() for line in prose(source).split("\n")] == [["#", "one"], [], ['"""two'], ['three"""']]
    assert prose("x = (") == "x = ("
