import torch
from scipy import stats

from minivjepa import randomness


def key(n: int = 1, step: int = 0) -> torch.Tensor:
    return randomness.keys("test", 0, step, torch.arange(n))


def test_splitmix64_gives_the_published_numbers() -> None:
    """Catches: a wrong constant or an arithmetic shift. Reference: SplitMix64 from state 1234567."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    found = randomness.random_bits(torch.tensor([1234567]), 5)[0]
    assert [int(x) % 2**64 for x in found] == expected


def test_a_sample_does_not_depend_on_its_batch() -> None:
    """Catches: any state that one sample leaves to the next."""
    together, alone = randomness.keys("a", 3, 7, torch.arange(9)), randomness.keys("a", 3, 7, torch.tensor([5]))
    assert torch.equal(together[5:6], alone)
    assert torch.equal(randomness.uniform(together, 8)[5], randomness.uniform(alone, 8)[0])
    assert torch.equal(randomness.normal(together, 9)[5], randomness.normal(alone, 9)[0])


def test_stream_seed_step_and_index_all_matter() -> None:
    """Catches: two of them added up, so that step 1 of sample 0 equals step 0 of sample 1."""
    found = {
        int(randomness.keys(stream, seed, step, torch.tensor([index])))
        for stream in ("a", "b")
        for seed in range(5)
        for step in range(-1, 5)
        for index in range(5)
    }
    assert len(found) == 2 * 5 * 6 * 5


def test_uniform_numbers_are_uniform_within_and_across_keys() -> None:
    """Catches: lost high bits, or neighbouring indices that resemble each other."""
    assert stats.kstest(randomness.uniform(key(), 20000)[0], "uniform").pvalue > 1e-3
    assert stats.kstest(randomness.uniform(key(20000), 1)[:, 0], "uniform").pvalue > 1e-3
    pair = randomness.uniform(key(20000), 2)
    assert abs(torch.corrcoef(pair.T)[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([pair[:-1, 0], pair[1:, 0]]))[0, 1]) < 0.03


def test_normal_numbers_are_normal() -> None:
    """Catches: the four numbers of one word that resemble each other, a slice off by one, an infinite end."""
    x = randomness.normal(key(), 20001)[0]
    assert stats.kstest(x, "norm").pvalue > 1e-3
    quarters = torch.corrcoef(x[:20000].reshape(5000, 4).T)
    assert (quarters - torch.eye(4)).abs().max() < 0.06
    assert abs(x.mean()) < 0.03
    assert torch.isfinite(randomness.normal(key(100), 10000)).all()
