"""How long a run is, and when its rounds take place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from alseg.errors import ConfigError


def check_counted_in_steps(max_steps: int) -> None:
    """Check that a trainer was told its length in steps.

    Raises:
        ConfigError: It was not.
    """
    if max_steps < 1:
        raise ConfigError("Give the Trainer max_steps: a run is counted in steps, not epochs.")


def round_schedule(steps: int, rounds: int, round_steps: Sequence[int] | None = None) -> list[int]:
    """Return the steps before which the rounds take place, in rising order.

    Args:
        steps: Length of the training.
        rounds: How many rounds to space evenly from step 0 on.
        round_steps: The steps themselves, instead of ``rounds``.

    Raises:
        ConfigError: The steps do not rise, lie outside the training, or the rounds do not fit.
    """
    if round_steps is None:
        if rounds > steps:
            raise ConfigError(
                f"{rounds} rounds do not fit into {steps} steps of training; ask for fewer rounds "
                "or train for more steps."
            )
        return [index * steps // rounds for index in range(rounds)]
    rising = all(a < b for a, b in pairwise(round_steps))
    if not (round_steps and rising and round_steps[0] >= 0):
        raise ConfigError(
            f"round_steps is {list(round_steps)}; it must be rising steps from 0 or later, such as "
            "[0, 100, 200]."
        )
    if round_steps[-1] >= steps:
        raise ConfigError(
            f"The last of round_steps is {round_steps[-1]}, but training ends after {steps} steps: "
            "labels asked for then would not be trained on."
        )
    return list(round_steps)
