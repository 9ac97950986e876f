"""The descriptions of the package agree with each other and with the code."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from sdstrack.msg import SensorHealth, TrackedBox, TrackerHealth
from sdstrack.srv import SetTarget

from sdstrack_ros.types import Mode, SensorState, TargetState

ROOT = Path(__file__).parents[1]


def requirements(text):
    return [Requirement(line) for line in (each.split('#')[0].strip() for each in text.splitlines()) if line]


PINS = requirements((ROOT / 'requirements.txt').read_text())


@pytest.mark.parametrize(
    ('message', 'states'), [(TrackedBox, TargetState), (TrackedBox, Mode), (SensorHealth, SensorState)]
)
def test_constants_of_the_messages_are_those_of_the_code(message, states):
    assert {state.name: getattr(message, state.name) for state in states} == {s.name: s.value for s in states}


@pytest.mark.parametrize(
    ('message', 'fields'),
    [
        (
            TrackedBox,
            'header target_id state held center_x center_y size_x size_y score mode inference_time '
            'has_position position',
        ),
        (SensorHealth, 'name topic state rate age received matched alone late dropped invalid reason'),
        (
            TrackerHealth,
            'header level mode target_state message rgb x output_rate latency_p50 latency_p95 '
            'inference_p50 inference_p95 model device',
        ),
        (SetTarget.Request, 'header center_x center_y size_x size_y'),
        (SetTarget.Response, 'accepted target_id message'),
    ],
)
def test_others_script_against_these_field_names(message, fields):
    assert list(message.get_fields_and_field_types()) == fields.split()


def test_one_version():
    described = re.search(r'^version = "(.*)"$', (ROOT / 'pyproject.toml').read_text(), re.MULTILINE)
    assert ElementTree.parse(ROOT / 'package.xml').findtext('version') == described.group(1)


def test_what_is_pinned_is_what_the_package_asks_for():
    listed = re.search(
        r'^dependencies = \[(.*?)\]', (ROOT / 'pyproject.toml').read_text(), re.DOTALL | re.MULTILINE
    )
    pins = {pin.name.lower(): pin for pin in PINS if pin.marker is None or pin.marker.evaluate()}
    for wanted in (Requirement(text) for text in re.findall('"(.*?)"', listed.group(1))):
        (pinned,) = pins[wanted.name.lower()].specifier
        assert wanted.specifier.contains(pinned.version), wanted.name


def test_every_pin_is_exact():
    loose = [str(pin) for pin in PINS if [s.operator for s in pin.specifier] != ['==']]
    assert loose == []
