"""A library of textures from folders of photographs.

What a folder may hold, told by file names alone:

    NAME.jpg                            a photograph
    NAME.png or NAME_mask.png           beside it: labels per pixel, 1..N; each label a thing with an outline
    NAME_rgb.jpg and NAME_thermal.jpg   a registered visible and thermal pair
    NAME_thermal.jpg                    alone: a thermal picture, also used as the visible one
    boxes.csv                           id,label,x,y,w,h per thing (id = NAME), px
    NAME_00001.jpg, NAME_00002.jpg, ... with masks: frames of a video, in which the masked thing moves
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from ..errors import DatasetError
from ..types import Image
from .library import PLATE_SIZE, SPRITE_SIZE, Library, outline_of

_VIDEO_FRAME = re.compile(r'(.+)_(\d{5})$')
_MAX_OBJECTS = 3  # things of one picture that become the own object of a plate


@dataclass
class _Gathered:
    """Plates and sprites of one picture."""

    plates: list[Image] = field(default_factory=list)
    aspects: list[float] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    measured: list[bool] = field(default_factory=list)
    sprites: list[Image] = field(default_factory=list)
    sprite_aspects: list[float] = field(default_factory=list)
    clip: str = ''


def picture_library(folders: list[Path], device: torch.device | str = 'cpu', workers: int = 8) -> Library:
    """Plates and sprites of all pictures in `folders`; raises DatasetError where there are none."""
    jobs = [job for folder in folders for job in _jobs(folder)]
    if not jobs:
        raise DatasetError(f'no pictures (*.jpg) in {", ".join(map(str, folders))}')
    with ThreadPoolExecutor(workers) as pool:
        gathered = list(pool.map(lambda job: _gather(*job), jobs))
    plates = [plate for each in gathered for plate in each.plates]
    sprites = [sprite for each in gathered for sprite in each.sprites]
    if not sprites:
        raise DatasetError(
            f'no outlined things in {", ".join(map(str, folders))}: add label masks as NAME_mask.png'
        )
    clips: dict[str, int] = {}
    clip = [clips.setdefault(each.clip, len(clips)) for each in gathered for _ in each.plates]
    sprite = torch.from_numpy(np.stack(sprites)).permute(0, 3, 1, 2).contiguous()
    library = Library(
        plates=torch.from_numpy(np.stack(plates)).permute(0, 3, 1, 2).contiguous(),
        plate_aspect=torch.tensor([a for each in gathered for a in each.aspects]),
        plate_box=torch.tensor([b for each in gathered for b in each.boxes]),
        plate_clip=torch.tensor(clip),
        plate_thermal=torch.tensor([m for each in gathered for m in each.measured]),
        sprites=sprite,
        sprite_aspect=torch.tensor([a for each in gathered for a in each.sprite_aspects]),
        outline=outline_of(sprite[:, 3].float() / 255),
    )
    return library.to(device)


def _jobs(folder: Path) -> Iterator[tuple[Path, list[tuple[float, float, float, float]]]]:
    if not folder.is_dir():
        raise DatasetError(f'{folder}: no such folder of pictures')
    boxes: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    if (folder / 'boxes.csv').is_file():
        with (folder / 'boxes.csv').open() as lines:
            for row in csv.DictReader(lines):
                x, y, w, h = (float(row[key]) for key in 'xywh')
                boxes[row['id']].append((x, y, w, h))
    for path in sorted(folder.glob('*.jpg')):
        if path.stem.endswith('_thermal') and path.with_name(path.name.replace('_thermal', '_rgb')).exists():
            continue  # taken with its visible partner
        yield path, boxes.get(path.stem.removesuffix('_thermal'), [])


def _gather(path: Path, boxes: list[tuple[float, float, float, float]]) -> _Gathered:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DatasetError(f'{path}: not a readable picture')
    rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    heat, labels = _partner_thermal(path), _partner_labels(path)
    measured = heat is not None
    grey = heat if heat is not None else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    if grey.shape != rgb.shape[:2]:
        grey = cv2.resize(grey, (rgb.shape[1], rgb.shape[0]))
    masks = _masks(labels, rgb.shape[:2]) if labels is not None else []
    if not masks and measured:
        masks = _hot_things(grey)
    found = _Gathered()
    video = _VIDEO_FRAME.match(path.stem)
    found.clip = f'{path.parent}/{video[1]}' if video and masks else str(path)
    for mask in masks:
        sprite = _cut_out(rgb, mask)
        if sprite is not None:
            found.sprites.append(sprite[0])
            found.sprite_aspects.append(sprite[1])
    own = [(mask, _bounds(mask)) for mask in masks] + [(_ellipse(box, rgb.shape[:2]), box) for box in boxes]
    own = [(mask, box) for mask, box in own if _is_good_target(box, rgb.shape[:2])]
    own.sort(key=lambda thing: -thing[1][2] * thing[1][3])
    for mask, box in own[: 1 if video else _MAX_OBJECTS]:
        _add_plate(found, rgb, grey, mask, box, measured)
    if not found.plates:
        _add_plate(found, rgb, grey, np.zeros(rgb.shape[:2], np.uint8), None, measured)
    return found


def _add_plate(
    found: _Gathered,
    rgb: Image,
    grey: Image,
    mask: Image,
    box: tuple[float, float, float, float] | None,
    measured: bool,
) -> None:
    height, width = rgb.shape[:2]
    square = (PLATE_SIZE, PLATE_SIZE)
    layers = (rgb, mask * np.uint8(255), grey)
    found.plates.append(
        np.dstack([cv2.resize(each, square, interpolation=cv2.INTER_AREA) for each in layers])
    )
    found.aspects.append(width / height)
    found.measured.append(measured)
    if box is None:
        found.boxes.append((float('nan'),) * 4)
    else:
        x, y, w, h = box
        found.boxes.append(
            (2 * x / width - 1, 2 * y / height - 1, 2 * (x + w) / width - 1, 2 * (y + h) / height - 1)
        )


def _partner_thermal(path: Path) -> Image | None:
    if path.stem.endswith('_thermal'):
        thermal = path
    elif path.stem.endswith('_rgb'):
        thermal = path.with_name(path.name.replace('_rgb', '_thermal'))
    else:
        return None
    return cv2.imread(str(thermal), cv2.IMREAD_GRAYSCALE) if thermal.exists() else None


def _partner_labels(path: Path) -> Image | None:
    for candidate in (path.with_name(path.stem + '_mask.png'), path.with_suffix('.png')):
        if candidate.exists():
            labels = cv2.imread(str(candidate), cv2.IMREAD_UNCHANGED)
            if labels is None:
                raise DatasetError(f'{candidate}: not a readable label mask')
            return labels if labels.ndim == 2 else labels.max(2)
    return None


def _masks(labels: Image, shape: tuple[int, ...]) -> list[Image]:
    """One uint8 0/1 mask per label that could be a thing: neither tiny nor huge, mostly off the border."""
    if labels.shape != shape:
        labels = cv2.resize(labels, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    masks = []
    for label in np.unique(labels):
        if label == 0:
            continue
        mask = (labels == label).astype(np.uint8)
        border = mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()
        if 0.004 < mask.mean() < 0.45 and border < 0.35 * 4 * np.sqrt(mask.sum()):
            masks.append(_largest_part(mask))
    return [mask for mask in masks if mask.mean() > 0.003]


def _hot_things(grey: Image) -> list[Image]:
    smooth = cv2.GaussianBlur(grey, (0, 0), 2)
    hot = (smooth > smooth.mean() + 1.5 * smooth.std()).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hot)
    area = grey.size
    good = [i for i in range(1, count) if 0.003 * area < stats[i, cv2.CC_STAT_AREA] < 0.1 * area]
    return [(labels == i).astype(np.uint8) for i in good]


def _largest_part(mask: Image) -> Image:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count <= 2:
        return mask
    return (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)


def _bounds(mask: Image) -> tuple[float, float, float, float]:
    x, y, w, h = cv2.boundingRect(mask)
    return float(x), float(y), float(w), float(h)


def _ellipse(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> Image:
    x, y, w, h = box
    mask = np.zeros(shape, np.uint8)
    center, axes = (round(x + w / 2), round(y + h / 2)), (max(round(w / 2), 1), max(round(h / 2), 1))
    return cv2.ellipse(mask, center, axes, 0, 0, 360, 1, -1)


def _is_good_target(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> bool:
    _, _, w, h = box
    return min(w, h) >= 12 and 0.03 < np.sqrt(w * h / (shape[0] * shape[1])) < 0.6


def _cut_out(rgb: Image, mask: Image) -> tuple[Image, float] | None:
    """RGBA (128,128,4) of the masked thing, filling the square, and its aspect; None if tiny."""
    x, y, w, h = cv2.boundingRect(mask)
    if min(w, h) < 24:
        return None
    cut = np.dstack([rgb, mask * np.uint8(255)])[y : y + h, x : x + w]
    return cv2.resize(cut, (SPRITE_SIZE, SPRITE_SIZE), interpolation=cv2.INTER_AREA), w / h
