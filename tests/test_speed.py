"""Every trick that makes a step faster computes what the obvious version computes."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from minivjepa.data.video import Ahead, VideoClips
from minivjepa.speed.step_time import Geometry as Measured
from minivjepa.speed.step_time import prepare
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.loop import MONITOR_STEP
from minivjepa.training.trainer import Tuning
from minivjepa.vjepa import ARMS
from tests.test_video import counting, write_video

CPU = torch.device("cpu")


def test_a_step_runs_the_target_encoder_once_whatever_the_number_of_mask_groups(tiny: Config) -> None:
    """Catches: work that is done again for every mask group."""
    config = dataclasses.replace(tiny, masks=("random:0.5", "tube:0.5"))
    step = prepare(Measured(config, ((4, 4), (3, 5))), "float32", CPU)
    calls: list[int] = []
    target = step.trainer.model.target_encoder
    assert target is not None
    target.register_forward_hook(lambda *_: calls.append(1))
    step()
    assert len(calls) == 1


def test_recomputing_gives_the_same_bits_and_keeps_less(tiny: Config) -> None:
    """Catches: activation checkpointing that changes a gradient, or that keeps everything all the same."""
    config = dataclasses.replace(tiny, depth=4, predictor_depth=4)
    found = []
    for recompute in (False, True):
        step = prepare(Measured(config, ((4, 4),)), "float32", CPU, Tuning(recompute=recompute))
        kept: list[int] = []

        def keep(tensor: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = step.trainer.parallel(step.clip, step.masks)
        loss.backward()
        gradients = [p.grad for p in step.trainer.model.parameters() if p.grad is not None]
        found.append((loss, gradients, sum(kept)))
    (loss, gradients, whole), (again, same, part) = found
    assert torch.equal(loss, again)
    assert len(gradients) == len(same) > 50
    assert all(torch.equal(a, b) for a, b in zip(gradients, same))
    assert part < whole / 3


@pytest.mark.slow
def test_a_compiled_step_computes_what_a_plain_one_does(tiny: Config) -> None:
    """Catches: a compiled model whose weights are not those that are saved, or that learns something else."""
    geometry = Measured(dataclasses.replace(tiny, masks=("random", "tube")), ((3, 4), (2, 5)))
    plain, fused = (prepare(geometry, "float32", CPU, Tuning(compile=flag)) for flag in (False, True))
    losses: dict[str, list[float]] = {"plain": [], "fused": []}
    try:
        for _ in range(4):
            for name, step in (("plain", plain), ("fused", fused)):
                step.trainer.update(step.clip, step.masks)
                losses[name].append(float(step.trainer.pending[-1]))
    except torch._inductor.exc.InductorError as error:  # needs a C++ compiler
        pytest.skip(f"torch.compile does not work here: {str(error).splitlines()[0][:100]}")
    assert losses["fused"] == pytest.approx(losses["plain"], rel=1e-4)
    assert losses["plain"][-1] != losses["plain"][0]


def test_compiling_what_changes_at_every_step_is_refused() -> None:
    """Catches: minutes of compilation at every step."""
    with pytest.raises(ValueError, match="--compile cannot fuse SIGReg"):
        Tuning(compile=True).check(dataclasses.replace(PRESETS["tiny"], prevention=ARMS["sigreg"]))
    config = dataclasses.replace(PRESETS["tiny"], masks=("official-short",))
    with pytest.raises(ValueError, match=r"--compile needs masks of constant size; those of official-short change"):
        prepare(Measured(config, ((2, 2),)), "float32", CPU, Tuning(compile=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_step_never_waits_for_the_gpu(tmp_path: Path) -> None:  # pragma: no cover
    """Catches: a number that is fetched, or a copy from pageable memory, inside the loop."""
    config = dataclasses.replace(PRESETS["tiny"], masks=("official-short", "official-long", "random"))
    step = prepare(Measured(config, ((2, 2),) * 3), "bfloat16", torch.device("cuda"))
    for _ in range(3):
        step.trainer.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step.trainer.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def video(tmp_path: Path) -> VideoClips:
    """Frames that say their number."""
    return VideoClips(write_video(tmp_path / "clip.mkv", counting(24)), PRESETS["tiny"].grid, seed=3)


@pytest.mark.parametrize("first", [0, 5])
def test_clips_read_ahead_are_the_clips(video: VideoClips, first: int) -> None:
    """Catches: steps that are skipped or repeated, at the start or after a resume; another clip for the monitor."""
    index = torch.tensor([4, 5, 6])
    ahead = Ahead(video, steps=9, workers=2, device=CPU)
    for step in (MONITOR_STEP, *range(first, 7), MONITOR_STEP, 7, 8):
        assert torch.equal(ahead.batch(step, index)[0], video.batch(step, index)[0]), step
    assert torch.equal(ahead.batch(2, index)[0], video.batch(2, index)[0])  # and from anywhere again


def test_every_step_is_read_once_and_few_are_held(video: VideoClips, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a step that is read again when training reaches it; a whole run's clips read at once; steps after the last."""
    read: list[int] = []
    batch = video.batch

    def remember(step: int, index: Tensor) -> tuple[Tensor, None]:
        read.append(step)
        return batch(step, index)

    monkeypatch.setattr(video, "batch", remember)
    ahead = Ahead(video, steps=9, workers=1, device=CPU)
    for step in (2, 3, MONITOR_STEP, 4, 5):
        ahead.batch(step, torch.arange(2))
        assert [*ahead.ready] == list(range(step, step + 3)) if step >= 0 else True
    for step in (6, 7, 8):
        ahead.batch(step, torch.arange(2))
    assert sorted(read) == [MONITOR_STEP, *range(2, 9)]


def test_an_unreadable_film_stops_the_training(video: VideoClips, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an error that stays in its thread, so that training waits or goes on without the clip."""
    monkeypatch.setattr(video, "clip", lambda *which: (_ for _ in ()).throw(ValueError("the disk is gone")))
    with pytest.raises(ValueError, match="the disk is gone"):
        Ahead(video, steps=9, workers=1, device=CPU).batch(0, torch.arange(2))
