"""Whether somebody is logged in to Weights & Biases; nobody is ever asked."""

from __future__ import annotations

import wandb

from alseg.errors import ConfigError


def logged_in() -> bool:
    """Return whether there is a key or token in the environment, ``.netrc`` or wandb's settings.

    The server is not asked whether it is valid.

    Raises:
        ConfigError: What is there cannot be a key.
    """
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except wandb.Error as error:
        raise ConfigError(
            f"The key for Weights & Biases cannot be used: {str(error).rstrip('.')}. Log in with "
            "`wandb login --relogin`, or set WANDB_MODE=offline to keep the run on this machine."
        ) from error
