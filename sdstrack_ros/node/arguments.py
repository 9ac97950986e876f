"""Parameters on the command line of a node, and files of them: written and checked as rcl reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from ..errors import SettingError

_VALUES = 'ros__parameters'


def parameter(name: str, value: object) -> str:
    """What follows -p: rcl reads the value as YAML, so a text is quoted to stay the text that it is."""
    if isinstance(value, (str, Path)):
        quoted = str(value).replace("'", "''")
        return f"{name}:='{quoted}'"
    return f'{name}:={str(value).lower() if isinstance(value, bool) else value}'


def check_params_file(path: Path, node: str) -> None:
    """SettingError unless the file says something to the node of this full name.

    rcl passes over what is written for nodes of other names, without a word.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise SettingError(f'params_file {path}: cannot be read: {error.strerror}') from None
    except yaml.YAMLError as error:
        raise SettingError(f'params_file {path}: not valid YAML: {error}') from None
    keys = list(_keys(content))
    if not keys:
        raise SettingError(f'params_file {path}: it sets nothing; write parameters under /**: {_VALUES}:')
    if not any(_matches(key, node) for key in keys):
        others = ', '.join(map(repr, keys))
        raise SettingError(
            f'params_file {path}: it has parameters for {others}, which does not match {node}; use /**'
        )


def _keys(content: object, above: str = '') -> Iterator[str]:
    """The names that parameters are written for; a namespace may hold the names in it."""
    if not isinstance(content, dict):
        return
    for key, inside in content.items():
        name = f'{above}/{key}' if above else str(key)
        if isinstance(inside, dict) and _VALUES in inside:
            yield name
        else:
            yield from _keys(inside, name)


def _matches(key: str, node: str) -> bool:
    """As rcl has it: * stands for one part of the name, ** for any number of them."""
    wild = {'*': '/[^/]+', '**': '(/[^/]+)*'}
    parts = key.removeprefix('/').split('/')
    return re.fullmatch(''.join(wild.get(part, f'/{re.escape(part)}') for part in parts), node) is not None
