"""The settings that ship are settings that the node takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sdstrack_ros.node.parameters import replaced
from sdstrack_ros.node.settings import NodeSettings
from sdstrack_ros.types import Modality

CONFIG = Path(__file__).parents[2] / 'config'


def dotted(tree, prefix=''):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from dotted(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def at(settings, name):
    for part in name.split('.'):
        settings = getattr(settings, part)
    return settings


@pytest.mark.parametrize('modality', [each.value for each in Modality])
def test_every_name_is_a_parameter_and_every_value_in_range(modality):
    content = yaml.safe_load((CONFIG / f'{modality}.yaml').read_text())
    # A plain node name would not match under a namespace, and nothing would say so.
    assert list(content) == ['/**']
    given = dict(dotted(content['/**']['ros__parameters']))
    settings = replaced(NodeSettings(), given)
    assert {name: at(settings, name) for name in given} == given
    assert settings.modality == modality
