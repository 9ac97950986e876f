"""From a box in the first frame to a box in every frame."""

from .tracker import Tracker, TrackResult

__all__ = ['TrackResult', 'Tracker']
