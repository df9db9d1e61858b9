"""The pages of results/ that are rendered from templates have no measured number that was typed by hand."""

import re
from pathlib import Path

import pytest

from benchmarks import results

each = pytest.mark.parametrize("template", results.TEMPLATES, ids=lambda path: str(path.relative_to(results.RESULTS)))
PUBLISHED = {"1.06", "1.20", "98.0", "98.6"}
"""Figures of papers."""


@each
def test_a_page_is_rendered_from_the_records(template: Path) -> None:
    """Update it with `python -m benchmarks.results --text`."""
    assert template.with_suffix("").read_text(encoding="utf-8") == results.page(template)


@each
def test_a_template_states_measured_numbers_only_as_expressions(template: Path) -> None:
    prose = re.sub(r"\{[{%].*?[%}]\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d+", prose)) <= PUBLISHED


def test_a_sentence_cannot_say_that_a_rule_leads_where_it_does_not() -> None:
    assert results.suite("core").above("cifar10-16-cnn", "grape", "dfa") > 0
    with pytest.raises(ValueError, match="on cifar10-16-cnn, dfa is not above grape"):
        results.suite("core").above("cifar10-16-cnn", "dfa", "grape")


@pytest.mark.parametrize(
    ("values", "text"), [([0.72, 0.61], "0.6 to 0.7"), ([0.61, 0.62], "0.6"), ([1234.0], "1,234.0")]
)
def test_a_span_has_the_smallest_and_the_largest_number(values: list[float], text: str) -> None:
    assert results.span(values) == text


def test_paragraphs_and_items_are_wrapped_and_blank_lines_stay() -> None:
    text = "# Title\n\nword\nword\n\n- one\n  two\n- three\n\n```sh\na\nb\n```"
    assert results.wrapped(text) == "# Title\n\nword word\n\n- one two\n- three\n\n```sh\na\nb\n```"
