"""The network, its config and its checkpoints."""

from .config import Calibration, SDSTrackConfig
from .network import SDSTrack, TrackerOutput, decode

__all__ = ['Calibration', 'SDSTrack', 'SDSTrackConfig', 'TrackerOutput', 'decode']
