"""Plain DistributedDataParallel under torchrun, on the CPU with gloo."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from minivjepa.data.digits import DigitClips
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
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


def launcher(*program: str) -> list[str]:
    """The words that start a program in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={port}"]
    return [sys.executable, "-m", *words, *program]


def torchrun(*words: str, program: tuple[str, ...] = ("-m", "minivjepa")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(launcher(*program, *words), env=ENVIRONMENT, capture_output=True, text=True, timeout=180)


def alone(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "minivjepa", *words], env=ENVIRONMENT, check=True, capture_output=True)


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (out / "metrics.jsonl").read_text().splitlines()]


IN_FLOAT64 = """
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from minivjepa.training import trainer as training
from minivjepa.training.config import PRESETS
from minivjepa.data.digits import DigitClips
from minivjepa.training.runs import Run
from minivjepa.training.arms import with_arm

built = training.build_model
training.build_model = lambda config: built(config).double()
if "RANK" in __import__("os").environ:
    dist.init_process_group("gloo")


class Double(DigitClips):
    def batch(self, step, index):
        clip, known = super().batch(step, index)
        return clip.double(), known


found = {}
for arm in sys.argv[2:]:
    config = with_arm(PRESETS["tiny"], arm)
    trainer = training.Trainer(config, Double(config.grid, seed=config.seed), Run(Path("unused")), torch.device("cpu"))
    for _ in range(20):
        trainer.train_step()
    losses = torch.stack(trainer.pending)
    if dist.is_initialized():
        dist.all_reduce(losses)
        losses /= 2
    found[arm] = {"losses": losses, "model": trainer.model.state_dict()}
if trainer.rank == 0:
    torch.save(found, sys.argv[1])
if dist.is_initialized():
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.mark.parametrize("arm", ["vjepa", "no-stopgrad", "neither"])
def test_two_processes_train_the_same_model_as_one(tmp_path: Path, arm: str) -> None:
    """Catches: ranks that see the same clips, gradients that are summed, files that two ranks write."""
    one, two = tmp_path / "one", tmp_path / "two"
    options = [*OPTIONS, "--arm", arm, "--lr", "1e-4"]
    alone(*options, "--out", str(one))
    ended = torchrun(*options, "--out", str(two))
    assert ended.returncode == 0, ended.stderr[-2000:]
    first, second = (torch.load(p / "checkpoint.pt", weights_only=True)["model"] for p in (one, two))
    begin = build_model(dataclasses.replace(PRESETS["tiny"], prevention=ARMS[arm])).state_dict()
    moved, apart = (
        sum(float((a[name] - b[name]).square().sum()) ** 0.5 for name in begin)
        for a, b in ((first, begin), (first, second))
    )
    assert apart < 0.01 * moved  # Adam turns rounding into steps where a gradient is exactly 0, as for key biases
    losses = [[row["loss"] for row in logged(out)] for out in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 6  # steps 0, 1, 2, 4, 5, 8
    assert losses[0][1:] == pytest.approx(losses[1][1:], rel=1e-4)


IN_TURN = (*ARMS, "mask-mixed")


@pytest.fixture(scope="module")
def in_float64(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Losses and weights of every arm after 20 steps, by one process and by two."""
    folder = tmp_path_factory.mktemp("float64")
    script, one, two = folder / "train.py", folder / "one.pt", folder / "two.pt"
    script.write_text(IN_FLOAT64)
    subprocess.run([sys.executable, str(script), str(one), *IN_TURN], env=ENVIRONMENT, check=True)
    ended = torchrun(str(two), *IN_TURN, program=(str(script),))
    assert ended.returncode == 0, ended.stderr[-2000:]
    return torch.load(one, weights_only=True), torch.load(two, weights_only=True)


@pytest.mark.parametrize("arm", IN_TURN)
def test_in_float64_two_processes_take_the_steps_of_one(
    in_float64: tuple[dict[str, Any], dict[str, Any]], arm: str
) -> None:
    """Catches: gradients summed or averaged twice, clips drawn by their number within a process, and statistics over
    the clips of one process where those of the whole batch are meant (vicreg, sigreg)."""
    first, second = (found[arm] for found in in_float64)
    assert first["losses"].dtype == torch.float64
    assert float(first["losses"][-1]) != float(first["losses"][0])
    torch.testing.assert_close(second["losses"], first["losses"], rtol=1e-9, atol=0)
    for name, value in first["model"].items():
        if not name.endswith(
            "qkv.bias"
        ):  # a key's bias changes no loss: its gradient is rounding, and Adam enlarges it
            torch.testing.assert_close(second["model"][name], value, rtol=1e-5, atol=1e-7, msg=name)


def test_a_clip_for_each_process_is_enough_for_vicreg(tmp_path: Path) -> None:
    """Catches: a variance over one clip, which is NaN and was blamed on the learning rate."""
    ended = torchrun(*OPTIONS, "--arm", "vicreg", "--batch", "2", "--out", str(tmp_path / "run"))
    assert ended.returncode == 0, ended.stderr[-2000:]


def workers(parent: int) -> list[int]:
    """The processes that torchrun has started, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                words = (folder / "environ").read_text().split("\0")
                found[next(word for word in words if word.startswith("RANK="))] = int(folder.name)
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_run_survives_the_kill_of_a_process_and_goes_on_alone(tmp_path: Path, rank: int) -> None:
    """Catches: processes that wait for a dead one for ever; a checkpoint that needs as many processes as wrote it."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    options = [*OPTIONS, "--steps", "400", "--lr", "1e-4"]
    running = subprocess.Popen(
        launcher("-m", "minivjepa", *options, "--out", str(out)), env=ENVIRONMENT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )  # fmt: skip
    while not (out / "checkpoint.pt").exists():
        assert running.poll() is None
        time.sleep(0.05)
    os.kill(workers(running.pid)[rank], signal.SIGKILL)
    assert running.wait(60) != 0
    kept = torch.load(out / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < kept < 400
    alone(*options, "--out", str(out), "--resume")
    alone(*options, "--out", str(whole))
    rows, wanted = logged(out), logged(whole)
    assert [row["step"] for row in rows] == [row["step"] for row in wanted]
    assert [row["loss"] for row in rows[1:]] == pytest.approx([row["loss"] for row in wanted[1:]], rel=1e-2)


def test_a_run_of_one_process_goes_on_in_two(tmp_path: Path) -> None:
    """Catches: optimiser states or steps that are lost when the number of processes changes."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    alone(*OPTIONS, "--lr", "1e-4", "--out", str(whole))
    config = dataclasses.replace(PRESETS["tiny"], steps=8, log_every=4, checkpoint_every=4, monitor_clips=16, lr=1e-4)
    run = Run(out)
    run.create(config, "digits")

    def stop(step: int, row: dict[str, Any] | None) -> None:
        if step == 4:  # its checkpoint is there
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Trainer(config, DigitClips(config.grid, seed=config.seed), run, torch.device("cpu")).fit(stop)
    ended = torchrun(*OPTIONS, "--lr", "1e-4", "--out", str(out), "--resume")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert [row["step"] for row in logged(out)] == [row["step"] for row in logged(whole)]
    assert logged(out)[-1]["loss"] == pytest.approx(logged(whole)[-1]["loss"], rel=1e-4)


def test_bad_input_under_torchrun_leaves_nothing(tmp_path: Path) -> None:
    """Catches: processes that wait for each other for ever."""
    ended = torchrun(*OPTIONS, "--batch", "5", "--out", str(tmp_path / "run"))
    assert ended.returncode != 0
    assert "batch 5 is not divisible by 2 processes" in ended.stderr
    assert not (tmp_path / "run").exists()
