"""minivjepa: V-JEPA small enough to read in an evening, honest enough to grade homework with."""

__version__ = "0.1.0"
