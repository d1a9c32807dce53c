"""What results/worlds.py and results/pusht.py measure of a policy: goals reached, and the processor time of a decision."""

import time
from typing import Any

from torch import Tensor

from minivjepa.evaluation.statistics import wilson
from minivjepa.world.goal_reaching import Policy


class Timed:
    """A policy whose decisions are counted and timed."""

    def __init__(self, policy: Policy):
        self.policy, self.spent, self.decisions = policy, 0.0, 0

    def __call__(self, step: int, pairs: Tensor, state: Tensor, goal: Tensor) -> Tensor:
        """The policy's actions."""
        start = time.process_time()
        action = self.policy(step, pairs, state, goal)
        self.spent, self.decisions = self.spent + time.process_time() - start, self.decisions + len(pairs)
        return action

    def scored(self, reached: Tensor) -> dict[str, Any]:
        """The share of goals reached with its 95 % interval, each pair's success, and the milliseconds of a decision.  reached: bool [pairs]."""
        low, high = wilson(int(reached.sum()), len(reached))
        rate = {"success": float(reached.float().mean()), "low": low, "high": high, "reached": reached.int().tolist()}
        return {**rate, "milliseconds": 1000 * self.spent / self.decisions}
