"""What a run is: all settings together, checked against one another."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from alseg.config.protocols import PROTOCOLS
from alseg.config.schedule import round_schedule
from alseg.config.settings import (
    GROUPS,
    ActiveSettings,
    DataSettings,
    ModelSettings,
    OutputSettings,
    TrainingSettings,
    all_settings,
)
from alseg.config.size import check_random_scale, parse_size, show_size
from alseg.config.strategy_options import options_for, window_radius
from alseg.config.yaml_file import write_mapping
from alseg.errors import ConfigError
from alseg_strategies import create

if TYPE_CHECKING:
    from alseg_strategies import Strategy


@dataclass(frozen=True)
class RunConfig(OutputSettings, ActiveSettings, TrainingSettings, ModelSettings, DataSettings):
    """All settings of a run; ``None`` stands for a default that depends on other settings.

    Raises:
        ConfigError: A value is out of range, or two contradict one another.
    """

    def __post_init__(self) -> None:
        for entry in all_settings():
            name, value = entry.name, getattr(self, entry.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{name} is {value}; it must be a finite number.")
            if must := entry.bounds.missed_by(value):
                raise ConfigError(f"{name} is {value}; it must be {must}.")
        if self.round_steps is not None:
            round_schedule(self.steps, self.rounds, self.round_steps)
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.decay_steps is not None and self.decay_steps < self.steps:
            raise ConfigError(
                f"decay_steps is {self.decay_steps}, less than the {self.steps} steps of training: "
                "nothing would be learnt after it. Make it as many or more."
            )
        if (
            self.size
            and self.crop
            and any(c > s for c, s in zip(self.crop, self.size, strict=True))
        ):
            raise ConfigError(
                f"A crop of {show_size(self.crop)} does not fit into images resized to "
                f"{show_size(self.size)}; make crop smaller or size larger."
            )
        sizes = {"source": self.source_size or self.size, "target": self.size}
        domains = PROTOCOLS[self.protocol].domains
        check_random_scale(self.random_scale, [self.crop or sizes[domain] for domain in domains])
        if self.region != "windows":
            given = {"radius": self.radius, "exclusion_radius": self.exclusion_radius}
            for name, value in given.items():
                if value is not None:
                    raise ConfigError(
                        f"{name} is {value}, which windows have and a region of {self.region} has "
                        f"not; leave it out, or use --region windows."
                    )
        if self.protocol == "source_free" and self.init_from is None and not self.warm_start_steps:
            raise ConfigError(
                "The protocol source_free starts from a network trained on the source: give its "
                "checkpoint as init_from, or warm_start_steps of 1 or more."
            )
        if self.name is not None and (not self.name or "/" in self.name or "\\" in self.name):
            raise ConfigError(
                f"name is {self.name!r}; it becomes part of a folder's name, so it takes no slash. "
                "Choose the whole path with out."
            )

    @property
    def starts_on_source(self) -> bool:
        """Whether training begins with steps on the source alone."""
        uses_source = PROTOCOLS[self.protocol].uses_source
        return uses_source and self.init_from is None and self.warm_start_steps > 0

    @property
    def window_radius(self) -> int:
        """The window radius of a region."""
        return window_radius(self.radius, self.annotator)

    def head_for(self, requires: Collection[str]) -> Literal["linear", "hyperbolic"]:
        """Return the kind of head of the run's network.

        Args:
            requires: The signals that the strategy needs.

        Raises:
            ConfigError: The strategy needs the hyperbolic radius but a linear head was asked for.
        """
        if "radius" not in requires:
            return self.head or "linear"
        if self.head == "linear":
            raise ConfigError(
                f"The strategy {self.strategy} needs the hyperbolic radius, which a linear head "
                "does not have. Use --head hyperbolic, or leave --head away."
            )
        return "hyperbolic"


def config_from(settings: Mapping[str, Any]) -> RunConfig:
    """Return the run that plain settings describe; in these, sizes are text.

    Raises:
        ConfigError: A size cannot be read, a value is out of range, or two contradict.
    """
    sizes = {
        entry.name: parse_size(entry.name, settings[entry.name])
        for entry in all_settings()
        if entry.is_size and settings.get(entry.name) is not None
    }
    return RunConfig(**{**settings, **sizes})


def dump_settings(config: RunConfig) -> dict[str, Any]:
    """Return the plain settings that describe a run: the inverse of ``config_from``."""
    return {
        entry.name: show_size(value) if entry.is_size and value is not None else value
        for entry in all_settings()
        for value in [getattr(config, entry.name)]
    }


def dump_config(config: RunConfig) -> str:
    """Return the settings of a run as commented YAML that reads back as the same run."""
    plain = dump_settings(config)
    lines: list[str] = []
    for entry in all_settings():
        heading = f"# {entry.group}: {GROUPS[entry.group].__doc__}"
        if heading not in lines:
            lines += ["", heading] if lines else [heading]
        text = write_mapping({entry.name: plain[entry.name]})
        lines += ["", f"# {entry.help}", text.rstrip()]
    return "\n".join(lines) + "\n"


def create_strategy(config: RunConfig) -> Strategy:
    """Return the strategy that a run asks by.

    Raises:
        ConfigError: It cannot be made.
        UnknownOption: It has no such option.
    """
    chosen = options_for(config.strategy, config.strategy_options, config.window_radius)
    try:
        return create(config.strategy, **chosen)
    except ValueError as error:
        raise ConfigError(f"strategy_options: {error}") from error


def checked_strategy(config: RunConfig) -> RunConfig:
    """Settle the strategy's windows and the head.

    Raises:
        ConfigError: The strategy cannot be made.
        UnknownOption: It has no such option.
    """
    if not PROTOCOLS[config.protocol].active:
        return replace(config, head=config.head_for(()))
    head = config.head_for(create_strategy(config).requires)
    chosen = options_for(config.strategy, config.strategy_options, config.window_radius)
    return replace(config, strategy_options=chosen, head=head)
