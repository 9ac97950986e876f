"""ROS parameters made from the frozen settings: one declaration, one check, one error that names the culprit.

A field of a nested settings class becomes a parameter with a dotted name: `sync.slop`.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from ..errors import SettingError
from ..settings import SettingInfo, info

Settings = TypeVar('Settings')

_OWNED_BY_ROS = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


def declare(node: Node, defaults: Settings, read_only: Collection[str] = ()) -> Settings:
    """Declare every field of `defaults` and its nested settings; return the settings the user gave.

    The node must have been made with automatically_declare_parameters_from_overrides, which is what makes an
    unknown name visible. read_only: names that mean nothing after the start. Raises SettingError naming the
    parameter that is unknown, mistyped or out of range.
    """
    given = {name: p.value for name, p in node.get_parameters_by_prefix('').items()}
    leaves = dict(_leaves(defaults))
    _refuse_unknown(given, leaves)
    settings = replaced(defaults, given)
    values = dict(_leaves(settings))
    for name, (_, about) in leaves.items():
        if name in given:
            node.undeclare_parameter(name)
        value = values[name][0]
        descriptor = _descriptor(name, value, about)
        descriptor.read_only = name in read_only
        node.declare_parameter(name, value, descriptor, ignore_override=True)
    return settings


def belongs_to_ros(name: str) -> bool:
    """Whether a parameter is one that every node has."""
    return name.startswith(_OWNED_BY_ROS)


def replaced(settings: Settings, values: Mapping[str, Any], prefix: str = '') -> Settings:
    """A copy with the values of the dotted names put in, checked; names that are no fields are left alone."""
    changes: dict[str, Any] = {}
    for each in dataclasses.fields(settings):  # type: ignore[arg-type]
        name, current = prefix + each.name, getattr(settings, each.name)
        if dataclasses.is_dataclass(current):
            changes[each.name] = replaced(current, values, name + '.')
        elif name in values:
            given = values[name]
            whole = isinstance(given, int) and not isinstance(given, bool)
            changes[each.name] = float(given) if whole and isinstance(current, float) else given
    try:
        return dataclasses.replace(settings, **changes)  # type: ignore[type-var]
    except SettingError as error:
        raise SettingError(f'parameter {prefix}{error}') from None


def _leaves(settings: Any, prefix: str = '') -> Iterator[tuple[str, tuple[Any, SettingInfo]]]:
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f'{prefix}{each.name}.')
        else:
            yield prefix + each.name, (value, info(each))


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in given:
        if name not in known and not belongs_to_ros(name):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]!r}?' if near else '`ros2 param list` shows all names'
            raise SettingError(f'parameter {name!r} is unknown: {hint}')


def _descriptor(name: str, value: Any, about: SettingInfo) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(name=name, description=about.doc)
    if about.choices:
        descriptor.additional_constraints = 'one of: ' + ', '.join(repr(c) for c in about.choices)
    if about.minimum is None and about.maximum is None:
        return descriptor
    if isinstance(value, float):
        low = -sys.float_info.max if about.minimum is None else float(about.minimum)
        high = sys.float_info.max if about.maximum is None else float(about.maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    else:
        low = -(2**63) if about.minimum is None else int(about.minimum)
        high = 2**63 - 1 if about.maximum is None else int(about.maximum)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor
