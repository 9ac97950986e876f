"""The recipe of the weights that ship: one small RGB foundation, then adapters for depth, thermal and events.

    sdstrack train-nano PHOTOS/* --out runs/nano

Both stages learn from rendered pairs (`simulation.pairs`), on the device that trains. The foundation is the
RGB pass alone, all of it trained; the adapters learn with the paper's self-distillation on complementary
masks, where a part of the masked paths loses a whole sensor, as happens on robots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ..errors import TrainingError
from ..model.config import Calibration, SDSTrackConfig
from ..model.initialise import initialise_foundation
from ..model.network import SDSTrack, adapter_parameter_groups
from ..settings import check, setting
from ..simulation.library import Library
from ..simulation.pairs import PairSettings, PairSource
from ..types import Modality, Mode
from .batch import Loss, TrainingBatch
from .distillation import DistillationSettings, SelfDistillation, path_terms
from .loop import MODEL_FILE, TrainSettings, train
from .losses import box_loss

# No candidate elimination: with it the same small foundation found fewer targets (models/README.md), and
# there is time enough without.
NANO = SDSTrackConfig(
    dim=192,
    depth=8,
    heads=3,
    template_size=96,
    search_size=192,
    fusion_blocks=(2, 4, 6, 7),
    elimination_blocks=(),
    head_channels=64,
    drop_path=0.0,
)


@dataclass(frozen=True)
class NanoSettings:
    """Both stages of the recipe; the defaults made the weights that ship."""

    batch: int = setting(512, 'pairs of a step', minimum=2)
    foundation_minutes: float = setting(9.0, 'time of the foundation, min', minimum=0.0)
    foundation_lr: float = setting(1.5e-3, 'highest learning rate of the foundation', minimum=0.0)
    adapter_minutes: float = setting(7.0, 'time of each set of adapters, min', minimum=0.0)
    adapter_lr: float = setting(1e-3, 'highest learning rate of the adapters', minimum=0.0)
    strange_colours: float = setting(
        0.2, 'share of foundation pairs seen as depth or thermal pictures', minimum=0.0, maximum=1.0
    )
    precision: str = setting('bf16', 'arithmetic of forward and backward', choices=('fp32', 'bf16'))
    compile: bool = setting(True, 'compile the network')
    seed: int = setting(0, 'of weights and pairs', minimum=0)

    def __post_init__(self) -> None:
        check(self)


# What made the weights that ship; against the paper: compared tokens are those of the same patch, the fine
# path is the teacher alone, and whole sensors go missing.
NANO_DISTILLATION = DistillationSettings(
    align_tokens=True, stop_gradient=True, sensor_dropout=0.3, single_sensor=0.3
)


def rgb_objective(network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
    """The box loss of the RGB pass alone."""
    terms = box_loss(network(batch.template, batch.search, mode=Mode.RGB_ONLY), batch.box, batch.present)
    return Loss(terms.total, path_terms('fine', terms))


class RenderedBatches:
    """Endless batches of a pair source; a batch depends on the seed and on its step alone."""

    def __init__(
        self, library: Library, modality: Modality | None, pairs: PairSettings, batch: int, seed: int
    ) -> None:
        self._library, self._modality, self._pairs = library, modality, pairs
        self._batch, self._seed = batch, seed

    def __call__(self, step: int) -> Iterator[TrainingBatch]:
        source = PairSource(self._library, self._modality, self._pairs, self._seed * 1_000_003 + step)
        while True:
            yield TrainingBatch(*source.draw(self._batch))


def nano_pairs(strange_colours: float = 0.0, config: SDSTrackConfig = NANO) -> PairSettings:
    """Pairs in the crop sizes of the network."""
    return PairSettings(
        template_size=config.template_size,
        search_size=config.search_size,
        template_factor=config.template_factor,
        search_factor=config.search_factor,
        strange_colours=strange_colours,
    )


def _run(settings: NanoSettings, minutes: float, warmup_steps: int, weight_decay: float) -> TrainSettings:
    """How both stages are trained."""
    return TrainSettings(
        minutes=minutes,
        steps_per_epoch=100,
        schedule='cosine',
        warmup_steps=warmup_steps,
        weight_decay=weight_decay,
        clip=1.0,
        precision=settings.precision,
        compile=settings.compile,
        ema_decay=0.998,
        checkpoint_every=2000,
        log_every=100,
        seed=settings.seed,
    )


def train_foundation(
    library: Library,
    settings: NanoSettings,
    out: Path,
    config: SDSTrackConfig = NANO,
    *,
    resume: bool = False,
) -> SDSTrack:
    """The RGB tracker, from nothing; weights and log in `out`."""
    torch.manual_seed(settings.seed)
    model = SDSTrack(config)
    initialise_foundation(model)
    model.to(library.device)
    run = _run(settings, settings.foundation_minutes, warmup_steps=300, weight_decay=0.05)
    groups = [{'params': [p for p in model.parameters() if p.requires_grad], 'lr': settings.foundation_lr}]
    batches = RenderedBatches(
        library, None, nano_pairs(settings.strange_colours, config), settings.batch, settings.seed
    )
    train(model, groups, batches, rgb_objective, run, out, SDSTrack.save, resume=resume)
    return model


def train_adapters(
    foundation: SDSTrack,
    modality: Modality,
    library: Library,
    settings: NanoSettings,
    out: Path,
    distillation: DistillationSettings = NANO_DISTILLATION,
    *,
    resume: bool = False,
) -> SDSTrack:
    """Adapters, X patch embedding and last norm of one modality on the frozen `foundation` (in place)."""
    model = foundation
    model.freeze_foundation()
    run = _run(settings, settings.adapter_minutes, warmup_steps=200, weight_decay=1e-4)
    batches = RenderedBatches(
        library, modality, nano_pairs(config=model.config), settings.batch, settings.seed + 1
    )
    objective = SelfDistillation(model.config, distillation)
    train(
        model,
        adapter_parameter_groups(model, settings.adapter_lr),
        batches,
        objective,
        run,
        out,
        SDSTrack.save,
        resume=resume,
    )
    return model


@torch.no_grad()
def calibrate(model: SDSTrack, source: PairSource, batches: int = 8, batch: int = 32) -> Calibration:
    """Limits of the score for these weights, from pairs whose truth is known.

    lost: nine in ten of the crops without the target lie below it. uncertain: half way from there to the
    middle of those with the target, since a good box should seldom be doubted.
    """
    model.eval()
    scores, present = [], []
    for _ in range(batches):
        pair = source.draw(batch)
        scores.append(model(pair.template, pair.search).score_map.flatten(1).amax(1))
        present.append(pair.present)
    score, there = torch.cat(scores), torch.cat(present)
    if there.all() or not there.any():
        raise TrainingError('calibration needs crops with the target and crops without it')
    middle = float(score[there].median())
    lost = min(float(score[~there].quantile(0.9)), middle)
    return Calibration(uncertain=0.5 * (lost + middle), lost=lost)


def make_nano(
    library: Library,
    settings: NanoSettings,
    out: Path,
    config: SDSTrackConfig = NANO,
    *,
    resume: bool = False,
) -> None:
    """The whole recipe: `nano_foundation` and `nano_<modality>` as float16 safetensors in `out`.

    resume: stages that are done are kept, the one that was stopped goes on.
    """
    weights = out / 'foundation' / MODEL_FILE
    if not (resume and (out / 'foundation' / 'done').exists()):
        train_foundation(library, settings, out / 'foundation', config, resume=resume)
        (out / 'foundation' / 'done').touch()
    foundation = SDSTrack.from_checkpoint(weights)
    foundation.save(out / 'nano_foundation.safetensors', 'foundation', half=True)
    for modality in Modality:
        # from the file that ships, so that the adapters learn on the very weights they will run on
        model = SDSTrack.from_foundation(out / 'nano_foundation.safetensors').to(library.device)
        model.backbone.patch_embed_multimodal.load_state_dict(model.backbone.patch_embed.state_dict())
        folder = out / modality.value
        if resume and (folder / 'done').exists():
            continue
        model = train_adapters(model, modality, library, settings, folder, resume=resume)
        pairs = replace(nano_pairs(config=model.config), absent=0.5)
        limits = calibrate(model, PairSource(library, modality, pairs, settings.seed + 2))
        model.config = replace(model.config, calibration=limits)
        model.save(out / f'nano_{modality.value}.safetensors', 'adapters', half=True)
        (folder / 'done').touch()
