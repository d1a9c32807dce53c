"""minivjepa: V-JEPA small enough to read in an evening, honest enough to grade homework with."""

__version__ = "0.1.0"
ADDRESS = ""  # of the published repository, such as https://github.com/NAME/minivjepa; while it is empty, no page links to it, Colab or Binder
