"""The account of Weights & Biases that tests of the dashboard log in to."""

from tests.helpers.wandb_account import account, backend, nobody

__all__ = ["account", "backend", "nobody"]
