"""Self-distillation by complementary masked patches (SDSTrack, CVPR 2024, sections 3.3 and 3.4).

Every batch goes through the network twice with the same weights: the fine path sees everything, the
masked path misses patches of either sensor, never the same place of both. Both learn the box, and what
the fusion blocks put out must agree. So the tracker learns to live with whatever sensor is left.

Where the published training does what its text does not say, the default here is what it does, and the
better choice is a setting: `align_tokens`, `stop_gradient`, `sensor_dropout`, `single_sensor`, `cells`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..model.config import SDSTrackConfig
from ..model.network import TrackerOutput
from ..settings import check, setting
from ..types import Mode
from .batch import Loss, TrainingBatch
from .losses import CELLS, BoxTerms, box_loss

RGB_ALONE = 0.25
"""Share of RGB among steps of a single sensor: no adapter is on its way, and only the last norm learns."""


@dataclass(frozen=True)
class DistillationSettings:
    """What the masked path sees and how much each part counts; the defaults are the published training.

    With `masked_weight` and `distill_weight` both 0 there is no masked path at all: the plain tracker loss,
    to measure what self-distillation is worth.
    """

    mask_ratio: float = setting(
        0.3, 'share of RGB patches masked, and of the remaining X patches', minimum=0.0, maximum=1.0
    )
    fine_weight: float = setting(0.6, 'weight of the box loss of the fine path', minimum=0.0)
    masked_weight: float = setting(0.2, 'weight of the box loss of the masked path', minimum=0.0)
    distill_weight: float = setting(0.1, 'weight of the disagreement of the two paths', minimum=0.0)
    align_tokens: bool = setting(
        False,
        'compare tokens of the same image patch. Elimination sorts the tokens of each path by its own '
        'attention, and the published loss compares whatever stands at the same rank',
    )
    stop_gradient: bool = setting(
        False, 'the fine path teaches only: no gradient reaches it from the disagreement'
    )
    sensor_dropout: float = setting(
        0.0,
        'share of samples whose masked path loses one whole sensor (RGB or X, even odds) instead of patches',
        minimum=0.0,
        maximum=1.0,
    )
    single_sensor: float = setting(
        0.0,
        'share of steps whose masked path is the network on one stream alone, as it runs on a robot while a '
        'sensor is missing; the disagreement is then that of the final features',
        minimum=0.0,
        maximum=1.0,
    )
    cells: str = setting(
        'peak', 'whose boxes learn: the predicted peak, or about the true centre', choices=CELLS
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def has_masked_path(self) -> bool:
        return self.masked_weight > 0 or self.distill_weight > 0


class TokenMaskSet(NamedTuple):
    """True where a token is hidden, (B,N) each, in the order that the network takes them."""

    template_rgb: Tensor
    template_x: Tensor
    search_rgb: Tensor
    search_x: Tensor


def complementary_masks(rgb_draw: Tensor, x_draw: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Hidden RGB and hidden X tokens from two uniform draws (B,N); no place is hidden in both."""
    rgb = rgb_draw < ratio
    return rgb, ~rgb & (x_draw < ratio)


def draw_masks(
    batch: int, config: SDSTrackConfig, settings: DistillationSettings, device: torch.device
) -> TokenMaskSet:
    """Masks of one batch from torch's generator of `device`.

    Four uniform draws in this order: template RGB, template X, search RGB, search X; with
    `sensor_dropout` two more per sample.
    """
    counts = (config.template_grid**2, config.template_grid**2, config.search_grid**2, config.search_grid**2)
    draws = [torch.rand(batch, n, device=device) for n in counts]
    template_rgb, template_x = complementary_masks(draws[0], draws[1], settings.mask_ratio)
    search_rgb, search_x = complementary_masks(draws[2], draws[3], settings.mask_ratio)
    if settings.sensor_dropout > 0:
        dropped, which = torch.rand(2, batch, 1, device=device)
        lost = dropped < settings.sensor_dropout
        lost_rgb, lost_x = lost & (which < 0.5), lost & (which >= 0.5)
        template_rgb, search_rgb = (~lost_x & (mask | lost_rgb) for mask in (template_rgb, search_rgb))
        template_x, search_x = (~lost_rgb & (mask | lost_x) for mask in (template_x, search_x))
    return TokenMaskSet(template_rgb, template_x, search_rgb, search_x)


@dataclass(frozen=True)
class SelfDistillation:
    """The objective of the paper's training: total = .6 fine + .2 masked + .1 disagreement.

    keep_rates: share of search tokens kept by elimination, by epoch (from 1; the last entry holds on);
    empty for the network's own value throughout.
    """

    config: SDSTrackConfig
    settings: DistillationSettings = DistillationSettings()
    keep_rates: tuple[float, ...] = ()

    def __call__(self, network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
        """One training step's loss; draws masks from torch's generators."""
        keep_rate = self.keep_rates[min(epoch, len(self.keep_rates)) - 1] if self.keep_rates else None
        settings = self.settings
        if not settings.has_masked_path:
            output = network(batch.template, batch.search, keep_rate=keep_rate)
            fine = box_loss(output, batch.box, batch.present, settings.cells)
            return Loss(settings.fine_weight * fine.total, path_terms('fine', fine))
        if settings.single_sensor > 0 and torch.rand(()).item() < settings.single_sensor:
            mode = Mode.RGB_ONLY if torch.rand(()).item() < RGB_ALONE else Mode.X_ONLY
            return single_sensor_loss(network, batch, mode, settings, keep_rate)
        masks = draw_masks(batch.template.shape[0], self.config, settings, batch.template.device)
        return masked_loss(network, batch, masks, self.config, settings, keep_rate)


def masked_loss(
    network: nn.Module,
    batch: TrainingBatch,
    masks: TokenMaskSet,
    config: SDSTrackConfig,
    settings: DistillationSettings,
    keep_rate: float | None,
) -> Loss:
    """Fine and masked path as one batch of 2B (the fine half first, with nothing masked), and their loss."""
    count = batch.template.shape[0]
    output: TrackerOutput = network(
        torch.cat((batch.template, batch.template)),
        torch.cat((batch.search, batch.search)),
        keep_rate=keep_rate,
        token_masks=tuple(torch.cat((torch.zeros_like(mask), mask)) for mask in masks),
        collect=True,
    )
    fine, masked = (
        box_loss(part, batch.box, batch.present, settings.cells)
        for part in (_rows(output, 0, count), _rows(output, count, 2 * count))
    )
    stages = []
    for i, tokens in enumerate(output.fusion_tokens):
        pair = tokens[:count].float(), tokens[count:].float()
        places = _places(output.kept, config, i)
        if settings.align_tokens and places is not None:
            present, pair = _align(pair, places, config)
        else:
            present = None
        stages.append(_disagreement(*pair, settings.stop_gradient, present))
    return _total(fine, masked, torch.stack(stages).mean(), settings)


def single_sensor_loss(
    network: nn.Module,
    batch: TrainingBatch,
    mode: Mode,
    settings: DistillationSettings,
    keep_rate: float | None,
) -> Loss:
    """The fine path against the network on one stream; they agree on the normalised features."""
    whole: TrackerOutput = network(batch.template, batch.search, keep_rate=keep_rate)
    alone: TrackerOutput = network(batch.template, batch.search, mode=mode, keep_rate=keep_rate)
    distance = _disagreement(whole.tokens.float(), alone.tokens.float(), settings.stop_gradient)
    fine, masked = (box_loss(output, batch.box, batch.present, settings.cells) for output in (whole, alone))
    return _total(fine, masked, distance, settings)


def path_terms(path: str, terms: BoxTerms) -> dict[str, Tensor]:
    """The log's view of one path."""
    return {
        f'{path}_giou': terms.giou.detach(),
        f'{path}_l1': terms.l1.detach(),
        f'{path}_focal': terms.focal.detach(),
        f'{path}_iou': terms.iou,
    }


def _total(fine: BoxTerms, masked: BoxTerms, distance: Tensor, settings: DistillationSettings) -> Loss:
    total = (
        settings.fine_weight * fine.total
        + settings.masked_weight * masked.total
        + settings.distill_weight * distance
    )
    terms: Mapping[str, Tensor] = {
        **path_terms('fine', fine),
        **path_terms('masked', masked),
        'distill': distance.detach(),
    }
    return Loss(total, terms)


def _rows(output: TrackerOutput, start: int, stop: int) -> TrackerOutput:
    """The maps of samples start..stop of a batch; no tokens, nothing that losses of boxes do not read."""
    maps = (output.score_map, output.size_map, output.offset_map)
    return output._replace(
        score_map=maps[0][start:stop], size_map=maps[1][start:stop], offset_map=maps[2][start:stop]
    )


def _disagreement(fine: Tensor, masked: Tensor, stop_gradient: bool, present: Tensor | None = None) -> Tensor:
    """Mean squared difference, over the tokens `present` (B,N) where given."""
    squared = ((fine.detach() if stop_gradient else fine) - masked) ** 2
    if present is None:
        return squared.mean()
    weight = present.unsqueeze(-1).to(squared.dtype)
    return (squared * weight).sum() / (weight.sum().clamp(min=1) * squared.shape[-1])


def _places(kept: tuple[Tensor, ...], config: SDSTrackConfig, stage: int) -> Tensor | None:
    """Search positions (2,2B,k) of the tokens of a fusion stage; None while all stand in their places."""
    done = [i for i, block in enumerate(config.elimination_blocks) if block <= config.fusion_blocks[stage]]
    return kept[done[-1]] if done else None


def _align(
    pair: tuple[Tensor, Tensor], places: Tensor, config: SDSTrackConfig
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Both paths' tokens on the full grid, and which tokens (B,2(Nz+Nx)) both paths still have."""
    n_template, n_search = config.template_grid**2, config.search_grid**2
    count = pair[0].shape[0]
    full, present = [], []
    for path, tokens in enumerate(pair):
        streams, seen = [], []
        for stream, half in enumerate(tokens.chunk(2, dim=1)):
            at = places[stream, path * count : (path + 1) * count]
            index = at.unsqueeze(-1).expand(-1, -1, half.shape[-1])
            blank = half.new_zeros(count, n_search, half.shape[-1])
            streams += [half[:, :n_template], blank.scatter(1, index, half[:, n_template:])]
            alive = torch.zeros(count, n_search, dtype=torch.bool, device=at.device).scatter(1, at, True)
            seen += [torch.ones(count, n_template, dtype=torch.bool, device=at.device), alive]
        full.append(torch.cat(streams, 1))
        present.append(torch.cat(seen, 1))
    return present[0] & present[1], (full[0], full[1])
