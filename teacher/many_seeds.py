"""Do right answers pass whatever the seed?  python teacher/many_seeds.py hw2 --first 1 --last 1000 [--exercise follow]

Every right answer of an assignment, in every style, on the hidden cases of many seeds.  Run it after a change of hidden cases: the tests try
two seeds, and a fault may show on one in a thousand.  About a second a seed on one core; exits with 1 if an answer fails.
"""

import argparse
import sys
from dataclasses import replace

import torch
from assignment import function_of, given_code, hidden_cases, load, reference_code
from tqdm import tqdm

from minivjepa_course.homework.checking import CheckFailed, assignments, require_right


def failures(assignment: str, seeds: range, only: str) -> list[str]:
    """What fails: exercise, seed, message and code.  Printed at once, for a run takes long and may be stopped."""
    given, reference, found = given_code(assignment), reference_code(assignment), []
    # without mistakes, whose results take longer than all the rest
    exercises = [replace(exercise, mistakes=()) for exercise in load(assignment) if only in ("", exercise.name)]
    answers = {
        exercise.name: [
            (code, function_of(given, code, exercise.name)) for code in (reference[exercise.name], *exercise.styles)
        ]
        for exercise in exercises
    }
    for seed in tqdm(seeds, assignment, unit="seed"):
        for exercise in exercises:
            cases = hidden_cases(assignment, exercise, seed)
            for code, function in answers[exercise.name]:
                try:
                    require_right(cases, function)
                except CheckFailed as error:
                    found.append(f"{exercise.name}, seed {seed}: {error}\n{code}")
                    tqdm.write(f"{found[-1]}\n")
    return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Try right answers on the hidden cases of many seeds.")
    parser.add_argument("assignment", choices=assignments())
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--last", type=int, default=1000, help="the last seed (default: 1000)")
    parser.add_argument("--exercise", default="", help="only this one")
    options = parser.parse_args()
    names = [exercise.name for exercise in load(options.assignment)]
    if options.exercise not in ("", *names):
        parser.error(f"unknown exercise {options.exercise!r}; choose from {', '.join(names)}")
    if options.last < options.first:
        parser.error(f"--last is {options.last}, expected --first ({options.first}) or more")
    torch.set_num_threads(1)
    found = failures(options.assignment, range(options.first, options.last + 1), options.exercise)
    print(f"{len(found)} failures" if found else "every right answer passes on every seed")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
