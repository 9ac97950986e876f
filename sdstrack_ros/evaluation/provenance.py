"""What a number depends on: the machine, the versions, the weights and the command."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from ..model.threads import available_cores
from .contestants import TrackerSpec


def provenance(trackers: list[TrackerSpec], workers: int) -> dict[str, str]:
    """Names and values, ready for a table and for JSON."""
    facts = {
        'command': shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        'date': datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
        'processor': _processor(),
        'cores': f'{available_cores()} usable, {workers} sequences at a time',
        'memory': _memory(),
        'system': f'{platform.system()} {platform.release()} {platform.machine()}',
        'Python': platform.python_version(),
        'sdstrack': _version('sdstrack'),
        'PyTorch': torch.__version__,
        'NumPy': np.__version__,
        'OpenCV': cv2.__version__,
        'rosbags': _version('rosbags'),
    }
    devices = {tracker.device for tracker in trackers if tracker.name == 'sdstrack'}
    if any(device.startswith('cuda') for device in devices):
        facts['GPU'] = torch.cuda.get_device_name()
    for tracker in trackers:
        if tracker.name == 'sdstrack':
            weights = str(tracker.checkpoint) if tracker.checkpoint else 'shipped, by modality'
            facts['weights'] = (
                f'{weights}, on {tracker.device}, {tracker.precision}, missing stream: {tracker.missing}'
            )
    return facts


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return 'source tree'


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or 'unknown'
    names = (line.split(':', 1)[1].strip() for line in lines if line.startswith('model name'))
    return next(names, platform.processor() or 'unknown')


def _memory() -> str:
    try:
        size = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (ValueError, OSError, AttributeError):
        return 'unknown'
    return f'{size / 2**30:.0f} GiB'
