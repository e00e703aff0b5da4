"""The version, on its own so that reading it costs no import."""

__version__ = "0.1.0"
