"""Acquisition strategies for active segmentation: which pixels to ask the labels of.

Importing this package imports no torch; the names that need it are loaded when they are first
used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from alseg_strategies.errors import (
    DuplicateStrategy,
    PluginError,
    SignalError,
    UnknownOption,
    UnknownStrategy,
)
from alseg_strategies.registry import available, create, name_of, options, register

if TYPE_CHECKING:
    from alseg_strategies.regions import Regions, clipped_centres, select_regions
    from alseg_strategies.signals import Signals
    from alseg_strategies.strategy import RoundView, Strategy
    from alseg_strategies.windows import window_count, window_mean, window_sum

__all__ = [
    "DuplicateStrategy",
    "PluginError",
    "Regions",
    "RoundView",
    "SignalError",
    "Signals",
    "Strategy",
    "UnknownOption",
    "UnknownStrategy",
    "available",
    "clipped_centres",
    "create",
    "name_of",
    "options",
    "register",
    "select_regions",
    "window_count",
    "window_mean",
    "window_sum",
]

_NEEDS_TORCH = {
    "Regions": "regions",
    "RoundView": "strategy",
    "Signals": "signals",
    "Strategy": "strategy",
    "clipped_centres": "regions",
    "select_regions": "regions",
    "window_count": "windows",
    "window_mean": "windows",
    "window_sum": "windows",
}


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
