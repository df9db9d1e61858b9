"""KEY=VALUE, several times, as a table."""

import pytest

from grape_bench.cli.key_value import table
from grape_bench.errors import UserError


def test_values_are_toml_and_a_bare_word_is_a_string() -> None:
    pairs = ("depth=4", "hidden = [8, 6]", "activation=tanh", 'title="a = b"', "bias=false")
    found = {"depth": 4, "hidden": [8, 6], "activation": "tanh", "title": "a = b", "bias": False}
    assert table(pairs, "--model-args") == found and table((), "--model-args") == {}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("depth",), "--model-args depth: not of the form KEY=VALUE\n  try: --model-args 'depth=4'"),
        (("=4",), "--model-args =4: not of the form KEY=VALUE"),
        (("a b=4",), "--model-args a b=4: not of the form KEY=VALUE"),
        (("depth=4", "depth=5"), "--model-args depth=5: depth is given twice"),
        (("depth=[4",), "--model-args depth=[4: '[4' is not a TOML value"),
    ],
)
def test_mistakes(pairs: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as raised:
        table(pairs, "--model-args")
    assert str(raised.value).startswith(message)
