"""How each sensor does, which sensors the answers rest on, and what to tell people about it.

    health = HealthMonitor(HealthSettings(), start_ns)
    health.rgb.on_frame(stamp_ns, now_ns, problem=None)     # problem: why its content cannot be used
    health.rgb.on_link(publishers, incompatible_qos, lost)  # what the middleware knows
    health.on_observation(observation)
    report = health.report(now_ns)                          # at a fixed rate, and after frames

RGB and X are judged by limits of their own: without RGB the tracker is much worse, without X hardly,
so a loss of RGB is told sooner and is an error. Every state has hysteresis: one odd frame changes
none. No clock is read: time is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from statistics import median, median_low

from ..settings import check, setting
from ..types import Mode, Observation, SensorState

RATE_HYSTERESIS = 1.1
"""A slow sensor is OK again at this multiple of the rate below which it is SLOW."""

ANOTHER_CLOCK_S = 60.0
"""Stamps further from now come from another clock (a bag without /clock) and say nothing of a delay."""

MOST_LOST = 2
"""Stamps with gaps of so many frames for each one that came are those of bursts, not of frames lost."""


class Level(IntEnum):
    """How bad it is; the numbers are those of msg/TrackerHealth."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class SensorSettings:
    """Limits for one sensor; the defaults are those of RGB."""

    timeout: float = setting(0.3, 'silence after which the sensor is STALE, s', minimum=0.02, maximum=60.0)
    min_rate: float = setting(8.0, 'rate below which the sensor is SLOW, Hz', minimum=0.0, maximum=1000.0)
    invalid_after: int = setting(
        2, 'unusable frames in a row until the sensor is INVALID', minimum=2, maximum=100
    )
    recover_after: int = setting(2, 'good frames in a row until it is OK again', minimum=1, maximum=100)
    max_delay: float = setting(
        0.3, 'time from stamp to arrival above which a warning is given, s', minimum=0.0, maximum=60.0
    )
    max_loss: float = setting(
        0.2,
        'share of frames lost on the way, or unusable, above which a warning is given',
        minimum=0.0,
        maximum=1.0,
    )
    startup: float = setting(
        5.0, 'time for the first frame, before its absence counts like a loss, s', minimum=0.0, maximum=600.0
    )
    loss_is_error: bool = setting(True, 'whether the loss of this sensor is an error or a warning')

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class XSensorSettings(SensorSettings):
    """The defaults of X: more patient, and its loss is only a warning."""

    timeout: float = setting(0.5, 'silence after which the sensor is STALE, s', minimum=0.02, maximum=60.0)
    min_rate: float = setting(5.0, 'rate below which the sensor is SLOW, Hz', minimum=0.0, maximum=1000.0)
    invalid_after: int = setting(
        3, 'unusable frames in a row until the sensor is INVALID', minimum=2, maximum=100
    )
    loss_is_error: bool = setting(False, 'whether the loss of this sensor is an error or a warning')


@dataclass(frozen=True)
class HealthSettings:
    """Limits for both sensors and for the mode."""

    rgb: SensorSettings = field(default_factory=SensorSettings)
    x: SensorSettings = field(default_factory=XSensorSettings)
    fused_after: int = setting(
        2, 'pairs in a row, of two healthy sensors, until the mode is FUSED', minimum=1, maximum=100
    )
    alone_after: int = setting(
        5, 'frames alone in a row, of two healthy sensors, until the mode says so', minimum=2, maximum=1000
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SensorReport:
    """How one sensor does. rate: Hz. age: s since the last message, -1 before the first. loss: 0 to 1.

    arriving: frames with usable stamps come in, or the first may come yet: they are worth waiting for.
    """

    state: SensorState
    level: Level
    reason: str
    rate: float
    age: float
    loss: float
    arriving: bool

    @property
    def usable(self) -> bool:
        return self.state in (SensorState.OK, SensorState.SLOW)


@dataclass(frozen=True)
class _Arrival:
    """A frame with a new stamp. lost: what the middleware had reported lost in all until then."""

    now_ns: int
    stamp_ns: int
    lost: int
    refused: bool


class SensorMonitor:
    """One sensor; see the module. periodic: whether it sends at a steady rate, so that a gap is a loss."""

    def __init__(self, settings: SensorSettings, start_ns: int, periodic: bool = True) -> None:
        self.settings = settings
        self._periodic = periodic
        self._start_ns = start_ns
        self._expected_since_ns: int | None = start_ns  # None: silent, nothing is known to come
        self._timeout_ns = round(settings.timeout * 1e9)
        self._state = SensorState.NOT_RECEIVED
        self._last_message_ns: int | None = None
        self._arrivals: deque[_Arrival] = deque(maxlen=200)
        self._problem = ''
        self._good = self._bad = self._repeated = 0
        self._publishers: int | None = None
        self._incompatible_qos = ''
        self._lost = 0

    def on_link(self, publishers: int | None, incompatible_qos: str = '', lost: int = 0) -> None:
        """What the middleware knows: matched publishers, a QoS policy in the way, messages lost in all."""
        self._publishers, self._incompatible_qos, self._lost = publishers, incompatible_qos, lost

    def on_frame(self, stamp_ns: int, now_ns: int, problem: str | None = None) -> None:
        """A frame arrived; `problem` says why its content cannot be used."""
        self._watch(now_ns)
        self._last_message_ns = now_ns
        if self._arrivals and stamp_ns == self._arrivals[-1].stamp_ns:
            self._repeated += 1
            if self._repeated < self.settings.invalid_after:
                return  # a frame sent twice is no harm
            problem = f'the stamp stands still at {stamp_ns / 1e9:.3f} s'
        elif stamp_ns <= 0:
            problem = 'the stamp is zero: the driver has to fill in header.stamp'
        else:
            self._repeated = 0
            self._expected_since_ns = now_ns
            self._arrivals.append(_Arrival(now_ns, stamp_ns, self._lost, bool(problem)))
        if problem:
            self._problem = problem
            self._good, self._bad = 0, self._bad + 1
            if self._bad >= self.settings.invalid_after:
                self._state = SensorState.INVALID
            return
        self._good, self._bad = self._good + 1, 0
        first = self._state is SensorState.NOT_RECEIVED
        down = self._state in (SensorState.STALE, SensorState.INVALID)
        if first or (down and self._good >= self.settings.recover_after):
            self._state = SensorState.OK

    def state(self, now_ns: int) -> SensorReport:
        """How the sensor does now."""
        self._watch(now_ns)
        rate, loss = self._rate(now_ns), self._loss()
        if self._state in (SensorState.OK, SensorState.SLOW) and len(self._arrivals) >= 3:
            slow = self._state is SensorState.SLOW
            floor = self.settings.min_rate * (RATE_HYSTERESIS if slow else 1.0)
            self._state = SensorState.SLOW if rate < floor else SensorState.OK
        last = self._last_message_ns
        age = -1.0 if last is None else max(0, now_ns - last) / 1e9
        reason = self._reason(rate, age, loss, now_ns)
        since = self._expected_since_ns
        arriving = since is not None and now_ns - since <= self._patience_ns()
        return SensorReport(self._state, self._level(reason, now_ns), reason, rate, age, loss, arriving)

    def _watch(self, now_ns: int) -> None:
        """Notice silence, and a clock that was set back."""
        last = self._last_message_ns
        if last is None:
            # Simulated time is 0 until a bag is played, and then begins with the recording.
            self._start_ns = min(self._start_ns, now_ns) if self._start_ns else now_ns
            self._expected_since_ns = self._start_ns
            return
        if last - now_ns > self._timeout_ns:
            self._last_message_ns = last = now_ns
            if self._expected_since_ns is not None:  # what came by the old clock goes on by the new one
                self._expected_since_ns = now_ns
            self._arrivals.clear()
        if now_ns - last > self._patience_ns():
            self._state = SensorState.STALE
            self._good = self._bad = self._repeated = 0
            self._expected_since_ns = None
            self._arrivals.clear()
        while len(self._arrivals) > 3 and now_ns - self._arrivals[0].now_ns > self._timeout_ns:
            self._arrivals.popleft()

    def _patience_ns(self) -> int:
        """The timeout; less where the last publisher has gone, which is a certain sign."""
        if self._publishers != 0 or len(self._arrivals) < 2:
            return self._timeout_ns
        span = self._arrivals[-1].now_ns - self._arrivals[0].now_ns
        return min(self._timeout_ns, 5 * span // (2 * (len(self._arrivals) - 1)))

    def _rate(self, now_ns: int) -> float:
        """Arrivals per second over about one timeout; sinks as soon as a frame is overdue."""
        steps = len(self._arrivals) - 1
        if steps < 1:
            return 0.0
        first, last = self._arrivals[0].now_ns, self._arrivals[-1].now_ns
        span = max(last - first, (now_ns - first) * steps // (steps + 1))
        return steps * 1e9 / span if span else 0.0

    def _loss(self) -> float:
        """Share of frames that were sent but did not arrive: reported lost, or seen as gaps in the stamps."""
        steps = [b.stamp_ns - a.stamp_ns for a, b in pairwise(self._arrivals)]
        steps = [step for step in steps if step > 0]
        if not steps or self._publishers == 0:
            return 0.0
        # Over the whole window: jitter makes one step too long and the next one too short.
        gaps = max(0, round(sum(steps) / median_low(steps)) - len(steps))
        if gaps >= MOST_LOST * len(steps):
            gaps = 0
        missing = max(gaps if self._periodic else 0, self._lost - self._arrivals[0].lost)
        return missing / (missing + len(steps))

    def _level(self, reason: str, now_ns: int) -> Level:
        if self._state in (SensorState.OK, SensorState.SLOW):
            return Level.WARN if reason else Level.OK
        starting = now_ns - self._start_ns <= self.settings.startup * 1e9
        if self._state is SensorState.NOT_RECEIVED and starting:
            return Level.WARN
        return Level.ERROR if self.settings.loss_is_error else Level.WARN

    def _reason(self, rate: float, age: float, loss: float, now_ns: int) -> str:
        """Why all is not well; empty where it is."""
        if self._state is SensorState.NOT_RECEIVED:
            waited = (now_ns - self._start_ns) / 1e9
            return f'nothing received in {waited:.1f} s: {self._why_silent()}'
        if self._state is SensorState.STALE:
            return f'nothing for {age:.1f} s: {self._why_silent()}'
        if self._state is SensorState.INVALID:
            return self._problem
        if loss > self.settings.max_loss:
            return (
                f'{loss:.0%} of the frames are lost on the way, though the publisher is there: use the '
                f'shared-memory profile on both sides, or reliable QoS'
            )
        refused = sum(each.refused for each in self._arrivals)
        if refused > 1 and refused > self.settings.max_loss * len(self._arrivals):
            return f'{refused / len(self._arrivals):.0%} of the frames cannot be used: {self._problem}'
        if self._state is SensorState.SLOW:
            return f'{rate:.1f} Hz, below {self.settings.min_rate:g} Hz'
        return self._why_late()

    def _why_silent(self) -> str:
        if self._incompatible_qos and not self._publishers:
            return f'its publisher offers another {self._incompatible_qos} QoS than is asked for'
        if self._publishers is None:
            return 'the sensor is silent'
        if self._publishers == 0:
            return 'no publisher; is the driver running, is the topic right?'
        return f'{self._publishers} publisher(s), but no frames; the sensor is silent'

    def _why_late(self) -> str:
        if len(self._arrivals) < 3:
            return ''
        delay = median(each.now_ns - each.stamp_ns for each in self._arrivals) / 1e9
        if not self.settings.max_delay < abs(delay) < ANOTHER_CLOCK_S:
            return ''
        if delay < 0:
            return f'stamps are {-delay:.2f} s ahead of the clock: synchronise the clocks, or set its offset'
        return f'frames arrive {delay:.2f} s after their stamp'


@dataclass(frozen=True)
class HealthReport:
    """Both sensors, the mode, and one line for people."""

    level: Level
    mode: Mode
    message: str
    rgb: SensorReport
    x: SensorReport


class HealthMonitor:
    """Both sensors and the mode; see the module. x_periodic: as for its monitor."""

    def __init__(self, settings: HealthSettings, start_ns: int, x_periodic: bool = True) -> None:
        self.settings = settings
        self.rgb = SensorMonitor(settings.rgb, start_ns)
        self.x = SensorMonitor(settings.x, start_ns, x_periodic)
        self._mode = Mode.BLIND
        self._observed = Mode.BLIND
        # Of two healthy sensors: filled by pairs, drained by frames alone; FUSED when full, until it is empty
        self._fusion = 0.0
        self._pairs_possible = 1.0  # share of the answers that can be pairs: X may be the slower sensor
        self._why_alone = ''

    def on_observation(self, observation: Observation) -> None:
        """What the synchroniser made of the frames: two healthy sensors may still not go together."""
        self._observed = observation.mode
        if observation.mode is Mode.FUSED:
            self._fusion = min(self._fusion + self.settings.alone_after, self._full)
            return
        self._why_alone = observation.reason or self._why_alone
        self._fusion = max(self._fusion - self.settings.fused_after * self._pairs_possible, 0.0)

    @property
    def _full(self) -> float:
        return float(self.settings.fused_after * self.settings.alone_after)

    def report(self, now_ns: int) -> HealthReport:
        """The health now."""
        rgb, x = self.rgb.state(now_ns), self.x.state(now_ns)
        self._pairs_possible = min(1.0, x.rate / rgb.rate) if rgb.rate else 1.0
        self._mode = self._judge(rgb.usable, x.usable)
        if self._mode is Mode.FUSED:
            self._why_alone = ''
        level = max(rgb.level, x.level)
        if self._mode is Mode.BLIND and level is Level.OK:
            level = Level.WARN  # both are there, the first pair is on its way
        elif self._mode is not Mode.FUSED:
            level = max(level, Level.WARN)
        return HealthReport(level, self._mode, self._message(rgb, x), rgb, x)

    def _judge(self, rgb: bool, x: bool) -> Mode:
        if not (rgb and x):
            self._fusion = 0.0
            return Mode.RGB_ONLY if rgb else Mode.X_ONLY if x else Mode.BLIND
        if self._fusion >= self._full:
            return Mode.FUSED
        if self._mode is Mode.BLIND or (self._fusion <= 0.0 and self._observed is not Mode.FUSED):
            return self._observed
        return self._mode

    def _message(self, rgb: SensorReport, x: SensorReport) -> str:
        names = {
            Mode.FUSED: 'RGB and X',
            Mode.RGB_ONLY: 'RGB only',
            Mode.X_ONLY: 'X only',
            Mode.BLIND: 'blind',
        }
        sensors = {'rgb': rgb, 'x': x}
        whys = [f'{name} {each.state.name}: {each.reason}' for name, each in sensors.items() if each.reason]
        if not whys and self._mode is not Mode.FUSED:
            whys = [self._why_alone or 'both sensors are there, their first pairs are to come']
        return '; '.join([names[self._mode], *whys])
