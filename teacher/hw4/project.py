"""The open project of homework 4: a file of weights in, thresholds reached out.

`minivjepa grade` calls `judge`.  The file is read, and clips are encoded, in a confined child process, which sends back features.  Labels stay here, and
so does the probe.  What counts as weights, the clips and the thresholds are those of the notebook that students have.

python teacher/hw4/project.py FILE.pt [SEED]    what one file gets
"""

import argparse
import base64
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1]))
from assignment import function_of, given_code

from minivjepa_course.grading.graded import RIGHT
from minivjepa_course.grading.processes import user_ids
from minivjepa_course.grading.run_submission import Failed, run_submission
from minivjepa_course.homework.cases import Arrays, Case, ExerciseCases

AT_ONCE = 128  # clips of one call, which may take as long as a call of an exercise
EXAM = "test"  # the split whose handwriting students do not measure on
LARGEST_FEATURE = 1e6  # a probe that squares such numbers still computes
NO_WEIGHTS = "no weights were handed in: put your file beside the notebook, under a name that ends in .pt"
EMBED = """
import base64

def embed(text, split, seed, first, count):
    try:
        encoder = encoder_from(base64.b64decode(text))
    except ValueError as error:
        return {"why": str(error)}
    return {"features": pooled(encoder, split, seed, first, count)}
"""


def clip_seed(seed: int) -> int:
    """The seed of the clips: it follows from that of grading, and does not tell it."""
    return int.from_bytes(hashlib.sha256(f"clips of the project, {seed}".encode()).digest()[:4], "big")


def judge(
    seed: int, data: bytes | None, hide: Sequence[str], users: Iterator[int]
) -> tuple[str, dict[str, bool], bool]:
    """What to say of a file of weights, threshold -> whether it is reached, and whether a busy machine is to blame."""
    given = given_code("hw4")
    space = {name: function_of(given, "", name) for name in ("THRESHOLDS", "CLIPS", "check_size", "scores")}
    none = {rule: False for rule, _, _ in rules_of(space["THRESHOLDS"])}
    if data is None:
        return NO_WEIGHTS, none, False
    try:
        space["check_size"](data)
        results, again = embedded(given, data, space["CLIPS"], clip_seed(seed), hide, users)
        if isinstance(results, Failed):
            return f"the weights could not be used: {results.why}", none, again
        found = space["scores"](*features_of(results), clip_seed(seed), EXAM)
    except ValueError as error:
        return f"the weights could not be used: {error}"[:400], none, False
    reached = {rule: found[name] >= least for rule, name, least in rules_of(space["THRESHOLDS"])}
    said = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    count = sum(reached.values())
    return RIGHT if count == len(reached) else f"{said}: {count} of {len(reached)} thresholds reached", reached, False


def rules_of(thresholds: dict[str, list[float]]) -> list[tuple[str, str, float]]:
    """(in words, what is read, the least accuracy) of each threshold."""
    return [(f"{name}: {least:g} or more", name, least) for name, values in thresholds.items() for least in values]


def embedded(
    given: str, data: bytes, clips: int, seed: int, hide: Sequence[str], users: Iterator[int]
) -> tuple[list[Arrays] | Failed, bool]:
    """The results of `embed` for all clips, those to fit a probe first; and whether a busy machine is to blame if there are none."""
    text = base64.b64encode(data).decode()
    calls = [
        Case({"text": text, "split": split, "seed": seed, "first": first, "count": AT_ONCE}, {})
        for split in ("train", EXAM)
        for first in range(0, clips, AT_ONCE)
    ]
    outcome = run_submission(given + EMBED, [], [ExerciseCases("embed", "call", (), tuple(calls))], hide, users)
    return outcome.results["embed"], outcome.again


def features_of(results: Sequence[Arrays]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled features [clips, D] to fit a probe, and to test it.  Raises ValueError if the child refused the file, or for features that no probe can use."""
    for arrays in results:
        if "result.why" in arrays:
            raise ValueError(str(arrays["result.why"]))
    parts = [arrays["result.features"] for arrays in results]
    if not all(np.isfinite(part).all() and np.abs(part).max() < LARGEST_FEATURE for part in parts):
        raise ValueError("its features aren't finite, or beyond a million")
    half = len(parts) // 2
    train, test = (torch.from_numpy(np.concatenate(some)).float() for some in (parts[:half], parts[half:]))
    return train, test


PROJECTS: dict[str, Any] = {"encoder": judge}


def main(words: list[str]) -> None:
    """Print what one file gets."""
    parser = argparse.ArgumentParser(description="Print what a file of weights gets in the open project of homework 4.")
    parser.add_argument("file", type=Path, help="a .pt file that you trust")
    parser.add_argument("seed", type=int, nargs="?", default=0, help="of grading (default: 0)")
    options = parser.parse_args(words)
    if not options.file.is_file():
        parser.error(f"{options.file} is not a file; give the .pt file that was handed in")
    message, reached, _ = judge(options.seed, options.file.read_bytes(), [], user_ids())
    print(message, *(f"{'✓' if held else '✗'} {rule}" for rule, held in reached.items()), sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1:])
