"""What a training run says while it runs: a CSV file for plots, one line or bar for eyes."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

# columns of the log that are worth a place on the line
SHOWN = ('loss', 'fine_iou', 'masked_iou', 'iou', 'distill', 'samples_per_s')


class CsvLog:
    """Rows of named numbers; the first row fixes the columns. A resumed run continues its file."""

    def __init__(self, path: Path, resume_step: int) -> None:
        """Rows of `path` after `resume_step` are dropped: those steps will be trained once more."""
        self._path = path
        self._columns: list[str] = []
        kept: list[dict[str, str]] = []
        if resume_step > 0 and path.exists():
            with path.open(newline='') as file:
                kept = [row for row in csv.DictReader(file) if int(float(row['step'])) <= resume_step]
        path.unlink(missing_ok=True)
        for row in kept:
            self.write(row)

    def write(self, row: Mapping[str, object]) -> None:
        """Add a row; a column it lacks stays empty, one that is new is left out."""
        with self._path.open('a', newline='') as file:
            new = not self._columns
            self._columns = self._columns or list(row)
            writer = csv.DictWriter(file, self._columns, restval='', extrasaction='ignore')
            if new:
                writer.writeheader()
            writer.writerow(row)


class ProgressLine:
    """A bar with the time left on a terminal, plain lines elsewhere or where rich is not installed."""

    def __init__(self) -> None:
        self._bar = None
        if sys.stdout.isatty():
            try:
                from rich.progress import BarColumn, Progress, TextColumn
            except ImportError:
                return
            self._bar = Progress(
                TextColumn('{task.description}'), BarColumn(), TextColumn('{task.percentage:.1f} %')
            )
            self._task = self._bar.add_task('starting', total=1.0)
            self._bar.start()

    def show(self, share: float, seconds: float, row: Mapping[str, float]) -> None:
        """share: of the whole run that is done; seconds: spent so far; row: what was logged last."""
        left = '?' if share <= 0 else str(timedelta(seconds=round(seconds / share * (1 - share))))
        text = f'step {row["step"]:.0f}  {_numbers(row)}  left {left}'
        if self._bar is None:
            print(f'{100 * share:5.1f} %  {text}', flush=True)
        else:
            self._bar.update(self._task, completed=share, description=text)

    def tell(self, what: str, row: Mapping[str, float]) -> None:
        """A line that stays."""
        text = f'{what}: {_numbers(row)}'
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.console.print(text, highlight=False)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _numbers(row: Mapping[str, float]) -> str:
    return '  '.join(f'{name} {row[name]:.4g}' for name in row if name in SHOWN)
