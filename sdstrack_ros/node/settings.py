"""Every parameter of the node, with its range and its meaning."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from ..errors import SettingError
from ..model import Calibration
from ..model.config import PRECISIONS
from ..sensing.content import ContentSettings
from ..sensing.events import EventSettings
from ..sensing.health import HealthSettings
from ..sensing.synchronizer import SynchronizerSettings
from ..settings import check, setting
from ..tracking.session import SessionSettings
from ..tracking.streams import MISSING
from ..tracking.target import TargetSettings
from ..types import Box, Modality

_MODALITIES = tuple(each.value for each in Modality)


@dataclass(frozen=True)
class TargetParameters(TargetSettings, SessionSettings):
    """All that concerns the target, under one name."""

    def __post_init__(self) -> None:
        TargetSettings.__post_init__(self)

    def limits(self, calibration: Calibration | None) -> TargetSettings | None:
        """For the tracker: None, which are the weights' own limits, unless the user chose some.

        Limits of the score that were left at their defaults stay those of the weights.
        """
        chosen = TargetSettings(**{each.name: getattr(self, each.name) for each in fields(TargetSettings)})
        defaults = TargetSettings()
        if chosen == defaults:
            return None
        same_scores = (chosen.uncertain, chosen.lost) == (defaults.uncertain, defaults.lost)
        return chosen.calibrated(calibration) if same_scores else chosen


@dataclass(frozen=True)
class NodeSettings:
    """The parameters; nested settings become dotted names, as `sync.slop`."""

    modality: str = setting('depth', 'what the second sensor, X, measures', choices=_MODALITIES)
    checkpoint: str = setting('', 'file of weights; empty: those that ship for the modality')
    device: str = setting('auto', 'where the network runs: auto (CUDA if there is one), cpu, cuda, cuda:N')
    precision: str = setting(
        'auto',
        'arithmetic of the network: auto (the fastest here of those known to keep the boxes)',
        choices=('auto', *PRECISIONS),
    )
    threads: int = setting(
        0,
        'of the network on the CPU; 0: as many as there are cores, less one for what comes and goes',
        minimum=0,
        maximum=1024,
    )
    compile: bool = setting(False, 'compile the network: a minute at start, faster frames on a GPU')
    init_box: str = setting('', 'target to follow from the first frame on: x,y,w,h in pixels; empty: none')
    rgb_transport: str = setting('raw', 'how RGB images come', choices=('raw', 'compressed'))
    x_transport: str = setting(
        'raw', 'how X comes', choices=('raw', 'compressed', 'compressedDepth', 'event_packet')
    )
    missing: str = setting('auto', 'what the network sees in place of a missing stream', choices=MISSING)
    autostart: bool = setting(True, 'configure and activate without being told to')
    history: float = setting(
        1.0, 'how long frames are kept for a target given by a stamped box, s', minimum=0.0, maximum=10.0
    )
    catch_up: int = setting(
        10, 'frames looked at on the way from that box to the present', minimum=0, maximum=1000
    )
    sync: SynchronizerSettings = field(default_factory=SynchronizerSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    content: ContentSettings = field(default_factory=ContentSettings)
    events: EventSettings = field(default_factory=EventSettings)
    target: TargetParameters = field(default_factory=TargetParameters)

    def __post_init__(self) -> None:
        check(self)
        self.first_box()
        if self.x_transport == 'event_packet' and self.modality != 'event':
            raise SettingError(f"x_transport: 'event_packet' needs modality event, not {self.modality!r}")
        if self.x_transport == 'compressedDepth' and self.modality != 'depth':
            raise SettingError(f"x_transport: 'compressedDepth' needs modality depth, not {self.modality!r}")

    def first_box(self) -> Box | None:
        """The box of `init_box`; None where it is empty."""
        if not self.init_box:
            return None
        try:
            box = Box.of([float(part) for part in self.init_box.split(',')])
        except ValueError:
            raise SettingError(
                f'init_box: {self.init_box!r} is not four numbers x,y,w,h (pixels, top left corner and size)'
            ) from None
        if not box.is_finite or box.w <= 0 or box.h <= 0:
            raise SettingError(f'init_box: {self.init_box!r} is degenerate: width and height must be above 0')
        return box
