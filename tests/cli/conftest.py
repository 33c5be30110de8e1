"""The checkpoint that tests of the commands open."""

from tests.helpers.checkpoints import constant_checkpoint

__all__ = ["constant_checkpoint"]
