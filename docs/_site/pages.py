"""MkDocs hook: put what the docs link to outside of `docs/` on the site, and write formulas as MathML.

The pages link to each other and to files of the repository by relative paths, so that the links work where the
repository is read. On the site, `docs/` is the root. A linked page keeps its path (`results/rules/README.md`), a folder
without a page gets a list of its files, and a source file gets a page with its text.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
IN_NAVIGATION = ("*.md", "results/*.md", "results/*/README.md")
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml"}
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^```.*?^```)", flags=re.S | re.M)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the navigation, and whatever those and the pages of `docs/` link to, directly or not."""
    waiting = [path for pattern in IN_NAVIGATION for path in ROOT.glob(pattern)]
    waiting += [Path(file.abs_src_path or "") for file in files.documentation_pages()]
    while waiting:
        path = waiting.pop()
        if path.suffix == ".md":
            waiting += [found for found in _linked(path) if _address(found) not in files.src_uris]
        address = _address(path)
        if address not in files.src_uris:
            files.append(_file(path, address, config))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    source = _source(page.file)
    here = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        target = (source.parent / match[2]).resolve()
        if "://" in match[2] or not target.exists() or not target.is_relative_to(ROOT):
            return match[0]
        return match[1] + posixpath.relpath(_address(target), here or ".") + match[3]

    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(moved, _apart(part)) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write each formula as MathML, which browsers draw without a script."""
    return FORMULA.sub(_mathml, html)


def _apart(text: str) -> str:
    """Put empty lines around lists and formulas: GitHub finds them without, and Python-Markdown does not."""
    text = re.sub(r"^(?![-*|#>\s]|\d+\.)(.+)\n(?=- |1\. )", r"\1\n\n", text, flags=re.M)
    return re.sub(r"^\$\$.*?\$\$$", r"\n\g<0>\n", text, flags=re.S | re.M)


def _mathml(match: re.Match[str]) -> str:
    return convert(html.unescape(match[3]).strip(), display="block" if match[2] == "[" else "inline")


def _linked(page: Path) -> Iterator[Path]:
    """The files and folders of the repository to which a page links."""
    text = "".join(FENCE.split(page.read_text(encoding="utf-8"))[::2])
    for _, link, _ in LINK.findall(text):
        target = (page.parent / link).resolve()
        if "://" not in link and target.exists() and target.is_relative_to(ROOT):
            yield target / "README.md" if (target / "README.md").exists() else target


def _address(path: Path) -> str:
    """Where a file or folder of the repository is among the sources of the site."""
    inside = path.relative_to(ROOT / "docs" if path.is_relative_to(ROOT / "docs") else ROOT).as_posix()
    if path.is_dir():
        return f"{inside}/README.md"
    return f"{inside}.md" if path.suffix in LANGUAGES else inside


def _source(file: File) -> Path:
    """The file of the repository behind a page of the site. It is at `docs/` or at the root."""
    inside = ROOT / "docs" / file.src_uri
    return inside if inside.exists() else ROOT / file.src_uri


def _file(path: Path, address: str, config: MkDocsConfig) -> File:
    if path.is_dir():
        names = sorted(one.name + "/" * one.is_dir() for one in path.iterdir() if not one.name.startswith(("_", ".")))
        text = "\n".join(f"- `{name}`" for name in names)
        return File.generated(config, address, content=f"# {path.relative_to(ROOT)}\n\n{text}\n")
    if path.suffix in LANGUAGES:
        text = f"```{LANGUAGES[path.suffix]}\n{path.read_text(encoding='utf-8')}```"
        return File.generated(config, address, content=f"# {path.relative_to(ROOT)}\n\n{text}\n")
    return File.generated(config, address, abs_src_path=str(path))
