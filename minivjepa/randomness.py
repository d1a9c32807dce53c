"""Random numbers that depend on where they are used, never on what was drawn before.

Every clip and mask here is a function of (seed, step, global sample index); only OfficialBlocks also depends on its
batch.  So a run can resume, a batch can be split over processes, and a single clip can be rendered again, all without
extra work.  On a first reading, one line is enough: uniform(keys("mask", seed, step, index), n) gives n numbers for
each of the B samples in `index`, and always the same ones.  The generator is SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014) on int64 tensors, which wrap around the same way on every device.
"""

import zlib
from functools import cache

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio, an odd number: SplitMix64's step
MULTIPLIER_1 = 0xBF58476D1CE4E5B9 - 2**64  # as in Java's SplittableRandom: Stafford's Mix13
MULTIPLIER_2 = 0x94D049BB133111EB - 2**64


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical (zero-filling) right shift; torch's own shift copies the sign bit."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finalizer: every output bit depends on every input bit."""
    x = (x ^ _shift(x, 30)) * MULTIPLIER_1
    x = (x ^ _shift(x, 27)) * MULTIPLIER_2
    return x ^ _shift(x, 31)


def keys(stream: str, seed: int, step: int, index: Tensor) -> Tensor:
    """A stream's name, a seed, a step and sample indices int64[B] -> int64[B], one key per sample."""
    key = torch.zeros_like(index)
    for word in (zlib.crc32(stream.encode()), seed, step, index):
        key = _mix((key ^ word) + GOLDEN)
    return key


def random_bits(key: Tensor, n: int) -> Tensor:
    """int64[B] keys -> int64[B, n] random bits; the first k of them don't depend on n."""
    counter = torch.arange(1, n + 1, device=key.device) * GOLDEN
    return _mix(key[:, None] + counter)


def uniform(key: Tensor, n: int) -> Tensor:
    """int64[B] keys -> float32[B, n], uniform on [0, 1)."""
    return _shift(random_bits(key, n), 40).float() * 2.0**-24


@cache
def _quantiles(device: torch.device) -> Tensor:
    """float32[65536]: the middles of 65,536 equally likely slices of the standard normal."""
    return torch.special.ndtri((torch.arange(65536, dtype=torch.float64) + 0.5) / 65536).float().to(device)


def normal(key: Tensor, n: int) -> Tensor:
    """int64[B] keys -> float32[B, n], standard normal, cut at 4.3 standard deviations; 16 random bits pick a slice."""
    slices = random_bits(key, (n + 3) // 4).view(torch.int16)[:, :n].int() + 32768
    return _quantiles(key.device).index_select(0, slices.flatten()).view(slices.shape)
