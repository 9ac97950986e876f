"""Offline evaluation: sequences and bags in, the tracker's core frame by frame, metrics and a report out."""
