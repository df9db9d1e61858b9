"""The Jinja templates of the reports, in the files of this folder."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from grape_bench.errors import printable


def latex_template(name: str) -> Template:
    """A template with delimiters that do not clash with LaTeX: `<< value >>`, `<% statement %>`, `<# comment #>`."""
    return _environment(html=False, marks="<<>>").get_template(name)


def text_template(name: str) -> Template:
    """A template with Jinja's usual delimiters, without escaping."""
    return _environment(html=False).get_template(name)


def page_template(name: str) -> Template:
    """A template for HTML. Every value is escaped unless it is marked as safe, and invisible characters are shown."""
    return _environment(html=True).get_template(name)


def _visible(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment(*, html: bool, marks: str = "{{}}") -> Environment:
    latex: dict[str, Any] = {} if marks == "{{}}" else {
        "variable_start_string": "<<", "variable_end_string": ">>",
        "block_start_string": "<%", "block_end_string": "%>",
        "comment_start_string": "<#", "comment_end_string": "#>",
    }  # fmt: skip
    return Environment(
        loader=PackageLoader("grape_bench.report"),
        autoescape=html,
        finalize=_visible if html else None,
        undefined=StrictUndefined,  # a misspelled name is an error, not an empty string
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **latex,
    )
