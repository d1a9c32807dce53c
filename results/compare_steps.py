"""Is a step slower than it was?  python results/compare_steps.py REVISION [--repeats 7] [--geometries cpu,mini,paper]

Takes the package of a git revision, loads it under another name into this process, and times its training step and today's in turn, on
one CPU thread, in float32 and bfloat16.  On a shared machine a step takes up to half as long again from one second to the next, so the
fastest step of each counts; both are prepared anew several times, in turn the one and the other first.  Writes results/speed-before.json, from which docs/speed.md is made.
"""

import argparse
import importlib
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from minivjepa.speed import step_time
from minivjepa.training.files import versions, write_json

FOLDER = Path(__file__).parent
CPU = torch.device("cpu")
HOMES = ("speed.step_time", "bench")  # where a package has find_geometry and prepare: today, and in version 0.1


def load(revision: str, folder: Path) -> Any:
    """The module of a revision that prepares steps, under the name `before`."""
    packed = subprocess.run(
        ["git", "archive", revision, "minivjepa"], cwd=FOLDER.parent, check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    (folder / "minivjepa").rename(folder / "before")
    for file in (folder / "before").rglob("*.py"):
        text = file.read_text()
        file.write_text(text.replace("from minivjepa", "from before").replace("import minivjepa", "import before"))
    sys.path.insert(0, str(folder))
    for home in HOMES:
        if (folder / "before" / Path(*home.split("."))).with_suffix(".py").exists():
            return importlib.import_module(f"before.{home}")
    raise SystemExit(f"{revision} has none of {', '.join(HOMES)}, so its steps cannot be timed")


def rounds(steps: dict[Any, Any], count: int) -> dict[Any, list[float]]:
    """Seconds of `count` steps of each, in turn."""
    times: dict[Any, list[float]] = {home: [] for home in steps}
    for number in range(count + 1):
        for home, step in steps.items():
            start = time.perf_counter()
            step()
            if number:
                times[home].append(time.perf_counter() - start)
    return times


def main() -> None:
    """Time both, geometry by geometry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="what today's step is compared with")
    parser.add_argument("--repeats", type=int, default=7, help="how often both are prepared anew")
    parser.add_argument(
        "--rounds", type=int, default=4, help="steps of each in a repeat, after one that does not count"
    )
    parser.add_argument("--geometries", default="cpu,mini,paper", help="separated by commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        old = load(options.revision, Path(folder))
        for name in options.geometries.split(","):
            for dtype in ("float32", "bfloat16"):
                spent: dict[Any, list[float]] = {old: [], step_time: []}
                for number in tqdm(range(options.repeats), desc=f"{name}, {dtype}", unit="repeat"):
                    order = list(spent)[:: 1 if number % 2 else -1]
                    steps = {home: home.prepare(home.find_geometry(name, None), dtype, CPU) for home in order}
                    times = rounds(steps, options.rounds)
                    for home, own in spent.items():
                        own += times[home]
                before, after = (min(own) for own in spent.values())
                rows.append({"geometry": name, "dtype": dtype, "before_s": before, "after_s": after})
    found = {"command": " ".join(["python", "results/compare_steps.py", *sys.argv[1:]]), "revision": options.revision}
    write_json(
        FOLDER / "speed-before.json", {**found, "date": time.strftime("%Y-%m-%d"), "versions": versions(), "rows": rows}
    )


if __name__ == "__main__":
    main()
