from pathlib import Path

import pytest

from grape_bench.record.rule_name import RuleName


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("dfa", RuleName("dfa"), "dfa"),
        ("grape+anchor", RuleName("grape", anchored=True), "grape+anchor"),
        ("grape+refit", RuleName("grape+refit"), "grape+refit"),
        ("grape:p4", RuleName("grape", variant="p4"), "grape:p4"),
        ("grape:p4+anchor", RuleName("grape", variant="p4", anchored=True), "grape:p4+anchor"),
        ("path/my.py:MyRule", RuleName("MyRule", "path/my.py"), "MyRule"),
        ("path/my.py:MyRule:p4", RuleName("MyRule", "path/my.py", variant="p4"), "MyRule:p4"),
        ("dfa+finish", RuleName("dfa", finished=True), "dfa+finish"),
        ("path/my.py:MyRule+anchor", RuleName("MyRule", "path/my.py", anchored=True), "MyRule+anchor"),
        (
            "path/my.py:MyRule+anchor+finish",
            RuleName("MyRule", "path/my.py", anchored=True, finished=True),
            "MyRule+anchor+finish",
        ),
    ],
)
def test_a_name_has_parts_and_is_written_as_it_was_read(text: str, name: RuleName, label: str) -> None:
    assert RuleName.parse(text) == name
    assert str(name) == text
    assert name.label == label


def test_the_registry_gets_the_reference_without_anchor() -> None:
    assert RuleName.parse("path/my.py:MyRule+anchor").reference == "path/my.py:MyRule"
    assert RuleName.parse("grape+anchor").reference == "grape"


def test_settings_of_every_shorter_name_apply() -> None:
    assert RuleName.parse("a/my.py:Mine+anchor+finish").labels == ["Mine", "Mine+anchor", "Mine+anchor+finish"]
    assert RuleName.parse("dfa+finish").labels == ["dfa", "dfa+finish"] and RuleName.parse("dfa").labels == ["dfa"]


@pytest.mark.parametrize(("closed", "opened"), [("bp", "bp:open"), ("dfa+anchor+finish", "dfa:open+anchor+finish")])
def test_open_settings_are_a_variant_with_a_name_of_their_own(closed: str, opened: str) -> None:
    assert str(RuleName.parse(closed).opened) == opened and not RuleName.parse(closed).is_open
    assert str(RuleName.parse(opened).closed) == closed and RuleName.parse(opened).is_open
    assert str(RuleName.parse("grape:p4").closed) == "grape:p4", "another variant is a rule of its own"


def test_a_copy_of_the_file_keeps_the_class() -> None:
    assert str(RuleName.parse("a/my.py:MyRule+anchor").moved(Path("b/source.py"))) == "b/source.py:MyRule+anchor"


def test_a_file_label_has_only_safe_characters() -> None:
    assert RuleName.parse("my rule/é").file_label == "my-rule--"
    assert RuleName.parse("grape:lazy").file_label != RuleName.parse("grape-lazy").file_label
