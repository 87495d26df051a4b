"""Arguments made from the fields of a `Recipe`: their names, types, choices, defaults and help are written there."""

import argparse
import dataclasses
from typing import Any

from npdsconv.cli.names import file_name
from npdsconv.runs.recipe import CHANGES, GROUPS, Recipe

FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "NAME"}
_PLACES = {"folder": "PICTURES"}  # files and folders


def add_all(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """An argument for every field, by subject; the groups, for arguments that belong beside them."""
    groups = {name: parser.add_argument_group(name) for name in GROUPS}
    for name, field in FIELDS.items():
        add(groups[field.metadata["group"]], name)
    return groups


def add(parser: Any, *names: str, **defaults: Any) -> None:
    """An argument for each of these fields. One that is not given is None, or its default here if it has one."""
    for name in (*names, *defaults):
        field, help = FIELDS[name], FIELDS[name].metadata["help"]
        if field.type is bool:
            parser.add_argument(flag(name), action="store_true", default=None, help=help)
            continue
        default = defaults.get(name)
        shown = _default(name) if default is None else default
        choices = tuple(field.metadata["choices"]) or None
        parser.add_argument(
            flag(name),
            type=file_name if name in _PLACES else field.type,
            choices=choices,
            metavar=None if choices else _PLACES.get(name, _METAVARS[field.type]),
            default=default,
            help=f"{help} (default {shown})" if shown else help,
        )


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The fields that were given as arguments."""
    found = {name: getattr(args, name, None) for name in FIELDS}
    return {name: value for name, value in found.items() if value is not None}


def flag(name: str) -> str:
    """How a field is written on the command line."""
    return "--" + name.replace("_", "-")


def _default(name: str) -> str:
    """The value in most recipes, and where a data set's own recipe has another one."""
    differing = [f"{changes[name]} for {dataset}" for dataset, changes in CHANGES.items() if name in changes]
    return ", ".join([f"{FIELDS[name].default}", *differing])
