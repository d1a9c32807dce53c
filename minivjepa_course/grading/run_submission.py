"""A submission's functions are called in a child process; when it breaks a limit, another child takes over the rest."""

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from minivjepa_course.grading.child_process import Child, Stop
from minivjepa_course.grading.messages import ROOM, read_arrays
from minivjepa_course.grading.processes import user_ids
from minivjepa_course.homework.calling import BLOCKED, LINE, LONGEST, NO_FUNCTION, NOT_WRITTEN
from minivjepa_course.homework.cases import CHANGED, Arrays, Case, ExerciseCases, encode
from minivjepa_course.homework.program import DONE, MOST_ENDS, SECONDS, TOTAL, Step

STARTING = 60.0  # seconds that a child may take to load torch
GIVEN = 60.0  # seconds for the given cells, which are the teacher's
MOST_KEPT = 1000  # steps of which it is kept why they stopped
NOT_STARTED = (
    "the process that calls submissions did not start: {}. Is Python in a folder that other users may not enter, or is the machine "
    "busy? Mend this, then run the command again; if it had finished any submissions, with --resume"
)
NOT_GIVEN = "the given cells of the assignment did not finish: {}; run them in your text of it"
PROBE = "from minivjepa_course.grading.sandbox import probe"  # a submission that tries the limits
Running = tuple[int | str, int | None]  # the number of a step and None, or an exercise and its case


class Failed(NamedTuple):
    """Why an exercise has no results.  case: at which it stopped, if it was called."""

    why: str
    case: int | None = None


CallResults = list[Arrays] | Failed  # of an exercise: the results of its cases, or why there are none


@dataclass
class Outcome:
    """What came of a submission: results of its exercises; number of a step -> why it stopped, and -> what was done to its code.

    again: something was lost through no fault of the submission, such as a busy machine; answered: exercise -> case -> its result, also of
    exercises in which other cases failed; room: bytes left for results.
    """

    results: dict[str, CallResults] = field(default_factory=dict)
    stopped: dict[int, str] = field(default_factory=dict)
    done: dict[int, str] = field(default_factory=dict)
    again: bool = False
    answered: dict[str, dict[int, Arrays]] = field(default_factory=dict)
    room: int = ROOM


def run_submission(
    given: str, steps: Sequence[Step], exercises: Sequence[ExerciseCases], hide: Sequence[str], users: Iterator[int]
) -> Outcome:
    """Run all steps and call the functions of all exercises.  What ends a child costs only the exercise or step that it was running.

    All that runs has TOTAL seconds, and what runs again counts again; only the time of a step that is left out does not count.

    hide: folders that children must not see; users: a user id for each child.  Raises ValueError if a child does not reach the first step.
    """
    outcome, seconds = Outcome(), TOTAL
    to_run, left = dict(enumerate(steps)), list(exercises)
    for _ in range(len(exercises) + MOST_ENDS):
        job = {"given": given, "steps": [(n, f"cell {step.place}", step.source) for n, step in to_run.items()]}
        child = Child({**job, "exercises": [asked(exercise) for exercise in left], "hide": hide}, next(users))
        try:
            wait_until_ready(child)
            begun = time.monotonic()
            end = follow(child, to_run, left, outcome, begun + seconds)
            ended = time.monotonic()
        finally:
            child.end()
        if end is None:
            break
        (culprit, case), stop = end
        outcome.again |= stop.again
        is_left_out = isinstance(culprit, int) and ended - begun < seconds
        seconds -= (child.begun if is_left_out else ended) - begun
        if isinstance(culprit, int):
            outcome.stopped[culprit] = stop.why
            culprit = to_run.pop(culprit).exercise
        if culprit:
            outcome.results.setdefault(culprit, Failed(stop.why, case))
        left = [exercise for exercise in left if exercise.name not in outcome.results]
        if not left or seconds <= 0:
            break
    why = f"used up its {TOTAL:.0f} s" if seconds <= 0 else "ended its process too often"
    for exercise in left:
        outcome.results.setdefault(exercise.name, Failed(f"was not called: the submission {why}"))
    return outcome


def asked(exercise: ExerciseCases) -> dict[str, Any]:
    """What a child is told of an exercise."""
    about = {"name": exercise.name, "adapter": exercise.adapter, "blocked": list(exercise.blocked)}
    return {**about, "inputs": [encode(case.inputs) for case in exercise.cases]}


def wait_until_ready(child: Child) -> None:
    """Wait until the child is confined and has run the given cells.  Raises ValueError if it does not get there."""
    message = child.next(STARTING)
    if isinstance(message, Stop):
        raise ValueError(NOT_STARTED.format(message.why))
    if message.about.get("event") != "ready":
        child.user = None  # it did not take its id and has run nothing: processes with that id are not its own
        raise ValueError(NOT_STARTED.format(message.about.get("why")))
    child.start_clock()
    message = child.next(GIVEN)
    if isinstance(message, Stop):
        raise ValueError(NOT_GIVEN.format(message.why))
    child.start_clock()


def follow(
    child: Child, steps: Mapping[int, Step], exercises: Sequence[ExerciseCases], outcome: Outcome, deadline: float
) -> tuple[Running, Stop] | None:
    """Listen to one child and add complete results; None when it finishes, else what it was running, and what ended it.

    A step or a call has its time once: only what was not running before starts the clock again.
    """
    counts = {exercise.name: len(exercise.cases) for exercise in exercises}
    running: Running = (exercises[0].name, None)
    known: set[Running] = set()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:  # messages may never end
            return running, Stop(f"used up the submission's {TOTAL:.0f} s", True)
        message = child.next(min(SECONDS, deadline - child.begun))
        if isinstance(message, Stop):
            return running, message
        event, about = message.about.get("event"), message.about
        if event == "end":
            for exercise in exercises:  # what is not complete is not right
                outcome.results.setdefault(exercise.name, Failed("did not answer"))
            return None
        what = key_of(about, steps, counts)
        if what is None:
            continue  # not of this submission
        name, case = what
        if event in ("step", "call") and what not in known:
            running = what
            known.add(what)
            child.start_clock()
        elif isinstance(name, int):
            if event == "stopped" and len(outcome.stopped) < MOST_KEPT:
                outcome.stopped.setdefault(name, said(about.get("why")))
            elif event == "done" and isinstance(done := about.get("what"), str) and done in DONE:
                outcome.done.setdefault(name, done)
        elif event == "stopped":
            outcome.results.setdefault(name, stopped_call(about.get("why"), name, case))
        elif event == "result" and case is not None:
            answers = outcome.answered.setdefault(name, {})
            try:
                answers.setdefault(case, read_arrays(message.arrays, outcome.room))
            except ValueError as error:
                outcome.results.setdefault(name, Failed(str(error), case))
            outcome.room -= len(message.arrays)
            if len(answers) == counts[name]:
                outcome.results.setdefault(name, [answers[number] for number in range(counts[name])])


def one_line(why: Any) -> str:
    """A submission's words on a short line, so that they cannot pass for more of ours."""
    return " ".join(why.split() if isinstance(why, str) else [])[: LONGEST + LINE + 40]


def said(why: Any) -> str:
    """That something stopped, and what the submission says of it, marked as such."""
    return f"stopped; the submission says: {one_line(why)}"


def stopped_call(why: Any, exercise: str, case: int | None) -> Failed:
    """Why a call has no result: in our own words, if they are these, else in the submission's."""
    ours = one_line(why) in (NOT_WRITTEN, BLOCKED, NO_FUNCTION.format(exercise))
    return Failed(one_line(why)) if ours else Failed(said(why), case)


def key_of(about: dict[str, Any], steps: Mapping[int, Step], counts: Mapping[str, int]) -> Running | None:
    """What a message is about, if that was asked for."""
    step, name, case = about.get("step"), about.get("exercise"), about.get("case")
    if isinstance(step, int) and step in steps:
        return step, None
    if isinstance(name, str) and name in counts and isinstance(case, int) and 0 <= case < counts[name]:
        return name, case
    return None


def limits_in_force(hide: Sequence[str]) -> dict[str, bool]:
    """What `confine` achieves on this machine, tried in a child with one file of each folder that is to be hidden."""
    secrets = [str(file) for folder in hide for file in first_file(Path(folder))]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        parent = -1 if sys.platform == "win32" else os.geteuid()
        inputs = {"secrets": secrets, "port": listener.getsockname()[1], "parent": parent}
        case = ExerciseCases("probe", "call", (), (Case(inputs, {}),))
        found = run_submission("", [Step(1, "probe", PROBE)], [case], hide, user_ids()).results["probe"]
    if isinstance(found, Failed):
        raise ValueError(NOT_STARTED.format(found.why))
    held = {name.removeprefix("result."): bool(value) for name, value in found[0].items() if name != CHANGED}
    return {**held, "memory": sys.platform == "linux"}


def first_file(folder: Path) -> list[Path]:
    """One file of a folder or of a folder in it, if there is any."""
    return [path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.is_file()][:1]
