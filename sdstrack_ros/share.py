"""Files that ship beside the code: settings, weights and the middleware's profile."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def share_folders() -> list[Path]:
    """Where such files may lie: the source tree, then the share folders of ROS and of this Python."""
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)), sys.prefix]
    return [Path(__file__).parents[1], *(Path(prefix, 'share', 'sdstrack') for prefix in prefixes)]


def shared_file(name: str) -> Path | None:
    """A file of the source tree or of the package's share folder, by its path in there; None if not there."""
    places = [folder / name for folder in share_folders()]
    return next((place for place in places if place.is_file()), None)
