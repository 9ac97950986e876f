"""Every fault of the catalogue, let loose on the real node over DDS, one after another.

with FaultBench(Modality.DEPTH, rate=15.0, log=Path('node.log')) as bench:
    verdict = bench.verdict('x stopped for 1 s')
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from lifecycle_msgs.msg import Transition
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image as ImageMsg

from ..share import shared_file
from ..simulation.faults import FOR_GOOD, MS, SECOND, Fault, faults
from ..types import Modality, Mode
from .cameras import TOPICS, CameraMessage, CameraPair, outgoing
from .fault_verdict import Trial, Verdict, judge
from .player import Outgoing, Player
from .process import NAMESPACE, NodeProcess, own_domain
from .recorder import HealthHeard, Heard, Recorder
from .station import Station

BEFORE_NS = 1500 * MS
LASTS_NS = 3 * SECOND  # a fault for good is looked at for so long
AFTER_NS = 1500 * MS
DISCOVERY_NS = 500 * MS  # until the middleware has introduced a new publisher, on a busy machine
TRIES = 3  # the promises are about time, and others may keep this machine busy for a while
UNDISTURBED = 'none'
# The node asks for reliable images here, because only then can a publisher be incompatible.
_RELIABLE = {
    f'qos_overrides.{NAMESPACE}/{topic}.subscription.reliability': 'reliable' for topic in TOPICS.values()
}


def fault_names(modality: Modality) -> list[str]:
    """All that `FaultBench.trial` knows, the undisturbed one first."""
    return [UNDISTURBED, *faults(modality, 0, SECOND)]


class FaultBench:
    """One node and two cameras. Every trial activates the node anew; the process stays."""

    def __init__(
        self,
        modality: Modality,
        rate: float,
        log: Path,
        parameters: Mapping[str, object] | None = None,
    ) -> None:
        self.cameras = CameraPair(modality, rate)
        self._modality = modality
        self._stack = ExitStack()
        domain = own_domain()
        given = {'modality': modality.value, **_RELIABLE, **(parameters or {})}
        settings = shared_file(f'config/{modality.value}.yaml')
        self.process = self._stack.enter_context(
            NodeProcess(given, domain=domain, log=log, params_file=settings)
        )
        try:
            self.station = self._stack.enter_context(Station(domain, self.process))
            self.recorder = Recorder(self.station)
            types = dict.fromkeys(TOPICS.values(), ImageMsg)
            self.player = Player(self.station, types, ReliabilityPolicy.RELIABLE)
            self.station.wait_active()
            self.player.wait_matched()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> FaultBench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def verdict(self, name: str) -> Verdict:
        """Of the first trial in which every promise was kept, at most TRIES."""
        tries = 1
        while (verdict := judge(self.trial(name))).broken and verdict.alive and tries < TRIES:
            tries += 1
        return replace(verdict, tries=tries)

    def trial(self, name: str) -> Trial:
        """What happens around one fault, from a second and a half before it to as long after it."""
        self._start_anew()
        begin_ns = time.time_ns() + SECOND // 2
        fault = self._fault(name, begin_ns + BEFORE_NS)
        lasts_ns = fault.end_ns if fault.end_ns < FOR_GOOD else fault.start_ns + LASTS_NS
        end_ns = lasts_ns + fault.late_ns + AFTER_NS
        self.station.set_target(self.cameras.box(0), begin_ns)
        self.recorder.forget()
        sent, back_ns = self.play(fault, begin_ns, end_ns)
        offset_ns = time.time_ns() - time.monotonic_ns()
        return Trial(
            fault=fault,
            begin_ns=begin_ns,
            end_ns=end_ns,
            back_ns=max(back_ns, fault.end_ns + fault.late_ns if fault.end_ns < FOR_GOOD else fault.start_ns),
            period_ns=self.cameras.period_ns,
            sent=sent,
            boxes=[Heard(at_ns + offset_ns, message) for at_ns, message in self.recorder.boxes],
            healths=[HealthHeard(at_ns + offset_ns, message) for at_ns, message in self.recorder.healths],
            alive=self.process.alive,
        )

    def play(
        self, fault: Fault, begin_ns: int, end_ns: int, first: int = 0
    ) -> tuple[list[tuple[int, CameraMessage]], int]:
        """Send both cameras with the fault in them: (when, what) was sent, and when publishers were back."""
        messages: list[CameraMessage] = []
        sent: list[tuple[int, CameraMessage]] = []
        link = _Link(fault, self.player)

        def remembered(stream: Iterable[CameraMessage]) -> Iterator[Outgoing]:
            for message in stream:
                messages.append(message)
                yield outgoing(message)

        def before(_: Outgoing) -> None:
            self.process.check()
            link.follow(time.time_ns())
            sent.append((time.time_ns(), messages[len(sent)]))

        struck = fault.apply(self.cameras.messages(begin_ns, end_ns, first))
        wire = remembered(m for m in struck if isinstance(m, CameraMessage))
        self.player.play(wire, before=before, live=True)
        link.follow(fault.end_ns)
        return sent, link.back_ns

    def _fault(self, name: str, start_ns: int) -> Fault:
        if name != UNDISTURBED:
            return faults(self._modality, start_ns, self.cameras.period_ns)[name]
        return Fault(name, (), lambda: lambda message: (message,), start_ns, start_ns, frozenset(Mode))

    def _start_anew(self) -> None:
        """As after a restart, but without loading the model again."""
        self.station.change_state(Transition.TRANSITION_DEACTIVATE)
        self.station.wait_for(lambda: not self.player.matched, 'the node to let go of its topics')
        self.station.change_state(Transition.TRANSITION_ACTIVATE)
        self.player.wait_matched()


class _Link:
    """What a fault does to the publisher itself."""

    def __init__(self, fault: Fault, player: Player) -> None:
        self.back_ns = 0
        self._fault = fault
        self._player = player
        self._struck = False

    def follow(self, now_ns: int) -> None:
        fault, player = self._fault, self._player
        if fault.link == 'fine':
            return
        topic = TOPICS[fault.streams[0]]
        if not self._struck and fault.start_ns <= now_ns < fault.end_ns:
            player.take_away(topic)
            if fault.link == 'incompatible':
                player.put_back(topic, ReliabilityPolicy.BEST_EFFORT)
            self._struck = True
        elif self._struck and now_ns >= fault.end_ns:
            if fault.link == 'incompatible':
                player.take_away(topic)
            player.put_back(topic, ReliabilityPolicy.RELIABLE)
            self._struck = False
            self.back_ns = now_ns + DISCOVERY_NS
