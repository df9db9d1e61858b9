"""The pages of results/ that are rendered from templates have no measured number that was typed by hand."""

import re
from pathlib import Path

import pytest

from benchmarks import results

each = pytest.mark.parametrize("template", results.TEMPLATES, ids=lambda path: str(path.relative_to(results.RESULTS)))
NOTES = sorted(results.RESULTS.glob("*/notes.md"))
PUBLISHED = {"1.06", "1.20", "98.0", "98.6", "41"}
"""Figures of papers."""
SET = {"95"}
"""The share of an interval, and the accuracy from which a seed counts as solved."""
TYPED = re.compile(r"\d+\.\d+|\d+(?= (?:%|points))")
"""A number that was typed in and reads like a measurement."""


@each
def test_a_page_is_rendered_from_the_records(template: Path) -> None:
    """Update it with `python -m benchmarks.results --text`."""
    assert template.with_suffix("").read_text(encoding="utf-8") == results.page(template)


@each
def test_a_template_states_measured_numbers_only_as_expressions(template: Path) -> None:
    prose = re.sub(r"\{[{%].*?[%}]\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(TYPED.findall(prose)) <= PUBLISHED | SET


@pytest.mark.parametrize("notes", NOTES, ids=lambda path: path.parent.name)
def test_the_notes_of_every_suite_have_a_template(notes: Path) -> None:
    assert notes.with_name("notes.md.jinja") in results.TEMPLATES


def test_a_sentence_cannot_say_that_a_rule_leads_where_it_does_not() -> None:
    assert results.suite("core").above("cifar10-16-cnn", "grape", "dfa") > 0
    with pytest.raises(ValueError, match="on cifar10-16-cnn, dfa is not resolved above grape"):
        results.suite("core").above("cifar10-16-cnn", "dfa", "grape")


def test_a_lead_is_an_interval_without_its_sign_and_needs_the_right_direction() -> None:
    suite = results.suite("vision-small")
    assert (
        suite.paired("cifar10-cnn", "dfa", "grape")
        == f"-{results.plus_minus(suite.lead('cifar10-cnn', 'grape', 'dfa'))}"
    )
    with pytest.raises(ValueError, match="on cifar10-cnn, dfa is not resolved above grape"):
        suite.lead("cifar10-cnn", "dfa", "grape")


def test_a_lead_whose_interval_includes_zero_is_none() -> None:
    with pytest.raises(ValueError, match="on mlp-depth-16, dfa is not resolved above frozen"):
        results.suite("depth").lead("mlp-depth-16", "dfa", "frozen")


def test_a_share_starts_at_its_zero_and_ends_at_bp() -> None:
    suite = results.suite("vision-small")
    assert [suite.share("mnist-cnn", rule, "head-only") for rule in ("head-only", "bp")] == [0, 1]
    assert 0 < suite.share("mnist-cnn", "dfa", "head-only") < suite.share("mnist-cnn", "grape", "head-only") < 1


def test_rules_are_found_by_the_words_of_the_table() -> None:
    suite = results.suite("vision-small")
    assert suite.rules("cifar10-cnn", "vs_dfa", "tied") == ["dfa+anchor"]
    assert suite.rules("cifar10-cnn", "vs_control", "worse") == ["head-only"]


def test_only_measured_diagnostics_count() -> None:
    suite = results.suite("walk-back")
    assert len(suite.diagnosed("vit", "dfa", "signal_cos")) == 3
    assert suite.diagnosed("vit", "frozen", "signal_cos") == []


@pytest.mark.parametrize(
    ("values", "text"), [([0.72, 0.61], "0.6 to 0.7"), ([0.61, 0.62], "0.6"), ([1234.0], "1,234.0")]
)
def test_a_span_has_the_smallest_and_the_largest_number(values: list[float], text: str) -> None:
    assert results.span(values) == text


def test_paragraphs_and_items_are_wrapped_and_blank_lines_stay() -> None:
    text = "# Title\n\nword\nword\n\n- one\n  two\n- three\n\n```sh\na\nb\n```"
    assert results.wrapped(text) == "# Title\n\nword word\n\n- one two\n- three\n\n```sh\na\nb\n```"
