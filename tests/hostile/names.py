"""Names that would do something if an output format treated them as more than text."""

from __future__ import annotations

import random

LINKS = ["https://evil.example/x", "www.evil.example", "me@evil.example", "javascript:alert(1)"]
NAMES = [
    "\x1b[2J\x1b[31mFAILED\x1b[0m",
    "\x1b]0;title\x07\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "bp\r\rok    files",
    "a\nresults: recomputed",
    "\u202edfa\u2066",
    "b\u200bp\u2060",
    "[red]x[/red][link=https://evil.example]y[/link]",
    "<script>document.title='acted'</script>",
    "<img src=x onerror=\"document.title='acted'\">",
    "</script><script>document.title='acted'</script>",
    "\"><a href='https://evil.example'>x</a>",
    "<a href='https://evil.example'>x</a><span style='font-size:60px'>big</span>",
    "&lt;a href=https://evil.example&gt;",
    "[x](https://evil.example)![y](https://evil.example/z.png)",
    "https://evil.example www.evil.example @someone #1 me@evil.example",
    "`code` | **bold** ~~gone~~ <b>x</b>",
    '=HYPERLINK("https://evil.example")',
    "@SUM(1)",
    "+cmd|' /C calc'!A0",
    "\\input{/etc/passwd}\\write18{id}",
    "$\\frac{1}$ %{y} ^^41 # & _ {",
    "{{ 7 * 7 }}{% for %}<< 7 * 7 >>",
    "\x00\x01\x7f\x85",
    "a" * 240,
]
"""By hand: one or more for each format that a name is written to."""
PIECES = [piece for name in NAMES for piece in (name[: len(name) // 2], name[len(name) // 2 :])] + LINKS


def made(seed: int) -> str:
    """A name from random pieces of the others."""
    draw = random.Random(seed)
    return "".join(draw.choices(PIECES, k=draw.randint(1, 4)))[:240]
