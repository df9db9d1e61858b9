"""The texts that reports fill in, as Jinja templates beside this file."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def latex_template(name: str) -> Template:
    """A template whose marks LaTeX leaves alone: `<< value >>`, `<% statement %>`, `<# comment #>`."""
    return _environment(html=False, marks="<<>>").get_template(name)


def text_template(name: str) -> Template:
    """A template with Jinja's usual marks, nothing escaped."""
    return _environment(html=False).get_template(name)


def page_template(name: str) -> Template:
    """A template for HTML: every value is escaped unless it is marked safe."""
    return _environment(html=True).get_template(name)


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
        undefined=StrictUndefined,  # a misspelt name is an error, not an empty place
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **latex,
    )
