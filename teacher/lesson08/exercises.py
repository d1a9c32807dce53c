"""Lesson 08: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise

RATE = """def learning_rate(step, steps, warmup, peak, last):
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step + 1 - warmup) / (steps - warmup)
    return last + (peak - last) * 0.5 * (1 + math.cos(math.pi * done))
"""
CURVE = "last + (peak - last) * 0.5 * (1 + math.cos(math.pi * done))"


def at(step: int, steps: int = 12, warmup: int = 4, peak: float = 0.5, last: float = 0.125) -> dict[str, float]:
    """Inputs for one step."""
    return {"step": step, "steps": steps, "warmup": warmup, "peak": peak, "last": last}


LEARNING_RATE = Exercise(
    "learning_rate",
    ("minivjepa.training.recipe.schedule", "minivjepa.training.recipe.cosine"),
    (at(0), at(3), at(4), at(7), at(9), at(11), at(0, warmup=0, steps=5), at(59, steps=100, warmup=10, peak=2.0, last=0.0)),
    lambda rng: [],
    (
        ("it starts at 0, so the first step does nothing: step 0 already has 1 of the warm-up's parts", RATE.replace("peak * (step + 1)", "peak * step")),
        ("it starts at 0 and takes warmup - 1 equal parts to the peak: there are `warmup` parts, and step 0 already has 1 of them", RATE.replace("peak * (step + 1) / warmup", "peak * step / (warmup - 1)")),
        ("the cosine begins one step late, so step `warmup` still has the peak: the first of the remaining steps already falls", RATE.replace("(step + 1 - warmup) / (steps - warmup)", "(step - warmup) / (steps - 1 - warmup)")),
        ("the cosine is one step late: the last step, steps - 1, has the rate `last`", RATE.replace("(step + 1 - warmup)", "(step - warmup)")),
        ("the cosine counts the warm-up's steps too: it begins where the warm-up ends", RATE.replace("(step + 1 - warmup) / (steps - warmup)", "(step + 1) / steps")),
        ("the cosine is as long as the whole run, and so it doesn't finish: it has steps - warmup steps", RATE.replace("/ (steps - warmup)", "/ steps")),
        ("it falls in a straight line: follow half a cosine", RATE.replace(CURVE, "last + (peak - last) * (1 - done)")),
        ("it falls to 0: the last rate is `last`", RATE.replace(CURVE, "peak * 0.5 * (1 + math.cos(math.pi * done))")),
        ("`last` is added to the whole cosine, so it starts above the peak: it falls by peak - last", RATE.replace("(peak - last) *", "peak *")),
        ("this is a quarter of a cosine, which falls fastest at its end: half a cosine goes from 1 to -1", RATE.replace("0.5 * (1 + math.cos(math.pi * done))", "math.cos(math.pi / 2 * done)")),
        ("the cosine goes up: it starts at `peak` and ends at `last`", RATE.replace("last + (peak - last)", "peak + (last - peak)")),
        ("there's no warm-up: it starts at once with the cosine", RATE.replace("    if step < warmup:\n        return peak * (step + 1) / warmup\n", "").replace("done = (step + 1 - warmup) / (steps - warmup)", "done = max(0, step + 1 - warmup) / (steps - warmup)")),
        ("the warm-up starts at `last`: it climbs from 0", RATE.replace("return peak * (step + 1) / warmup", "return last + (peak - last) * (step + 1) / warmup")),
        ("the warm-up is one step too long: there are `warmup` steps, from 0 on", RATE.replace("if step < warmup:\n        return peak * (step + 1) / warmup", "if step <= warmup:\n        return peak * (step + 1) / (warmup + 1)")),
    ),
    (),
)  # fmt: skip

GO_ON = (
    RATE
    + """

def go_on(run, data, until):
    weights, velocity = run["weights"], run["velocity"]
    for step in range(run["step"], until):
        velocity = 0.9 * velocity + (weights - data[step])
        weights = weights - learning_rate(step, len(data), 10, 0.1, 0.005) * velocity
    return {"weights": weights, "velocity": velocity, "step": until}
"""
)


def state(step: int, steps: int, until: int) -> dict[str, object]:
    """A run of three weights in the middle, and its data.  Rounded: they stand in messages."""
    generator = torch.Generator().manual_seed(step)
    data, weights, velocity = (
        (8 * torch.randn(*shape, generator=generator)).round() / 8 for shape in ((steps, 3), (3,), (3,))
    )
    return {"run": {"weights": weights, "velocity": velocity, "step": step}, "data": data, "until": until}


GO_ON_EXERCISE = Exercise(
    "go_on",
    (),
    (
        {"run": {"weights": torch.tensor([0.0]), "velocity": torch.tensor([0.0]), "step": 0}, "data": torch.tensor([[1.0]] * 12), "until": 1},
        state(2, 14, 4),
        state(12, 18, 16),
        state(5, 13, 5),  # nothing left to do
    ),
    lambda rng: [],
    (
        ("it starts again at step 0: go on from the state's step", GO_ON.replace('range(run["step"], until)', "range(until)")),
        ("it takes `until` for the number of further steps: stop when that many are done in all", GO_ON.replace('range(run["step"], until)', 'range(run["step"], run["step"] + until)').replace("data[step]", "data[step % len(data)]")),
        ("it does one step too many: `until` itself isn't done any more", GO_ON.replace("until):\n        v", "until + 1):\n        v").replace("data[step]", "data[step % len(data)]")),
        ("the saved velocity is forgotten: go on with it, not with zeros", GO_ON.replace('run["weights"], run["velocity"]', 'run["weights"], torch.zeros_like(run["weights"])')),
        ("the data are counted from the resume on: row `step` belongs to step `step`", GO_ON.replace("data[step]", 'data[step - run["step"]]')),
        ("the learning rate is counted from the resume on, so it warms up again: use the step", GO_ON.replace("learning_rate(step, len", 'learning_rate(step - run["step"], len')),
        ("the learning rate is one step ahead: `learning_rate` counts steps from 0, so give it `step`", GO_ON.replace("learning_rate(step, len", "learning_rate(step + 1, len")),
        ("the learning rate falls to its last value at `until`, but the run is as long as its data: give it len(data)", GO_ON.replace("len(data), 10", "until, 10")),
        ("the weights move by the gradient: they move by the velocity", GO_ON.replace("0.005) * velocity", "0.005) * (weights - data[step])")),
        ("the old velocity moves the weights: update it first", GO_ON.replace("        velocity = 0.9 * velocity + (weights - data[step])\n        weights = weights - learning_rate(step, len(data), 10, 0.1, 0.005) * velocity\n", "        gradient = weights - data[step]\n        weights = weights - learning_rate(step, len(data), 10, 0.1, 0.005) * velocity\n        velocity = 0.9 * velocity + gradient\n")),
        ("the gradient points the other way: it is the weights minus the data", GO_ON.replace("(weights - data[step])", "(data[step] - weights)")),
        ("the velocity doesn't fade: the old one counts 0.9 times", GO_ON.replace("0.9 * velocity", "velocity")),
        ("the new velocity forgets the old one: 0.9 times the old one comes in", GO_ON.replace("0.9 * velocity + ", "")),
        ("the gradient comes in with a tenth: here all of it is added", GO_ON.replace("+ (weights", "+ 0.1 * (weights")),
        ("the step in the new state is still the old one: it's `until` now", GO_ON.replace('"step": until', '"step": run["step"]')),
        ("the old state was changed in place: make new tensors, and a new dict", RATE + 'def go_on(run, data, until):\n    for step in range(run["step"], until):\n        run["velocity"].mul_(0.9).add_(run["weights"] - data[step])\n        run["weights"].sub_(learning_rate(step, len(data), 10, 0.1, 0.005) * run["velocity"])\n    return {"weights": run["weights"], "velocity": run["velocity"], "step": until}\n'),
    ),
    (),
)  # fmt: skip

EXERCISES = [LEARNING_RATE, GO_ON_EXERCISE]
