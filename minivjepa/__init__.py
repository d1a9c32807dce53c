"""minivjepa: V-JEPA small enough to read in an evening, honest enough to grade homework with."""

__version__ = "0.1.0"
REPOSITORY = ""  # the address of the published repository; while it is empty, pages print commands instead of links
