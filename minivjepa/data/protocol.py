"""The rules for judging every run, fixed before any recipe is searched: splits, clips, budgets.

After a change here, results cannot be compared with earlier ones.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

DIRECTIONS = 8  # classes of motion: multiples of 45 degrees
IDENTITIES = 10  # classes of handwriting: 0 to 9
CHANCE = {"direction": 1 / DIRECTIONS, "identity": 1 / IDENTITIES}
SPLITS = ("train", "validation", "test")
SPLIT_SEED = 0  # which handwritten images belong to which split
DATA_SEED = 20_000_000  # seed of the evaluation clips, and with 1 and 2 added; training refuses these seeds


@dataclass(frozen=True)
class Budget:
    """How many clips probe an encoder, and how long probes train."""

    train_clips: int = 4096
    validation_clips: int = 1024
    test_clips: int = 2048
    neighbours: int = 10
    attentive_heads: int = 8
    attentive_epochs: int = 40
    attentive_trial_epochs: int = 8  # then only the best learning rate and weight decay of each task go on
    attentive_batch: int = 128
    attentive_rates: tuple[float, ...] = (3e-3, 1e-2)
    attentive_decays: tuple[float, ...] = (0.1, 1.0, 3.0)  # weight decay; without it, probes of many features overfit

    def clips(self, split: str) -> int:
        """Number of evaluation clips of a split."""
        return {"train": self.train_clips, "validation": self.validation_clips, "test": self.test_clips}[split]


FULL = Budget()
# tiny is for trying commands, not for results
BUDGETS = {"tiny": Budget(512, 128, 256, attentive_epochs=3, attentive_trial_epochs=3)}


@cache
def digit_split() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Split name -> (images float32 [n, 8, 8] in 0..1, labels int64 [n]), disjoint and stratified: 60, 20, 20 %.

    scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits" test set, 1,797 images.
    """
    digits = load_digits()
    images, labels = (digits.images / 16.0).astype(np.float32), digits.target.astype(np.int64)
    every = np.arange(len(labels))
    train, rest = train_test_split(every, train_size=0.6, random_state=SPLIT_SEED, stratify=labels)
    validation, test = train_test_split(rest, train_size=0.5, random_state=SPLIT_SEED, stratify=labels[rest])
    parts = dict(zip(SPLITS, (train, validation, test)))
    return {name: (images[ids], labels[ids]) for name, ids in parts.items()}
