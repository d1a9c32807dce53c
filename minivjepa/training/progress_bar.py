"""The progress bar of one run: its step, its loss, the spread of its features, and one early warning."""

from typing import Any

from tqdm import tqdm

from minivjepa.collapse import early_warning
from minivjepa.training.loop import Loop


class RunBar:
    """A tqdm bar that reads rows of metrics.

    title: text to its left.  total: steps, 0 if unknown.  done: steps already trained.  place: its row on the screen.
    hidden: show nothing.  patience: steps before the first warning, for models whose features start close together.
    """

    def __init__(self, title: str, total: int, done: int = 0, place: int = 0, hidden: bool = False, patience: int = 0):
        self.title, self.patience, self.warned = title, patience, False
        self.bar = tqdm(
            total=total or None, initial=done, desc=title, unit="step", position=place, leave=place == 0, disable=hidden
        )

    def follow(self, loop: Loop[Any]) -> None:
        """Train to the end in sight, then say where the loss and the features are."""
        with self.bar:
            loop.fit(self.show)
        if not self.bar.disable:
            last = loop.run.history()[-1]
            print(f"trained to step {last['step']}: loss {last['loss']:.3f}, feature std {last['feature_std']:.4f}")

    def show(self, step: int, row: dict[str, Any] | None) -> None:
        """Move to a step; given a row, show its numbers and warn the first time they look like collapse."""
        self.bar.update(step - self.bar.n)
        if row is not None:
            loss = f"loss {row['loss']:.3f}, " if row["step"] else ""  # at step 0 there is none yet
            self.bar.set_postfix_str(f"{loss}feature std {row['feature_std']:.4f}")
            said = early_warning(row)
            if said and not self.warned and step >= self.patience:
                self.warned = True
                self.bar.write(f"{self.title}: {said}")
