"""results/README.md has no number that was typed by hand."""

import re

import pytest

from benchmarks import results


def test_the_page_is_rendered_from_the_records() -> None:
    """Update it with `python -m benchmarks.results --page`."""
    assert results.PAGE.read_text(encoding="utf-8") == results.page()


def test_a_template_states_measured_numbers_only_as_expressions() -> None:
    prose = re.sub(r"\{[{%].*?[%}]\}", "", results.TEMPLATE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d+", prose)) == {"1.06", "1.20", "98.0", "98.6"}  # of papers


@pytest.mark.parametrize(
    ("values", "text"), [([0.61, -0.72], "0.6 to 0.7"), ([0.61, 0.62], "0.6"), ([-1234.0], "1,234.0")]
)
def test_a_span_has_the_smallest_and_the_largest_size(values: list[float], text: str) -> None:
    assert results.span(values) == text


def test_paragraphs_and_items_are_wrapped_and_blank_lines_stay() -> None:
    text = "# Title\n\nword\nword\n\n- one\n  two\n- three"
    assert results.wrapped(text) == "# Title\n\nword word\n\n- one two\n- three"
