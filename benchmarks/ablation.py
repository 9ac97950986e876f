"""What is the self-distillation worth? Two sets of adapters, alike in all but that, and how each fares.

    python benchmarks/ablation.py OUT PICTURES ... --steps 250 --batch 32

Both start from the same foundation and the same fresh adapters and learn from the same pairs, of depth, heat
and events in turn: one with the objective of `train-nano`, the other with its box loss of the unmasked path
alone. Prints, as a Markdown table, the mean IoU on fresh pairs with both sensors, with one stream alone (as
the tracker runs when a sensor is down), with zeros in the place of one (as in the paper), and with half of
the patches of each gone. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch
from rich.progress import track as progress

from sdstrack_ros.model import SDSTrack
from sdstrack_ros.model.defaults import FOUNDATION, weight_folders
from sdstrack_ros.model.network import adapter_parameter_groups
from sdstrack_ros.simulation.pairs import PairSource
from sdstrack_ros.simulation.pictures import picture_library
from sdstrack_ros.training.distillation import SelfDistillation
from sdstrack_ros.training.loop import MODEL_FILE, TrainSettings, train
from sdstrack_ros.training.losses import box_loss
from sdstrack_ros.training.nano import NANO_DISTILLATION, RenderedBatches, nano_pairs, with_fresh_adapters
from sdstrack_ros.types import Modality, Mode

ARMS = {
    'with self-distillation': NANO_DISTILLATION,
    'without': dataclasses.replace(NANO_DISTILLATION, masked_weight=0.0, distill_weight=0.0),
}
CONDITIONS = ('both', 'RGB alone', 'X alone', 'zeros for X', 'zeros for RGB', 'half of all patches')
SEED, LR = 11, 1e-3


def trained(foundation: Path, library, arm: str, steps: int, batch: int, out: Path) -> SDSTrack:
    torch.manual_seed(SEED)
    model = with_fresh_adapters(foundation, library.device)
    model.freeze_foundation()
    settings = TrainSettings(
        steps=steps,
        schedule='cosine',
        warmup_steps=20,
        optimizer='muon',
        clip=1.0,
        precision='bf16',
        ema_decay=0.98,
        checkpoint_every=25,
        log_every=25,
        seed=SEED,
    )
    batches = RenderedBatches(library, tuple(Modality), nano_pairs(config=model.config), batch, SEED)
    objective = SelfDistillation(model.config, ARMS[arm])
    groups = adapter_parameter_groups(model, LR)
    train(model, groups, batches, objective, settings, out, SDSTrack.save, resume=True)
    return SDSTrack.from_checkpoint(out / MODEL_FILE, library.device)


@torch.no_grad()
def accuracy(model: SDSTrack, library, batches: int = 32, batch: int = 32) -> dict[str, float]:
    """Mean IoU by condition over all modalities, each on `batches` batches of fresh pairs."""
    shares = {condition: [] for condition in CONDITIONS}
    generator = torch.Generator(library.device).manual_seed(SEED)
    for modality in Modality:
        source = PairSource(library, modality, nano_pairs(config=model.config), SEED + 1000)
        for _ in progress(range(batches), modality.value, transient=True):
            pair = source.draw(batch)
            for condition in CONDITIONS:
                with torch.autocast(library.device.type, torch.bfloat16):
                    out = look(model, pair, condition, generator)
                shares[condition].append(box_loss(out, pair.box, pair.present).iou)
    return {condition: torch.stack(values).mean().item() for condition, values in shares.items()}


def look(model: SDSTrack, pair, condition: str, generator: torch.Generator):
    if condition in ('RGB alone', 'X alone'):
        mode = Mode.RGB_ONLY if condition == 'RGB alone' else Mode.X_ONLY
        return model(pair.template, pair.search, mode=mode)
    count, device = len(pair.box), pair.box.device
    sides = (model.config.template_grid**2, model.config.search_grid**2)
    nothing, all_of_it = (
        [make(count, n, device=device).bool() for n in sides] for make in (torch.zeros, torch.ones)
    )
    masks = {
        'both': (nothing, nothing),
        'zeros for X': (nothing, all_of_it),
        'zeros for RGB': (all_of_it, nothing),
    }
    if condition in masks:
        rgb, x = masks[condition]
    else:
        rgb, x = (
            [torch.rand(count, n, generator=generator, device=device) < 0.5 for n in sides] for _ in 'rx'
        )
    return model(pair.template, pair.search, token_masks=(rgb[0], x[0], rgb[1], x[1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', type=Path)
    parser.add_argument('pictures', type=Path, nargs='+')
    parser.add_argument('--steps', type=int, default=250)
    parser.add_argument('--batch', type=int, default=32)
    given = parser.parse_args()
    foundation = next(f / FOUNDATION for f in weight_folders() if (f / FOUNDATION).is_file())
    library = picture_library(given.pictures, 'cuda' if torch.cuda.is_available() else 'cpu')
    print('| adapters | ' + ' | '.join(CONDITIONS) + ' |\n|' + ' --- |' * (1 + len(CONDITIONS)))
    for arm in ARMS:
        folder = given.out / arm.replace(' ', '_')
        model = trained(foundation, library, arm, given.steps, given.batch, folder)
        found = accuracy(model, library)
        print(f'| {arm} | ' + ' | '.join(f'{found[c]:.3f}' for c in CONDITIONS) + ' |', flush=True)


if __name__ == '__main__':
    main()
