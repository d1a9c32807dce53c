"""Shared by all tests: one small geometry, one thread, no network."""

import dataclasses
import signal

import pytest
import torch
from hypothesis import settings

from minivjepa.training.config import PRESETS, Config
from minivjepa.tubelets import Grid

torch.set_num_threads(1)
settings.register_profile("patient", deadline=None)  # a busy machine is no bug
settings.load_profile("patient")
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell's background jobs ignore Ctrl-C, and their children would too

GRID = Grid(4, 16, 24, 2, 8)  # t, h, w = 2, 2, 3: no two axes alike, so a transposed grid shows


@pytest.fixture
def grid() -> Grid:
    return GRID


@pytest.fixture
def tiny() -> Config:
    return PRESETS["tiny"]


@pytest.fixture
def short(tiny: Config) -> Config:
    """A run of seconds that still logs and saves several times."""
    return dataclasses.replace(tiny, steps=12, log_every=4, checkpoint_every=3, monitor_clips=16)
