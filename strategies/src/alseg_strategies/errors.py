"""What can go wrong, said to the person at the keyboard."""


class UnknownStrategy(ValueError):
    """No strategy is registered under that name."""


class UnknownOption(TypeError):
    """The strategy has no option of that name."""


class DuplicateStrategy(ValueError):
    """Two strategies claim the same name."""


class PluginError(RuntimeError):
    """A strategy that another distribution announces cannot be loaded."""


class SignalError(ValueError):
    """A signal is missing, has the wrong shape, or is not finite."""
