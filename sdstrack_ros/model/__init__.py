"""The network, its config and its checkpoints."""

from .config import Calibration, SDSTrackConfig
from .convert import convert
from .defaults import load_default
from .initialise import initialise_foundation
from .network import SDSTrack, TrackerOutput, adapter_parameter_groups, decode

__all__ = [
    'Calibration',
    'SDSTrack',
    'SDSTrackConfig',
    'TrackerOutput',
    'adapter_parameter_groups',
    'convert',
    'decode',
    'initialise_foundation',
    'load_default',
]
