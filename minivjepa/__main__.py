"""So that `python -m minivjepa` and `torchrun -m minivjepa` work."""

from minivjepa.commands.cli import main

if __name__ == "__main__":
    main()
