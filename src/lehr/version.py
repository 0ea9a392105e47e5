"""The version of Lehr."""

__version__ = "0.1.0"
