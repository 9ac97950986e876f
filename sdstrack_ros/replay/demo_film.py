"""A short animation for people: both cameras with the truth, the answer and the mode, and IoU over time."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from ..evaluation.overlap import has_box
from ..evaluation.summary import RunScore
from ..sensing.appearance import appearance_for
from ..simulation import SimulatedSequence
from ..types import Image, Modality, Mode, TargetState
from .session import Replayed

PANEL_WIDTH = 316  # px, of each camera
GAP = 4
CHART_HEIGHT = 58
LEFT = 34  # of the chart
MAX_FPS = 8.0
QUALITY = 65

GROUND, INK, FAINT = '#0b1220', '#e5e7eb', '#64748b'
TRUTH_COLOR, OWN_COLOR = '#4ade80', '#fb923c'
MODE_COLORS = {Mode.FUSED: '#16a34a', Mode.RGB_ONLY: '#d97706', Mode.X_ONLY: '#2563eb', Mode.BLIND: '#b91c1c'}
STATE_COLORS = {
    TargetState.IDLE: '#475569',
    TargetState.TRACKING: '#16a34a',
    TargetState.UNCERTAIN: '#d97706',
    TargetState.LOST: '#b91c1c',
}
_FONTS = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'


def write_film(
    path: Path,
    sequence: SimulatedSequence,
    replayed: Replayed,
    score: RunScore,
    silence: tuple[float, float],
) -> None:
    """An animated WebP in real time, at most MAX_FPS frames a second."""
    film = _Film(sequence, replayed, score, silence)
    rate = 1e9 / float(np.median(np.diff(sequence.stamps_ns)))
    every = max(1, round(rate / MAX_FPS))
    stills = [film.still(row) for row in range(0, len(replayed.result), every)]
    stills[0].save(
        path,
        save_all=True,
        append_images=stills[1:],
        duration=round(1000 * every / rate),
        loop=0,
        quality=QUALITY,
        method=4,
    )


class _Film:
    """Draws the moments of one replay; row: of its result."""

    def __init__(
        self, sequence: SimulatedSequence, replayed: Replayed, score: RunScore, silence: tuple[float, float]
    ) -> None:
        self._sequence = sequence
        self._result = replayed.result
        self._iou = score.iou
        self._silence = silence
        self._seconds = (self._result.stamps_ns - int(sequence.stamps_ns[0])) / 1e9
        height, width = sequence.rgb[0].shape[:2]
        self._scale = PANEL_WIDTH / width
        self._panel = (PANEL_WIDTH, round(height * self._scale))
        self._appearance = appearance_for(sequence.modality)
        self._bold = ImageFont.truetype(str(_FONTS / 'DejaVuSans-Bold.ttf'), 11)
        self._small = ImageFont.truetype(str(_FONTS / 'DejaVuSans.ttf'), 10)
        width = 2 * PANEL_WIDTH + 3 * GAP
        self._size = (width, self._panel[1] + 2 * GAP + CHART_HEIGHT)
        self._chart = (LEFT, self._panel[1] + 2 * GAP + 6, width - 10, self._size[1] - 18)

    def still(self, row: int) -> PilImage.Image:
        canvas = PilImage.new('RGB', self._size, GROUND)
        index = int(np.searchsorted(self._sequence.stamps_ns, self._result.stamps_ns[row]))
        canvas.paste(self._camera(self._sequence.rgb[index]), (GAP, GAP))
        silent = self._silence[0] <= self._seconds[row] < self._silence[1]
        x = self._appearance.to_channels(self._sequence.x[index])
        second = 2 * GAP + PANEL_WIDTH
        canvas.paste(self._camera(x * 0 + 17 if silent else x), (second, GAP))
        draw = ImageDraw.Draw(canvas)
        self._boxes(draw, row, GAP)
        if silent:
            self._no_signal(draw, row, second)
        else:
            self._boxes(draw, row, second)
        self._badges(draw, row)
        self._plot(draw, row)
        return canvas

    def _camera(self, image: Image) -> PilImage.Image:
        return PilImage.fromarray(cv2.resize(image, self._panel, interpolation=cv2.INTER_AREA))

    def _boxes(self, draw: ImageDraw.ImageDraw, row: int, left: int) -> None:
        truth, box = self._result.truth[row], self._result.boxes[row]
        for each, color, width in ((truth, TRUTH_COLOR, 1), (box, OWN_COLOR, 2)):
            if has_box(each[None])[0]:
                x, y, w, h = each * self._scale
                corners = self._inside((left + x, GAP + y, left + x + w, GAP + y + h), left)
                draw.rectangle(corners, outline=color, width=width)

    def _inside(self, corners: tuple[float, ...], left: int) -> list[float]:
        """Cut to the panel, so that no box reaches into its neighbour."""
        x0, y0, x1, y1 = corners
        right, bottom = left + self._panel[0] - 1, GAP + self._panel[1] - 1
        x0, x1 = (min(max(value, left), right) for value in (x0, x1))
        y0, y1 = (min(max(value, GAP), bottom) for value in (y0, y1))
        return [x0, y0, x1, y1]

    def _no_signal(self, draw: ImageDraw.ImageDraw, row: int, left: int) -> None:
        name = self._sequence.modality.value
        since = self._seconds[row] - self._silence[0]
        middle = left + self._panel[0] / 2, GAP + self._panel[1] / 2
        draw.text(middle, f'no {name} for {since:.1f} s', INK, self._bold, anchor='mm')

    def _badges(self, draw: ImageDraw.ImageDraw, row: int) -> None:
        mode, state = Mode(int(self._result.modes[row])), TargetState(int(self._result.states[row]))
        names = {Mode.FUSED: 'RGB + X', Mode.RGB_ONLY: 'RGB only', Mode.X_ONLY: 'X only', Mode.BLIND: 'blind'}
        word = names[mode].replace('X', self._sequence.modality.value)
        left = self._pill(draw, GAP + 6, word, MODE_COLORS[mode])
        self._pill(draw, left + 5, state.name.lower(), STATE_COLORS[state])
        x_name = {Modality.DEPTH: 'depth', Modality.THERMAL: 'thermal', Modality.EVENT: 'events'}
        self._pill(draw, 2 * GAP + PANEL_WIDTH + 6, x_name[self._sequence.modality], '#1e293b')

    def _pill(self, draw: ImageDraw.ImageDraw, left: float, word: str, color: str) -> float:
        """A word on a coloured ground; where it ends."""
        right = left + draw.textlength(word, self._bold) + 14
        draw.rounded_rectangle((left, GAP + 6, right, GAP + 24), 9, color)
        draw.text((left + 7, GAP + 15), word, 'white', self._bold, anchor='lm')
        return right

    def _plot(self, draw: ImageDraw.ImageDraw, row: int) -> None:
        left, top, right, bottom = self._chart
        last = max(float(self._seconds[-1]), 1e-3)

        def x_of(seconds: float) -> float:
            return left + (right - left) * seconds / last

        draw.rectangle((x_of(self._silence[0]), top, x_of(self._silence[1]), bottom), '#1e293b')
        draw.line((left, bottom, right, bottom), FAINT)
        draw.text((left - 6, bottom), '0', FAINT, self._small, anchor='rm')
        draw.text((left - 6, top), '1', FAINT, self._small, anchor='rm')
        draw.text((6, (top + bottom) / 2), 'IoU', INK, self._small, anchor='lm')
        for start in range(row):
            end = start + 1
            color = MODE_COLORS[Mode(int(self._result.modes[start]))]
            draw.rectangle(
                (x_of(self._seconds[start]), bottom + 2, x_of(self._seconds[end]), bottom + 5), color
            )
            values = self._iou[start], self._iou[end]
            if np.isfinite(values).all():
                heights = [bottom - (bottom - top) * value for value in values]
                points = (x_of(self._seconds[start]), heights[0], x_of(self._seconds[end]), heights[1])
                draw.line(points, OWN_COLOR, 2)
        draw.text((right, self._size[1] - 1), f'{self._seconds[row]:.1f} s', FAINT, self._small, anchor='rb')
        word = f'{self._sequence.modality.value} silent'
        draw.text(((x_of(self._silence[0]) + x_of(self._silence[1])) / 2, self._size[1] - 1), word, FAINT,
                  self._small, anchor='mb')  # fmt: skip
