"""Content hashes of the user's code and local files that a job loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grape_bench.data.names import DATASETS, LOCAL, named_folder
from grape_bench.data.names import SOURCES as DATA_SOURCES
from grape_bench.data.names import split_source as split_data
from grape_bench.models.names import MODELS
from grape_bench.models.names import SOURCES as MODEL_SOURCES
from grape_bench.models.names import split_source as split_model
from grape_bench.objectives.names import OBJECTIVES
from grape_bench.record.job import Job, Of, leaves
from grape_bench.registry import Registry, is_file_reference
from grape_bench.rules.names import RULES
from grape_bench.user_code import user_code

AUGMENT = "augment_with"
OWNERS = {
    "model": "model_args",
    "dataset": "dataset_args",
    "objective": "objective_args",
    "schedule": "schedule_args",
    "optimizer": "optimizer",
}
PATHS = ("tokenizer", "checkpoint_path", "file")  # the arguments of libraries that can name a file or folder


def task_sources(task: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a job in the groups SOURCE and DATA, for a task or job as a dict.

    Raises UserError for a file of Python code that does not exist. A folder that does not exist is left out, and the
    check before a run reports it.
    """
    data_args = task["dataset_args"]
    augmentation = str(data_args.get(AUGMENT, ""))
    is_file = is_file_reference(augmentation)
    code = [_data_source(task["dataset"]), _code(DATASETS, augmentation) if is_file else ""]
    return {
        "model_source": _model_source(task["model"]),
        "objective_source": _code(OBJECTIVES, task["objective"] or ""),
        "dataset_source": "+".join(filter(None, code)),
        "optimizer_source": _file(task["optimizer"]["name"]),
        "schedule_source": _file(task["schedule"]),
        "contents": dict(sorted(_contents(task))) or None,
        "data_content": _named_content(task["dataset"]),
    }


def rule_sources(reference: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields `rule_source` and `rule_contents` of a job."""
    found = dict(sorted(_named_in({"rule_settings": settings}, loose=is_file_reference(reference))))
    return {"rule_source": RULES.source_hash(reference), "rule_contents": found or None}


def changed_sources(job: Job) -> list[str]:
    """The job's fields whose files or code have changed since it was planned."""
    now = task_sources(job.to_dict()) | rule_sources(job.rule_name.reference, job.rule_settings)
    planned = job.parts(Of.SOURCE, Of.DATA, Of.RULE)
    if not now["data_content"]:
        now.pop("data_content")  # the data set comes from the Hub here
    return [name for name, value in now.items() if planned[name] and planned[name] != value]


def _model_source(model: str) -> str:
    if is_file_reference(model):
        return _code(MODELS, model)
    source, name = split_model(model)
    return _code(MODEL_SOURCES, source) if source else _code(MODELS, name)


def _data_source(dataset: str) -> str:
    source, name = split_data(dataset)
    return _code(DATA_SOURCES, source) if source else _code(DATASETS, name)


def _code(registry: Registry[Any], name: str) -> str:
    """The hash of the user's code behind `name`; empty if the package ships it."""
    return registry.source_hash(name) if name and registry.builtin(name) is None else ""


def _file(name: str) -> str:
    """The hash of the file of a user's own optimizer or schedule; empty for one that is not from a file."""
    return _code(DATASETS, name) if is_file_reference(name) else ""


def _contents(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the hash of every local file and folder that the task names, as (field, hash)."""
    source, name = split_data(task["dataset"])
    if source and (content := _local_data(name, LOCAL.get(source, ""))):
        yield "dataset", content
    source, name = split_model(task["model"])
    path = name.removeprefix("local-dir:")
    if source and not is_file_reference(task["model"]) and "/" in path and Path(path).is_dir():
        yield "model", _hash(path)
    for owner, args in OWNERS.items():
        name = str(task[owner]["name"] if owner == "optimizer" else task[owner])
        # The files of an augmentation and an optimizer have fields of their own.
        given = {key: value for key, value in (task[args] or {}).items() if key not in (AUGMENT, "name")}
        yield from _named_in({args: given}, loose=is_file_reference(name))


def _local_data(name: str, suffix: str) -> str:
    """The hash of a local `PATH` or `PATH:CONFIGURATION`, with the configuration; empty if it is not local."""
    if Path(name).expanduser().exists():
        return _hash(name, suffix)
    path, colon, configuration = name.partition(":")
    return f"{_hash(path)}:{configuration}" if colon and path and Path(path).expanduser().exists() else ""


def _named_in(values: Mapping[str, Any], *, loose: bool) -> Iterator[tuple[str, str]]:
    """Yield the hash of every file and folder that a string in `values` names, as (place in `values`, hash).

    Any argument of a user's own function (`loose`) can name one. For a library's function only the arguments `PATHS`
    count, because a folder may happen to have the name of another value, such as `relu`.
    """
    for place, value in leaves(values):
        if not isinstance(value, str) or not value:
            continue
        file, _, name = value.rpartition(":")
        if is_file_reference(value) and Path(file).is_file():
            yield place, f"{user_code(Path(file)).digest}:{name}"
        elif (loose or {*PATHS} & {*place.split("/")}) and _is_content(value):
            yield place, _hash(value)


def _is_content(name: str) -> bool:
    """Whether `name` is a file or folder. Folders around the working folder do not count: they may hold the results."""
    try:
        path = Path(name).expanduser()
        return path.exists() and not Path.cwd().is_relative_to(path.resolve())
    except (OSError, ValueError):  # too long, or not a path
        return False


def _named_content(dataset: str) -> str:
    folder = named_folder(dataset)
    return _hash(str(folder)) if folder else ""


def _hash(path: str, suffix: str = "") -> str:
    """The hash of a file or folder."""
    from grape_bench.data.content import content_hash  # imported here: most plans name no folder

    return content_hash(Path(path).expanduser(), suffix)
