"""The process that runs a student's functions: it gets inputs and sends back plain arrays, nothing else.

It reads one job (JSON) from its input and writes messages to a pipe to which the submission cannot print.  It knows no expected
outputs, so nothing that a submission does to this process makes a wrong answer right.
"""

import json
import os
import sys
from typing import Any, BinaryIO

import torch

from minivjepa.grading.messages import send
from minivjepa.grading.processes import is_free
from minivjepa.grading.sandbox import as_root_on_linux, confine, enter_own_namespace
from minivjepa.homework.calling import ADAPTERS, Blocked, blocking
from minivjepa.homework.cases import decode

LONGEST = 300  # characters of an error that are sent


def warm_up() -> None:
    """Load what torch loads late, while everything can still be read."""
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimiser = torch.optim.AdamW([weight])
    torch.nn.functional.layer_norm(weight @ weight, (2,)).sum().backward()
    optimiser.step()
    torch.func.grad(lambda x: (x * x).sum())(torch.ones(2))


def run_cells(pipe: BinaryIO, given: str, cells: list[tuple[str, str]]) -> dict[str, Any]:
    """Run the given cells, then every answer cell; an answer that stops is reported, and the others go on."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(given, "given cells", "exec"), space)
    send(pipe, {"event": "begins"})
    for name, code in cells:
        send(pipe, {"event": "cell", "exercise": name})
        try:
            exec(compile(code, f"answer {name}", "exec"), space)
        except BaseException as error:
            send(pipe, {"event": "stopped", "exercise": name, "why": error_in_words(error)})
    return space


def error_in_words(error: BaseException) -> str:
    """An error as a short line."""
    if isinstance(error, NotImplementedError):
        return "not written yet"
    return (str(error) if isinstance(error, Blocked) else f"stopped with {type(error).__name__}: {error}")[:LONGEST]


def run_exercise(pipe: BinaryIO, space: dict[str, Any], exercise: dict[str, Any]) -> None:
    """Call one exercise's function on all its inputs."""
    for number, inputs in enumerate(exercise["inputs"]):
        about = {"exercise": exercise["name"], "case": number}
        send(pipe, {"event": "call", **about})
        try:
            function = space.get(exercise["name"])
            if not callable(function):
                raise TypeError(f"there is no function {exercise['name']}")
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
        space = run_cells(pipe, job["given"], job["cells"])
        for exercise in job["exercises"]:
            run_exercise(pipe, space, exercise)
        send(pipe, {"event": "end"})
        os._exit(0)  # without waiting for what a submission started


if __name__ == "__main__":
    main()
