"""The recipe of the weights that ship: one small RGB foundation, then adapters for depth, thermal and events.

    sdstrack train-nano PHOTOS/* --out runs/nano

All stages learn from rendered pairs (`simulation.pairs`), on the device that trains. The foundation is the
RGB pass alone, all of it trained; the adapters learn with the paper's self-distillation on complementary
masks, where a part of the masked paths loses a whole sensor, as happens on robots. Most of what adapters
have to learn is the same for every second sensor, so they learn it together, and each modality goes on from
there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..model.config import Calibration, SDSTrackConfig
from ..model.defaults import FOUNDATION
from ..model.initialise import initialise_foundation
from ..model.network import SDSTrack, adapter_parameter_groups
from ..settings import check, setting
from ..simulation.library import Library
from ..simulation.pairs import PairSettings, PairSource
from ..types import Modality, Mode
from .batch import Loss, TrainingBatch
from .distillation import DistillationSettings, SelfDistillation, path_terms
from .loop import MODEL_FILE, STATE_FILE, TrainSettings, train
from .losses import box_loss
from .trust import score_limits, trusted_precisions

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
    """All stages of the recipe; the defaults are meant for a GPU."""

    batch: int = setting(512, 'pairs of a step', minimum=2)
    foundation_minutes: float = setting(9.0, 'time of the foundation, min', minimum=0.0)
    foundation_lr: float = setting(1.5e-3, 'highest learning rate of the foundation', minimum=0.0)
    shared_minutes: float = setting(6.0, 'time of the adapters on all modalities in turn, min', minimum=0.0)
    adapter_minutes: float = setting(
        4.0, 'time of each modality after that, min; 0: they stay as they are', minimum=0.0
    )
    adapter_lr: float = setting(1e-3, 'highest learning rate of the adapters', minimum=0.0)
    strange_colours: float = setting(
        0.36, 'share of foundation pairs seen as depth, thermal or event pictures', minimum=0.0, maximum=1.0
    )
    precision: str = setting('bf16', 'arithmetic of forward and backward', choices=('fp32', 'bf16'))
    compile: bool = setting(True, 'compile the network')
    seed: int = setting(0, 'of weights and pairs', minimum=0)

    def __post_init__(self) -> None:
        check(self)


# Against the paper: compared tokens are those of the same patch, the fine path is the teacher alone, boxes
# are learnt where the target is, whole sensors go missing, and the masked path counts as much as the fine
# one: on a robot a sensor that is down is no rare case, and in few steps a small weight teaches nothing.
NANO_DISTILLATION = DistillationSettings(
    masked_weight=0.6,
    align_tokens=True,
    stop_gradient=True,
    sensor_dropout=0.5,
    single_sensor=0.4,
    cells='centre',
)


# The box follows the network's judgement of the size half way in a frame: the judgement is a noisy one.
SIZE_RATE = 0.5


def rgb_objective(network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
    """The box loss of the RGB pass alone."""
    output = network(batch.template, batch.search, mode=Mode.RGB_ONLY)
    terms = box_loss(output, batch.box, batch.present, cells='centre')
    return Loss(terms.total, path_terms('fine', terms))


class RenderedBatches:
    """Endless batches of rendered pairs, of `modalities` in turn. A modality None is RGB alone.

    The draws are those of the seed and of the step that they start from.
    """

    def __init__(
        self,
        library: Library,
        modalities: tuple[Modality | None, ...],
        pairs: PairSettings,
        batch: int,
        seed: int,
    ) -> None:
        self._library, self._modalities, self._pairs = library, modalities, pairs
        self._batch, self._seed = batch, seed

    def __call__(self, step: int) -> Iterator[TrainingBatch]:
        sources = [
            PairSource(self._library, modality, self._pairs, self._seed * 1_000_003 + step)
            for modality in self._modalities
        ]
        while True:
            yield TrainingBatch(*sources[step % len(sources)].draw(self._batch))
            step += 1


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
    """How every stage is trained."""
    return TrainSettings(
        minutes=minutes,
        steps_per_epoch=100,
        schedule='cosine',
        warmup_steps=warmup_steps,
        optimizer='muon',
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
    model: SDSTrack, library: Library, settings: NanoSettings, out: Path, *, resume: bool = False
) -> None:
    """Train the whole RGB pass of `model` in place; weights and log in `out`."""
    run = _run(settings, settings.foundation_minutes, warmup_steps=300, weight_decay=0.05)
    groups = [{'params': [p for p in model.parameters() if p.requires_grad], 'lr': settings.foundation_lr}]
    pairs = nano_pairs(settings.strange_colours, model.config)
    batches = RenderedBatches(library, (None,), pairs, settings.batch, settings.seed)
    train(model, groups, batches, rgb_objective, run, out, SDSTrack.save, resume=resume)


def with_fresh_adapters(foundation: Path, device: torch.device) -> SDSTrack:
    """What adapters start from: the foundation of this file, the X patch embedding a copy of RGB's."""
    model = SDSTrack.from_foundation(foundation).to(device)
    model.backbone.patch_embed_multimodal.load_state_dict(model.backbone.patch_embed.state_dict())
    return model


def train_adapters(
    model: SDSTrack,
    modalities: tuple[Modality, ...],
    library: Library,
    settings: NanoSettings,
    minutes: float,
    out: Path,
    distillation: DistillationSettings = NANO_DISTILLATION,
    *,
    resume: bool = False,
) -> None:
    """Train adapters, X patch embedding and last norm of `model` in place; the rest is frozen."""
    model.freeze_foundation()
    run = _run(settings, minutes, warmup_steps=100, weight_decay=1e-4)
    pairs = nano_pairs(config=model.config)
    batches = RenderedBatches(library, modalities, pairs, settings.batch, settings.seed + 1)
    objective = SelfDistillation(model.config, distillation)
    groups = adapter_parameter_groups(model, settings.adapter_lr)
    train(model, groups, batches, objective, run, out, SDSTrack.save, resume=resume)


def calibrated(model: SDSTrack, modality: Modality, library: Library, seed: int) -> Calibration:
    """What these weights can be trusted with."""
    pairs = replace(nano_pairs(config=model.config), absent=0.5)
    uncertain, lost = score_limits(model, PairSource(library, modality, pairs, seed))
    # as they are used: with the limits
    model.config = replace(model.config, calibration=Calibration(uncertain, lost, SIZE_RATE))
    return Calibration(uncertain, lost, SIZE_RATE, trusted_precisions(model.eval(), modality))


def make_nano(
    library: Library,
    settings: NanoSettings,
    out: Path,
    config: SDSTrackConfig = NANO,
    *,
    start: Path | None = None,
    resume: bool = False,
) -> None:
    """The whole recipe: `nano_foundation` and `nano_<modality>` as float16 safetensors in `out`.

    start: a folder with the weights of an earlier run, to go on from instead of from nothing; each modality
    then goes on from its own adapters, and there is no shared stage. resume: stages that are done are kept,
    the one that was stopped goes on.
    """

    if not resume:  # what an earlier run left here is none of this one's, also once it is resumed
        for left in (*out.glob('*/done'), *out.glob(f'*/{STATE_FILE}')):
            left.unlink()

    def stage(name: str, work: Callable[[Path], None]) -> None:
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (resume and (folder / 'done').exists()):
            work(folder)
            (folder / 'done').touch()

    def learn_rgb(folder: Path) -> None:
        torch.manual_seed(settings.seed)
        if start is None:
            model = SDSTrack(config)
            initialise_foundation(model)
        else:
            model = SDSTrack.from_foundation(start / FOUNDATION)
        train_foundation(model.to(library.device), library, settings, folder, resume=resume)
        model.save(out / FOUNDATION, 'foundation', half=True)

    def learn_all(folder: Path) -> None:
        # from the file that ships, so that the adapters learn on the very weights they will run on
        model = with_fresh_adapters(out / FOUNDATION, library.device)
        modalities = tuple(Modality)
        train_adapters(model, modalities, library, settings, settings.shared_minutes, folder, resume=resume)

    def learn_one(modality: Modality, folder: Path) -> None:
        name = f'nano_{modality.value}.safetensors'
        if start is None:
            model = SDSTrack.from_checkpoint(out / 'shared' / MODEL_FILE, library.device)
        else:
            model = SDSTrack.from_foundation(out / FOUNDATION)
            model.load_adapters(start / name)
            model.to(library.device)
        if settings.adapter_minutes > 0:
            minutes = settings.adapter_minutes
            train_adapters(model, (modality,), library, settings, minutes, folder, resume=resume)
        limits = calibrated(model, modality, library, settings.seed + 2)
        model.config = replace(model.config, calibration=limits)
        model.save(out / name, 'adapters', half=True)

    stage('foundation', learn_rgb)
    if start is None:
        stage('shared', learn_all)
    for modality in Modality:
        stage(modality.value, partial(learn_one, modality))
