"""The numbers that make one SDSTrack network; they travel with its weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from ..errors import CheckpointError

PRECISIONS = ('fp32', 'bf16', 'int8')
"""What a network can run in; see `precision.py`."""

ELIMINATION_QUERIES = ('centre', 'template')


@dataclass(frozen=True)
class Calibration:
    """How far one set of weights is to be trusted.

    Limits of the windowed score, 0 to 1: below `uncertain` the answer is doubted, below `lost` the target is
    taken for gone. size_rate: how far the size of the box follows the network in one frame, 0 (not at all) to
    1 (as published). Small networks judge the size less well than the place, and an error in the size spoils
    the scale of the next search region, so that errors add up. precisions: those of fewer bits
    (`precision.py`) with which the boxes were seen to stay the same.
    """

    uncertain: float
    lost: float
    size_rate: float = 1.0
    precisions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.lost <= self.uncertain <= 1.0:
            raise ValueError(
                f'calibration: need 0 <= lost <= uncertain <= 1, not {self.lost}, {self.uncertain}'
            )
        unknown = [each for each in self.precisions if each not in PRECISIONS]
        if unknown:
            raise ValueError(f'calibration: precision {unknown[0]!r} is not one of {PRECISIONS}')


@dataclass(frozen=True)
class SDSTrackConfig:
    """Architecture of one network. The defaults are the published ViT-B; small nets use the same code."""

    dim: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    adapter_ratio: float = 0.25  # bottleneck of an adapter, relative to dim
    patch: int = 16  # side of a token, px
    template_size: int = 128  # side of the crop, px
    search_size: int = 256
    template_factor: float = 2.0  # side of the crop, relative to sqrt(w h) of the box
    search_factor: float = 4.0
    fusion_blocks: tuple[int, ...] = (3, 6, 9, 11)  # after these blocks the streams attend to each other
    elimination_blocks: tuple[int, ...] = (3, 6, 9)  # in these blocks search tokens are dropped
    keep_rate: float = 0.7  # share of search tokens that one elimination keeps
    elimination_query: str = 'centre'  # whose attention judges: the central template token, or all of them
    head_channels: int = 256
    drop_path: float = 0.1  # stochastic depth of the last block, training only
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        self._check_numbers()
        problems = [
            (self.dim % self.heads != 0, f'dim {self.dim} is not a multiple of heads {self.heads}'),
            (self.dim % 4 != 0, f'dim {self.dim} is not a multiple of 4'),
            (
                self.template_size % self.patch != 0,
                f'template_size {self.template_size} is not whole patches',
            ),
            (self.search_size % self.patch != 0, f'search_size {self.search_size} is not whole patches'),
            (self.head_channels % 8 != 0, f'head_channels {self.head_channels} is not a multiple of 8'),
            (not 0.0 < self.keep_rate <= 1.0, f'keep_rate {self.keep_rate} is not in (0, 1]'),
            (
                self.elimination_query not in ELIMINATION_QUERIES,
                f'elimination_query {self.elimination_query!r} is not one of {ELIMINATION_QUERIES}',
            ),
            (
                any(not 0 <= i < self.depth for i in (*self.fusion_blocks, *self.elimination_blocks)),
                f'fusion and elimination blocks must lie in 0..{self.depth - 1}',
            ),
        ]
        for wrong, message in problems:
            if wrong:
                raise ValueError(f'network config: {message}')

    def _check_numbers(self) -> None:
        """The values may come from a file."""
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if each.type == 'int' and not (whole and value > 0):
                raise ValueError(f'network config: {each.name} {value!r} is not a whole number above 0')
            if each.type == 'float' and not (whole or isinstance(value, float)):
                raise ValueError(f'network config: {each.name} {value!r} is not a number')

    @property
    def template_grid(self) -> int:
        """Tokens along one side of the template."""
        return self.template_size // self.patch

    @property
    def search_grid(self) -> int:
        """Tokens along one side of the search region; also the side of the score map."""
        return self.search_size // self.patch

    @property
    def central_token(self) -> int:
        """Index of the template token next to the centre, up and left (27 of 64 at ViT-B)."""
        middle = (self.template_grid - 1) // 2
        return middle * self.template_grid + middle

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SDSTrackConfig:
        """The config written by `to_json`; CheckpointError where it is not one."""
        try:
            values: dict[str, Any] = json.loads(text)
            for name in ('fusion_blocks', 'elimination_blocks'):
                values[name] = tuple(values[name])
            if values['calibration'] is not None:
                calibration = dict(values['calibration'])
                precisions = tuple(calibration.pop('precisions', ()))
                values['calibration'] = Calibration(**calibration, precisions=precisions)
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f'the network config in this file cannot be used ({error}); '
                f'convert the checkpoint again with this version of sdstrack'
            ) from error
