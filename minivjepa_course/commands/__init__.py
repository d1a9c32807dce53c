"""Commands for learners and teachers; minivjepa/commands/cli.py lists them."""
