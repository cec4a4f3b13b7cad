"""The one tree of errors that lamella raises for what a user can mend.

A message says what was wrong, the offending value, the layer or file, and what to do.
`exit_code` is what the command line returns for the error, so that a script can tell them apart.
"""

from __future__ import annotations


class LamellaError(Exception):
    """Anything that lamella refuses to do; its text is meant for the user."""

    exit_code = 1


class InputError(LamellaError):
    """A path, a spec file or an option is missing or makes no sense."""

    exit_code = 3


class TraceError(LamellaError):
    """The module cannot be captured as a graph."""

    exit_code = 4


class CalibrationError(LamellaError):
    """The calibration data are empty, of the wrong shape, or hold NaN or infinity."""

    exit_code = 5


class PlanError(LamellaError, ValueError):
    """A plan, a format or a budget is malformed or cannot be met."""

    exit_code = 6


class CompressionError(LamellaError):
    """A layer cannot be compressed as the plan says."""

    exit_code = 7


class LoweringError(LamellaError):
    """A compressed model cannot be expressed for the target."""

    exit_code = 8


class ArtifactError(LamellaError):
    """A .lamella file is truncated, damaged or hostile, or its contents make no artifact."""

    exit_code = 9


class DeviceError(LamellaError):
    """The device or its runtime lacks what the artifact needs."""

    exit_code = 10


class StorageError(LamellaError):
    """A file cannot be written: the disk is full, or its folder is missing or read-only."""

    exit_code = 11
