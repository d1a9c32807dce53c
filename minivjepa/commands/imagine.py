"""`minivjepa imagine`: what runs predict of the hidden part of a clip, painted as pixels."""

from dataclasses import dataclass
from pathlib import Path

import tyro

ERRORS = 256  # held-out clips on which errors are measured


@dataclass(frozen=True)
class ImagineOptions:
    """Paint what trained models predict of hidden tubelets, beside the truth and controls, with errors on held-out clips.

    For each run a small decoder is trained to paint tubelets from the run's frozen target vectors, which takes about a minute.
    """

    runs: tyro.conf.Positional[
        tuple[Path, ...]
    ]  # Folders that `minivjepa train` left, all trained on clips of one kind and size.
    picture: Path = Path("imagined.gif")  # The film to write; it must not exist yet.
    clips: int = 3  # Clips in the film.
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu or cuda.
