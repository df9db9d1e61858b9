"""Patterns that would identify the author: names of this machine, its user and its repositories, in all their forms."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from grape_bench.track.uri import VARIABLE

# A name starts and ends where a word of prose, snake_case or CamelCase does: `jane_rule` and `JaneRule` contain the
# name jane, and `janet` does not.
_START = r"(?:(?<![^\W\d_])|(?<=[a-z])(?=[A-Z]))"
_END = r"(?![a-z])(?:(?![^\W\d_])|(?<=[a-z])(?=[A-Z]))"

_GAP = r"[\W_]{0,2}"  # between the parts of a name

SHORTEST = 3
"""The fewest letters of a name that is searched for."""

COMMON = frozenset({
    "admin", "administrator", "centos", "coder", "contact", "debian", "docker", "ec2-user", "fedora", "git",
    "grape-bench", "guest", "info", "jovyan", "local", "localhost", "mail", "me", "nobody", "none", "noreply", "root",
    "runner", "student", "ubuntu", "unknown", "user", "users", "vagrant", "vscode",
})  # fmt: skip
"""Names of accounts, machines and mailboxes that identify nobody."""

PUBLIC_HOSTS = ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "huggingface.co", "hf.co", "git.sr.ht")


@dataclass(frozen=True)
class Mark:
    """A pattern, and what its matches are, such as "your user name".

    With `prose`, it is searched only in comments and strings of code, because `x@w.T` is not an address.
    """

    about: str
    pattern: re.Pattern[str]
    prose: bool = False


GENERAL_MARKS = (
    Mark("an e-mail address", re.compile(r"(?i)[\w.+-]{1,64}(?:@| ?[\[(]at[\])] ?)(?:[\w-]+\.)+[a-z]{2,}"), prose=True),
    Mark(
        "an absolute path",
        re.compile(
            r"(?<![\w./~)>\]}*-])~?/(?!(?:bin|dev|etc|lib|lib64|proc|sys|tmp|usr)/)[\w.@+-]+(?:/[\w.@+-]*[\w@+-])+"
            r"|(?<!\w)[A-Za-z]:\\+Users\\+[^\\\s\"']+"
        ),
        prose=True,
    ),
    Mark("a line about an author", re.compile("__(?:authors?|contact|copyright|credits|email|maintainer)__")),
    Mark("a line about an author", re.compile(r"(?i)\b(?:authors?|contact|maintainers?) ?:|copyright|©"), prose=True),
)
"""The marks that identify an author on any machine."""


def plain(text: str) -> str:
    """`text` without accents, so that José and Jose are one name."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def marks(folders: Iterable[Path], commits: Iterable[str]) -> list[Mark]:
    """The marks of this machine, its user and the git repositories around `folders`, and `GENERAL_MARKS`."""
    found = {**_logins(), **_hosts()}
    people: dict[str, None] = {}
    for folder in folders:
        for key, value in _git(folder):
            if key == "user.name":
                people[value] = None
            elif key == "user.email":
                found.setdefault(value.partition("@")[0].rpartition("+")[2], "in your e-mail address in git")
            else:
                found |= {one: f"in the address of your git remote {key.split('.')[1]}" for one in address_parts(value)}
    names = [Mark(about, _word(name)) for name, about in found.items() if _identifies(name)]
    hashes = [re.compile(rf"(?<![0-9a-f]){one[:7]}[0-9a-f]*") for one in commits if re.fullmatch("[0-9a-f]{40}", one)]
    return [
        *names,
        *(Mark("your name in git", pattern) for person in people if (pattern := person_pattern(person))),
        *(Mark("the commit of your runs", pattern) for pattern in hashes),
        *GENERAL_MARKS,
    ]


def person_pattern(name: str) -> re.Pattern[str] | None:
    """A pattern of the forms of a name: Jane Doe, Jane M. Doe, J. Doe, jdoe, "Doe, Jane", and Jane or Doe alone.

    A first name alone matches only in its own case, because many are also words in code: grace, mark, max.
    """
    parts = [part for part in re.split(r"[\W_]+", plain(name)) if part]
    if not parts:
        return None
    first, last, known = re.escape(parts[0]), re.escape(parts[-1]), _identifies(parts[-1])
    forms = [_bounded(rf"(?i:{last})")] if known else []
    if len(parts) > 1:
        given = f"{parts[0][0]}(?:{re.escape(parts[0][1:])})?" if known else first  # J. Doe, but not X. In
        forms = [_bounded(rf"(?i:{given}{_GAP}(?:\w\.? )?{last})"), _bounded(rf"(?i:{last}{_GAP}{given})"), *forms]
        forms += [_bounded(re.escape(part)) for part in parts[:-1] if _identifies(part)]
    return re.compile("|".join(forms)) if forms else None


def address_parts(address: str) -> list[str]:
    """The identifying parts of a repository's address: a private host, and the owner, but not the project."""
    if "://" not in address:  # git@host:owner/project.git, or a path
        host, colon, path = address.rpartition("@")[2].partition(":")
        address = f"ssh://{host}/{path}" if colon else ""
    split = urlsplit(address)
    host = split.hostname or ""
    return [*([host] if host not in PUBLIC_HOSTS else []), *split.path.strip("/").split("/")[:-1]]


def _logins() -> dict[str, str]:
    try:
        account = getpass.getuser()
    except (OSError, KeyError):  # a user without an account, as in a container
        account = ""
    names = (account, Path.home().name, os.environ.get("SUDO_USER", ""))
    return dict.fromkeys(names, "your user name")


def _hosts() -> dict[str, str]:
    host = socket.gethostname()
    label, _, domain = host.partition(".")
    found = dict.fromkeys((host, label, domain if "." in domain else ""), "the name of your machine")
    tracking = os.environ.get(VARIABLE, "")
    return found | ({urlsplit(tracking).hostname or "": "the host of your MLflow store"} if "://" in tracking else {})


def _git(folder: Path) -> Iterator[tuple[str, str]]:
    """The user and the remotes that git knows in `folder`, as (key, value)."""
    command = ["git", "-C", str(folder), "config", "--get-regexp", r"^(user\.(name|email)|remote\..*\.url)$"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        yield key, value


def _identifies(name: str) -> bool:
    return sum(c.isalnum() for c in name) >= SHORTEST and name.casefold() not in COMMON


def _word(name: str) -> re.Pattern[str]:
    """`name` as a whole word in any case, with any sign between its parts: jane-doe is also jane_doe and janedoe."""
    parts = [re.escape(part) for part in re.split(r"[\W_]+", plain(name)) if part]
    return re.compile(_bounded(f"(?i:{_GAP.join(parts)})"))


def _bounded(pattern: str) -> str:
    return f"{_START}{pattern}{_END}"
