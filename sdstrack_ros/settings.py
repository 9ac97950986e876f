"""Settings are frozen dataclasses; this adds the documentation and the range to each field.

    @dataclass(frozen=True)
    class SynchronizerSettings:
        slop: float = setting(0.02, 'largest stamp difference of a pair, s', minimum=0.0, maximum=1.0)

        def __post_init__(self) -> None:
            check(self)

The node turns these fields into ROS parameters with descriptors, the command line into options.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from .errors import SettingError


@dataclass(frozen=True)
class SettingInfo:
    """What a user may know about one setting; bounds are inclusive."""

    doc: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def setting(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with its description, range (inclusive) and choices."""
    return field(default=default, metadata={'setting': SettingInfo(doc, minimum, maximum, choices)})


def info(dataclass_field: dataclasses.Field[Any]) -> SettingInfo:
    """The description of one field made with `setting`."""
    found = dataclass_field.metadata['setting']
    assert isinstance(found, SettingInfo)
    return found


def check(settings: Any, prefix: str = '') -> None:
    """Raise SettingError, naming the field, where a value is of the wrong type or out of range."""
    for each in dataclasses.fields(settings):
        if 'setting' not in each.metadata:
            continue
        value, about, name = getattr(settings, each.name), info(each), prefix + each.name
        wanted = type(each.default)
        allowed = (int, float) if wanted is float else (wanted,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and wanted is not bool):
            raise SettingError(
                f'{name}: {value!r} is {type(value).__name__}, expected {wanted.__name__} ({about.doc})'
            )
        if about.choices and value not in about.choices:
            raise SettingError(f'{name}: {value!r} is not one of {", ".join(map(repr, about.choices))}')
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise SettingError(f'{name}: {value} is not finite ({about.doc})')
            if about.minimum is not None and value < about.minimum:
                raise SettingError(f'{name}: {value} is below its minimum {about.minimum} ({about.doc})')
            if about.maximum is not None and value > about.maximum:
                raise SettingError(f'{name}: {value} is above its maximum {about.maximum} ({about.doc})')
