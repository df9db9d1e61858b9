"""A small folder of runs and its publication, and one random change of either."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from grape_bench.publish.index import write_index
from grape_bench.publish.pack import About, pack
from tests.hostile.names import NAMES, made

RECORDED = Path(__file__).parents[2] / "results" / "quickstart" / "runs"
KEPT = ("digits-mlp.bp.s", "digits-mlp.dfa.s", "digits-mlp.frozen.s", "digits-mlp.grape.s")
VALUES: list[Any] = [
    *(None, True, "", [], {}, -1, 0, 10**9, 10**18, 2**63, -(2**63), 0.5, 1e-320, "x" * 100_000),
    *(["a"] * 10_000, {"a": {"b": [{}]}}, "../../../etc/passwd", "/etc/passwd", "..", "a/b", "\ud800", "2026-13-41"),
    *(float("inf"), float("-inf"), float("nan"), 10**400, "9999-12-31T23:59:59+00:00", [[[[[[[[[[]]]]]]]]]]),
]
"""Values that stand where a record has another one."""


def recorded(root: Path) -> Path:
    """A folder with `runs`, two seeds of four rules, and their publication `results/quickstart/grape`."""
    runs = root / "runs"
    runs.mkdir(parents=True)
    manifest = json.loads((RECORDED / "manifest.json").read_text())
    seeds = [entry for entry in manifest["jobs"] if entry["job"]["seed"] < 2]
    manifest["jobs"] = [entry for entry in seeds if entry["name"].startswith(KEPT)]
    for entry in manifest["jobs"]:
        shutil.copytree(RECORDED / entry["name"], runs / entry["name"])
    (runs / "manifest.json").write_text(json.dumps(manifest))
    shutil.copyfile(RECORDED / "suite.toml", runs / "suite.toml")
    pack(runs, "grape", root / "results", About(paper="a paper"))
    return root


def changed(root: Path, seed: int) -> tuple[Path, str]:
    """Change something in `root`, as `seed` says. Returns the folder of runs or publication, and what changed."""
    draw = random.Random(seed)
    publication = root / "results" / "quickstart" / "grape"
    place = draw.choice((root / "runs", publication, publication / "runs"))
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix in (".json", ".csv", ".toml"))
    changes = draw.choices(
        CHANGES, weights=[4 if change in OFTEN else 1 for change in CHANGES], k=draw.choice((1, 1, 2))
    )
    done = []
    for change in changes:
        path = draw.choice(files)
        if path.is_file() and not path.is_symlink():
            change(path, draw)
            done.append(f"{change.__name__} {path.relative_to(root)}")
    if draw.random() < 0.5:
        try:
            write_index(publication)
        except Exception:  # the folder cannot be indexed, so its author cannot either
            done.append("without an index of its own")
    return publication if place != root / "runs" else place, "; ".join(done)


def flipped(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 3, 30))):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)


def cut(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def with_another_value(path: Path, draw: random.Random) -> None:
    """Replace one value: in JSON at any depth, in CSV a cell, in TOML what follows an equals sign."""
    value = draw.choice([*deepcopy(VALUES), draw.choice(NAMES), made(draw.randrange(2**30))])
    text = path.read_text()
    if path.suffix == ".json":
        content = json.loads(text)
        holder, key = draw.choice(_places(content))
        holder[key] = value
        path.write_text(json.dumps(content).replace('"\\ud800"', '"\\ud800"'))
        return
    word = {float("inf"): "1e400"}.get(value, value) if isinstance(value, float) else value
    lines = text.split("\n")
    number = draw.randrange(len(lines))
    if path.suffix == ".csv":
        cells = lines[number].split(",")
        cells[draw.randrange(len(cells))] = str(word)
        lines[number] = ",".join(cells)
    else:
        lines[number] = f"{lines[number].partition('=')[0]}= {json.dumps(value)}"
    path.write_text("\n".join(lines), errors="replace")


def without_a_key(path: Path, draw: random.Random) -> None:
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        holder, key = draw.choice(_places(content))
        del holder[key]
        path.write_text(json.dumps(content))


def with_a_line_twice(path: Path, draw: random.Random) -> None:
    lines = path.read_text().split("\n")
    line = draw.choice(lines)
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]))


def _places(content: Any) -> list[tuple[Any, Any]]:
    keys: list[Any] = list(content) if isinstance(content, dict) else list(range(len(content)))
    found = [(content, key) for key in keys]
    for key in keys:
        if isinstance(content[key], dict | list):
            found += _places(content[key])
    return found


def as_a_link(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.symlink_to(draw.choice(("/dev/zero", "/etc/passwd", "/proc/self/environ", path.name, "nowhere", "..", "/")))


def as_a_pipe(path: Path, draw: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def as_a_socket(path: Path, draw: random.Random) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)
    os.chdir(here)


def as_a_folder(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.mkdir()


def as_ten_gigabytes(path: Path, draw: random.Random) -> None:
    os.truncate(path, 10 * 2**30)


def nested_deeply(path: Path, draw: random.Random) -> None:
    depth = draw.choice((40, 900, 100_000))
    text = draw.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth))
    path.write_text(f"a = {text}" if path.suffix == ".toml" else text)


def with_many_columns(path: Path, draw: random.Random) -> None:
    path.write_text("a" + ",a" * 400_000 + "\n" + "1" + ",1" * 400_000 + "\n")


def with_many_rows(path: Path, draw: random.Random) -> None:
    head, _, rest = path.read_text().partition("\n")
    with path.open("w") as file:
        file.write(f"{head}\n")
        for _ in range(draw.choice((2, 60)) * 2**20 // (len(rest) + 1)):
            file.write(rest)


def in_a_linked_folder(path: Path, draw: random.Random) -> None:
    moved = path.parent.with_name(path.parent.name + ".moved")
    path.parent.rename(moved)
    path.parent.symlink_to(moved.name)


def beside_an_extra(path: Path, draw: random.Random) -> None:
    (
        path.parent
        / draw.choice(("run.sh", "x.pkl", made(draw.randrange(999)).replace("/", "-").replace("\0", "") or "x"))
    ).touch()


def in_a_renamed_folder(path: Path, draw: random.Random) -> None:
    name = draw.choice(NAMES).replace("/", "-").replace("\0", "")
    path.parent.rename(path.parent.with_name(name))


Change = Callable[[Path, random.Random], None]
OFTEN: list[Change] = [flipped, with_another_value]
CHANGES: list[Change] = [
    *(
        flipped,
        cut,
        with_another_value,
        without_a_key,
        with_a_line_twice,
        as_a_link,
        as_a_pipe,
        as_a_socket,
        as_a_folder,
    ),
    *(as_ten_gigabytes, nested_deeply, with_many_columns, with_many_rows, in_a_linked_folder, beside_an_extra),
    in_a_renamed_folder,
]
