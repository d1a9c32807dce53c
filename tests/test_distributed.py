"""Plain DistributedDataParallel under torchrun, on the CPU with gloo."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minivjepa.config import PRESETS
from minivjepa.recipe import build_model
from minivjepa.vjepa import ARMS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="torchrun with gloo on loopback is tested on Linux"),
]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
OPTIONS = [
    "train",
    "--preset",
    "tiny",
    "--device",
    "cpu",
    "--steps",
    "8",
    "--log-every",
    "4",
    "--checkpoint-every",
    "4",
]
OPTIONS += ["--monitor-clips", "16"]


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={port}"]
    return subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "minivjepa", *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.parametrize("arm", ["vjepa", "no-stopgrad", "neither"])
def test_two_processes_train_the_same_model_as_one(tmp_path: Path, arm: str) -> None:
    """Catches: ranks that see the same clips, gradients that are summed, files that two ranks write."""
    one, two = tmp_path / "one", tmp_path / "two"
    options = [*OPTIONS, "--arm", arm, "--lr", "1e-4"]
    subprocess.run([sys.executable, "-m", "minivjepa", *options, "--out", str(one)], env=ENVIRONMENT, check=True)
    ended = torchrun(*options, "--out", str(two))
    assert ended.returncode == 0, ended.stderr[-2000:]
    first, second = (torch.load(p / "checkpoint.pt", weights_only=True)["model"] for p in (one, two))
    begin = build_model(dataclasses.replace(PRESETS["tiny"], prevention=ARMS[arm])).state_dict()
    moved, apart = (
        sum(float((a[name] - b[name]).square().sum()) ** 0.5 for name in begin)
        for a, b in ((first, begin), (first, second))
    )
    assert apart < 0.01 * moved  # Adam turns rounding into steps where a gradient is exactly 0, as for key biases
    losses = [[json.loads(row)["loss"] for row in (p / "metrics.jsonl").read_text().splitlines()] for p in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 6  # steps 0, 1, 2, 4, 5, 8
    assert losses[0][1:] == pytest.approx(losses[1][1:], rel=1e-4)


def test_bad_input_under_torchrun_leaves_nothing(tmp_path: Path) -> None:
    """Catches: processes that wait for each other for ever."""
    ended = torchrun(*OPTIONS, "--batch", "5", "--out", str(tmp_path / "run"))
    assert ended.returncode != 0
    assert "batch 5 is not divisible by 2 processes" in ended.stderr
    assert not (tmp_path / "run").exists()
