"""SDSTrack as a tracker of the vot-toolkit, which computes EAO, accuracy and robustness itself.

    pip install vot-toolkit==0.7.4 "attributee<0.1.10"      # in an environment of its own
    pip install --no-deps vot-trax==4.0.2 six               # beside sdstrack
    # trackers.ini:
    [sdstrack]
    protocol = trax
    command = python -m sdstrack_ros.evaluation.vot_adapter --modality depth --checkpoint weights.safetensors

Then `vot initialize vot2022/rgbd`, `vot evaluate sdstrack`, `vot analysis`. The toolkit names image files, so
depth keeps its 16 bits. It gets rectangles with the windowed score as `confidence`, as published.
(Releases 0.8.1 and 0.9.0 of the toolkit fail on multi-start experiments such as VOT-RGBD2022.)
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from ..model.devices import choose_device
from ..types import Box, Frame, Modality, Observation
from .contestants import Contestant, TrackerSpec
from .sequences import DEFAULT_RATE, read_rgb, read_x

X_CHANNELS = {Modality.DEPTH: 'depth', Modality.THERMAL: 'ir'}


class VotRun:
    """One target from initialisation to initialisation, on image files."""

    def __init__(self, tracker: Contestant, modality: Modality) -> None:
        self._tracker = tracker
        self._modality = modality
        self._frame = 0
        self._box = Box(0, 0, 0, 0)

    def initialize(self, rgb: Path, x: Path, box: Box) -> None:
        """Set the target, as often as the toolkit restarts."""
        self._frame = 0
        self._tracker.start(self._observe(rgb, x), box)
        self._box = box

    def frame(self, rgb: Path, x: Path) -> tuple[Box, float]:
        """Box and confidence; a withdrawn box is reported at its last place, for the toolkit needs one."""
        observation = self._observe(rgb, x)
        answer = self._tracker.step(observation, observation.lead.stamp_ns)
        self._box = answer.box or self._box
        return self._box, answer.score

    def _observe(self, rgb: Path, x: Path) -> Observation:
        self._frame += 1
        stamp = round(self._frame * 1e9 / DEFAULT_RATE)
        return Observation(Frame(stamp, read_rgb(rgb)), Frame(stamp, read_x(x, self._modality)))


def serve(run: VotRun, modality: Modality) -> None:
    """Answer the toolkit over TraX until it quits."""
    trax: Any = importlib.import_module('trax')
    channels = ['color', X_CHANNELS[modality]]
    server = trax.Server([trax.Region.RECTANGLE], [trax.Image.PATH], channels, 'sdstrack', '', 'sdstrack')
    with server:
        while True:
            request = server.wait()
            if request.type not in (trax.TraxStatus.INITIALIZE, trax.TraxStatus.FRAME):
                return
            rgb, x = (Path(request.image[channel].path()) for channel in channels)
            if request.type == trax.TraxStatus.INITIALIZE:
                region = request.objects[0][0]
                run.initialize(rgb, x, Box.of(region.bounds()))
                server.status([(region, {'confidence': 1.0})])
            else:
                box, score = run.frame(rgb, x)
                server.status([(trax.Rectangle.create(*box), {'confidence': score})])


def main(
    modality: Annotated[Modality, typer.Option(help='depth or thermal')] = Modality.DEPTH,
    checkpoint: Annotated[Path | None, typer.Option(help='weights; the ones that ship by default')] = None,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N')] = 'cpu',
) -> None:
    """Serve one vot-toolkit process."""
    if modality not in X_CHANNELS:
        raise typer.BadParameter('the toolkit has no event channel', param_hint='--modality')
    tracker = TrackerSpec(checkpoint=checkpoint, device=str(choose_device(device))).build(modality)
    serve(VotRun(tracker, modality), modality)


if __name__ == '__main__':
    typer.run(main)
