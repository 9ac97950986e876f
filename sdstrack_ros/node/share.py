"""Files that ship beside the code: settings and the middleware's profile."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def shared_file(name: str) -> Path | None:
    """A file of the source tree or of the package's share folder, by its path in there; None if not there."""
    prefixes = [Path(each) for each in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if each]
    shares = [prefix / 'share' / 'sdstrack' for prefix in (*prefixes, Path(sys.prefix))]
    places = [folder / name for folder in (Path(__file__).parents[2], *shares)]
    return next((place for place in places if place.is_file()), None)
