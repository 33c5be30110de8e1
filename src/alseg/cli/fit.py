"""``alseg fit``: train, asking for labels on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alseg.cli.parser import CommandParser, checked_config
from alseg.config import RunConfig, dump_config
from alseg.errors import ConfigError
from alseg.settings import all_settings
from alseg_strategies import create

ABOUT = """Train a segmentation network for the target and spend a labelling budget on the way.
With no data named it runs on the embedded scenes."""


def run(argv: Sequence[str]) -> int:
    """Read the settings of a run, and run it.

    Raises:
        AlsegError: The run is refused or cannot go on.
    """
    names = [entry.name for entry in all_settings()]
    parser = CommandParser("fit", "[-c FILE] [--SETTING VALUE ...]", ABOUT, names)
    parser.add(
        "--print-config", action="store_true", help="print the settings as YAML, and run nothing"
    )
    settings, arguments = parser.parse(argv)
    if settings.get("resume") is not None:
        kept = Path(settings["resume"]) / "config.yaml"
        if not kept.is_file():
            raise ConfigError(
                f"{settings['resume']} holds no run to resume: there is no {kept}. Name the folder "
                "that the run printed when it started."
            )
        settings = {**parser.read(kept), **settings}
    config = checked_config(settings)
    if arguments["print_config"]:
        print(dump_config(config), end="")
        return 0

    # What trains takes seconds to import; a setting that is wrong is answered before that.
    _check_strategy(config)
    from alseg.cli.training import fit_run

    summary = fit_run(config)
    if summary:
        print(summary)
    return 0


def _check_strategy(config: RunConfig) -> None:
    from alseg.terms import PROTOCOLS

    if not PROTOCOLS[config.protocol].active:
        return
    try:
        strategy = create(config.strategy, **config.strategy_options)
    except ValueError as error:
        raise ConfigError(f"strategy_options: {error}") from error
    config.head_for(strategy.requires)
