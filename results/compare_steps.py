"""Is a step slower than it was?  python results/compare_steps.py REVISION [--rounds 10] [--geometries cpu,mini,paper]

Takes the package of a git revision, loads it under another name into this process, and times its training step and today's in turn, on
one CPU thread, in float32 and bfloat16.  Writes results/speed-before.json, from which docs/speed.md is made.
"""

import argparse
import importlib
import io
import statistics
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


def main() -> None:
    """Time both, geometry by geometry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="what today's step is compared with")
    parser.add_argument("--rounds", type=int, default=10, help="steps of each, after one that does not count")
    parser.add_argument("--geometries", default="cpu,mini,paper", help="separated by commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        old = load(options.revision, Path(folder))
        for name in options.geometries.split(","):
            for dtype in ("float32", "bfloat16"):
                steps = [home.prepare(home.find_geometry(name, None), dtype, CPU) for home in (old, step_time)]
                spent: list[list[float]] = [[], []]
                for _ in tqdm(range(options.rounds + 1), desc=f"{name}, {dtype}", unit="round"):
                    for times, step in zip(spent, steps):
                        start = time.perf_counter()
                        step()
                        times.append(time.perf_counter() - start)
                before, after = (statistics.median(times[1:]) for times in spent)
                rows.append({"geometry": name, "dtype": dtype, "before_s": before, "after_s": after})
    found = {"command": " ".join(["python", "results/compare_steps.py", *sys.argv[1:]]), "revision": options.revision}
    write_json(
        FOLDER / "speed-before.json", {**found, "date": time.strftime("%Y-%m-%d"), "versions": versions(), "rows": rows}
    )


if __name__ == "__main__":
    main()
