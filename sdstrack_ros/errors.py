"""Every error that sdstrack raises on purpose.

A message names the culprit (the parameter, topic, file, key or box) and says what to do about it.
"""


class SdstrackError(Exception):
    """Base of all errors that a user can cause and mend."""


class SettingError(SdstrackError, ValueError):
    """A setting is of the wrong type, out of range, or contradicts another one."""


class CheckpointError(SdstrackError):
    """A checkpoint is missing, damaged, unsafe, or does not fit the network."""


class ImageError(SdstrackError, ValueError):
    """An image has a shape, type, encoding or size that cannot be used."""


class BoxError(SdstrackError, ValueError):
    """A target box is degenerate or lies outside the image."""


class EventDataError(SdstrackError, ValueError):
    """An event packet cannot be decoded."""


class DatasetError(SdstrackError):
    """A bag, data set, truth file or mask file is missing, damaged or inconsistent."""


class TrainingError(SdstrackError):
    """Training cannot go on: the loss is not finite, or the state on disk belongs to another run."""


class NodeError(SdstrackError):
    """The node's process does not start, refuses to work, or has ended on its own."""
