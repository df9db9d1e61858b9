"""The files around the code: versions, templates, workflows and hooks agree with the project."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
IMPORTED_AS = {"PIL": "pillow", "sklearn": "scikit-learn", "typing_extensions": "typing-extensions"}
PINNED_BY = {"pydantic_core": "pydantic"}  # a part of pydantic, which requires one version of it
OF_A_KERNEL = {"IPython"}  # imported only in the kernel of a notebook, which runs in it


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~!;]", one)[0].strip().lower() for one in requirements}


def test_a_citation_names_the_package_version_and_the_holder_of_the_license() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software" and citation["message"]
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"]
    assert f"{citation['authors'][0]['name'].removeprefix('The ')}" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_changelog_begins_with_the_package_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^]]+)\] - (?:unreleased|\d{4}-\d\d-\d\d)$", text, flags=re.M)
    assert versions[0] == PROJECT["version"]


def test_contributing_fits_on_one_page_and_has_four_commands() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert re.findall(r"# (\d)\. ", text.split("```")[1]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_its_actions_and_may_only_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = [line.split("uses:")[1].strip() for line in text.splitlines() if "uses:" in line]
    assert used and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[0-9.]+", one) for one in used)
    content = yaml.safe_load(text)
    assert content["permissions"] == {}
    assert [job["permissions"] for job in content["jobs"].values()] == [{"contents": "read"}] * len(content["jobs"])
    assert "${{ secrets" not in text


def test_a_push_runs_what_ci_runs() -> None:
    content = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    assert {"push", "pull_request"} <= set(content[True])  # YAML reads the key `on` as true
    assert any(step.get("run", "").endswith(".ci/run") for step in content["jobs"]["tests"]["steps"])


def test_hooks_are_local_and_run_the_tools_of_the_development_environment() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    tools = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert tools == {"ruff", "mypy"} and tools <= names(PROJECT["optional-dependencies"]["dev"])


@pytest.mark.parametrize("form", ["bug.yml", "rule.yml"])
def test_an_issue_form_asks_for_something(form: str) -> None:
    content = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE" / form).read_text(encoding="utf-8"))
    assert content["name"] and content["description"]
    assert any(field.get("validations", {}).get("required") for field in content["body"])


def test_every_imported_package_is_declared() -> None:
    imported = set()
    for path in (ROOT / "grape_bench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    imported -= sys.stdlib_module_names | {"grape_bench"} | set(PINNED_BY) | OF_A_KERNEL
    extras = PROJECT["optional-dependencies"]
    declared = names(PROJECT["dependencies"]).union(*(names(extra) for name, extra in extras.items() if name != "dev"))
    assert {IMPORTED_AS.get(name, name) for name in imported} - declared == set()
