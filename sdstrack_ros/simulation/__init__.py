"""Renders RGB + depth + thermal + events with true boxes: for the demo, the tests and training.

library (textures) -> scene (who is where, at which moment) -> render (ideal sensors)
-> sensors (real sensors: noise, holes, blur, events) -> pairs (training) and sequence (video)
"""

from .sequence import SimulatedSequence, render_sequence

__all__ = ['SimulatedSequence', 'render_sequence']
