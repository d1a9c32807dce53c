"""The process that runs a student's functions: it gets inputs and sends back plain arrays, nothing else.

It reads one job (JSON) from its input and writes messages to a pipe to which the submission cannot print.  It knows no expected
outputs, so nothing that a submission does to this process makes a wrong answer right.
"""

import json
import os
import sys
from typing import Any, BinaryIO

import torch

from minivjepa_course.grading.messages import send
from minivjepa_course.grading.processes import is_free
from minivjepa_course.grading.sandbox import as_root_on_linux, confine, enter_own_namespace
from minivjepa_course.homework.calling import ADAPTERS, LONGEST, NO_FUNCTION, blocking, error_in_words
from minivjepa_course.homework.cases import decode
from minivjepa_course.homework.program import new_space, plain_python, run


def warm_up() -> None:
    """Load what torch loads at its first step.  Its compiler takes as long as torch itself, so it waits until a submission needs it."""
    weight = torch.nn.Parameter(torch.ones(2, 2))
    torch.nn.functional.layer_norm(weight @ weight, (2,)).sum().backward()


def run_steps(pipe: BinaryIO, given: str, steps: list[tuple[int, str, str]]) -> dict[str, Any]:
    """Run the given cells, then every step: (number, name, source).  One that stops is reported, and the others go on."""
    space = new_space()
    run(space, "given cells", given)
    send(pipe, {"event": "begins"})
    for number, name, source in steps:
        send(pipe, {"event": "step", "step": number})
        code, done = plain_python(source)
        if done:
            send(pipe, {"event": "done", "step": number, "what": done})
        try:
            run(space, name, code)
        except BaseException as error:
            send(pipe, {"event": "stopped", "step": number, "why": error_in_words(error)})
    return space


def run_exercise(pipe: BinaryIO, space: dict[str, Any], exercise: dict[str, Any]) -> None:
    """Call one exercise's function on all its inputs."""
    function = space.get(exercise["name"])
    if not callable(function):
        why = NO_FUNCTION.format(exercise["name"])
        send(pipe, {"event": "stopped", "exercise": exercise["name"], "case": 0, "why": why})
        return
    for number, inputs in enumerate(exercise["inputs"]):
        about = {"exercise": exercise["name"], "case": number}
        send(pipe, {"event": "call", **about})
        try:
            with blocking(exercise["blocked"]):
                result = ADAPTERS[exercise["adapter"]](function, decode(inputs))
            send(pipe, {"event": "result", **about}, result)
        except BaseException as error:
            send(pipe, {"event": "stopped", **about, "why": error_in_words(error)})


def main() -> None:
    """Read the job, limit this process, run."""
    enter_own_namespace()
    job = json.loads(sys.stdin.buffer.read())
    torch.set_num_threads(1)
    warm_up()
    nowhere = os.open(os.devnull, os.O_RDWR)
    with os.fdopen(os.dup(1), "wb") as pipe:
        for stream in (0, 1, 2):  # what a submission reads and prints
            os.dup2(nowhere, stream)
        try:
            if as_root_on_linux() and not is_free(job["user"]):  # loading torch took seconds
                raise OSError(f"user id {job['user']} is in use by now")
            confine(job["hide"], job["user"])
        except OSError as error:
            send(pipe, {"event": "not confined", "why": str(error)[:LONGEST]})
            return
        send(pipe, {"event": "ready"})
        space = run_steps(pipe, job["given"], job["steps"])
        for exercise in job["exercises"]:
            run_exercise(pipe, space, exercise)
        send(pipe, {"event": "end"})
        os._exit(0)  # without waiting for what a submission started


if __name__ == "__main__":
    main()
