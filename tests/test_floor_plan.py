"""The floor plan of docs/architecture.md: imports go down, never up and never in a circle.

Every import counts: inside functions and under TYPE_CHECKING too. Not counted: a bare `import grape_bench` (for its
folder or version), since importing any module of a package imports the package.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from grape_bench.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]

FLOORS = (
    ("errors",),
    ("user_code",),
    ("arguments", "registry", "streams"),
    ("record",),
    ("network",),
    ("rules",),
    ("attachment",),
    ("objectives",),
    ("models", "data"),
    ("cost",),
    ("train",),
    ("diagnose",),
    ("callbacks",),
    ("job",),
    ("contract",),
    ("plan",),
    ("track",),
    ("execute",),
    ("score",),
    ("report",),
    ("publish",),
    ("cli",),
    ("__main__", "__init__"),  # the package's face: the command, and the public names
)
"""From the ground up. A room imports itself and the floors below; rooms of one floor do not import each other."""

CIRCLES = [
    # The type of `Network.rule`, and of the network that every method of a rule takes. Neither runs the other.
    {"grape_bench.network.network", "grape_bench.network.rule"},
]
"""The import cycles that are allowed."""


@cache
def modules() -> dict[str, Path]:
    """`package.module` -> its file; a package is its `__init__`."""
    found = {}
    for path in (ROOT / "grape_bench").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """The modules that a file names in its imports, wherever they stand."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} has a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules() else node.module


@cache
def graph() -> dict[str, set[str]]:
    """Module of grape_bench -> the modules of grape_bench that it imports."""
    return {
        name: {other for other in imported(path) if other in modules() and other not in (name, "grape_bench")}
        for name, path in modules().items()
    }


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The strongly connected components of more than one module: those from which each leads to all others."""
    reached = {}
    for start in edges:
        seen, stack = set(), [start]
        while stack:
            for other in edges[stack.pop()] - seen:
                seen.add(other)
                stack.append(other)
        reached[start] = seen
    groups = {frozenset(a for a in reached[m] if m in reached[a]) for m in edges if m in reached[m]}
    return [set(group) for group in groups]


def test_every_room_has_a_floor():
    known = {room for floor in FLOORS for room in floor}
    assert {room(module) for module in modules()} <= known


def test_imports_go_down():
    level = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    upward = sorted(
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if room(module) != room(other) and level[room(module)] <= level[room(other)]
    )
    assert upward == []


def test_every_allowed_circle_is_still_there():
    assert all(circle in circles(graph()) for circle in CIRCLES)


def test_there_is_no_circle():
    assert [circle for circle in circles(graph()) if circle not in CIRCLES] == []


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [{"b", "c"}]


def test_the_training_knows_no_plan_no_diagnosis_and_no_profile():
    below = {other for module, others in graph().items() if room(module) == "train" for other in others}
    assert {room(other) for other in below} <= {"errors", "record", "network", "objectives", "data", "cost", "train"}
    assert not below & {"grape_bench.cost.rules", "grape_bench.cost.flops", "grape_bench.cost.pipeline"}


def test_benchmarks_use_the_library_and_not_tests_or_commands():
    for path in (ROOT / "benchmarks").rglob("*.py"):
        names = list(imported(path))
        assert [name for name in names if name.startswith(("tests", "grape_bench.cli"))] == [], path


def test_the_floor_plan_is_the_one_in_the_documentation():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    plan = text.split("```")[1]
    listed = [line.split()[0].removesuffix("/") for line in plan.splitlines() if line]
    assert listed == [room for floor in FLOORS for room in floor if not room.startswith("__")]


def test_commands_do_not_import_commands() -> None:
    """What two commands share has a module of its own, so that reading one command never leads through another."""
    commands = {f"grape_bench.cli.{name}" for name in COMMANDS}
    assert {name: found for name, others in graph().items() if (found := others & commands)} == {}


def test_no_module_has_more_than_350_lines() -> None:
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > 350} == {}
