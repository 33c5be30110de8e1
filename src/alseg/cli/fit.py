"""``alseg fit``: train, asking for labels on the way."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alseg.cli.parser import CommandParser, checked_config
from alseg.config.run import checked_strategy, dump_config
from alseg.config.run_files import CONFIG
from alseg.config.settings import all_settings, names_of
from alseg.errors import ConfigError
from alseg.runs.terminal import shown

_log = logging.getLogger("alseg")

DEMO = Path(__file__).parents[1] / "config" / "demo.yaml"
"""The settings of the run on the embedded scenes."""

NAMED = 5
"""How many settings are named that a file lacks."""

ABOUT = """Train a segmentation network for the target and spend a labelling budget on the way.
With no data named it runs on the embedded scenes."""


def run(argv: Sequence[str]) -> int:
    """Read the settings of a run, and run it.

    Raises:
        AlsegError: The run is refused or cannot go on.
    """
    names = [entry.name for entry in all_settings()]
    parser = CommandParser(
        "fit", "[-c FILE] [--SETTING VALUE ...]", ABOUT, names, names_of("first")
    )
    parser.add(
        "--print-config", action="store_true", help="print the settings as YAML, and run nothing"
    )
    parser.add(
        "--partial",
        action="store_true",
        help="with --resume: continue although people have not answered all; what is missing "
        "returns to the pool and is not charged",
    )
    settings, arguments = parser.parse(argv)
    if settings.get("resume") is not None:
        settings = _resumed(parser, settings)
    data_named = names_data(settings)
    settings = with_data(parser, settings)
    config = checked_config(settings)
    if arguments["partial"] and (config.resume is None or config.annotator != "manual"):
        raise ConfigError(
            "--partial continues without the answers that people have not given: use it with "
            "--resume, for a run with --annotator manual."
        )
    if arguments["print_config"]:
        print(dump_config(config), end="")
        return 0

    # What trains takes seconds to import; a setting that is wrong is answered before that.
    config = checked_strategy(config)
    if not data_named:
        _log.info(
            "No --source and no --target: running on the embedded scenes, %s -> %s.",
            config.source,
            config.target,
        )
    for name in set(names_of("moved")) - settings.keys():
        _log.info("No --%s: taking %s.", name, getattr(config, name))
    from alseg.runs.fit import fit_run, quiet_lightning

    with quiet_lightning():
        summary = fit_run(config, arguments["partial"])
    if summary:
        print(shown(summary))
    return 0


def names_data(settings: Mapping[str, Any]) -> bool:
    """Return whether settings say what to train on."""
    return not settings.keys().isdisjoint({"resume", *names_of("moved")})


def with_data(parser: CommandParser, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings on top of those of the embedded scenes, or as they are if they name data."""
    return settings if names_data(settings) else {**parser.read(DEMO), **settings}


def _resumed(parser: CommandParser, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings kept in a run's folder, on the machine that is asked for now."""
    kept = Path(settings["resume"]) / CONFIG
    if not kept.is_file():
        raise ConfigError(
            f"{settings['resume']} holds no run to resume: there is no {kept}. Name the folder "
            "that the run printed when it started."
        )
    before = _kept(parser, kept)
    machine, places = names_of("resume"), names_of("moved")
    changed = [
        name
        for name, value in settings.items()
        if name not in ("resume", *places, *machine) and value != before[name]
    ]
    if changed:
        raise ConfigError(
            "A run is resumed with the settings it was started with, but "
            f"{', '.join(changed)} would change. Only {', '.join(machine)} may, and "
            f"{' and '.join(places)} where the data were moved; for anything else start a new run."
        )
    # It brings NumPy, and what is refused above does without.
    from alseg.data.registry import absolute

    moved = {
        name: absolute(settings[name])
        for name in places
        if settings.get(name, before[name]) != before[name]
    }
    return {**before, **settings, **moved}


def _kept(parser: CommandParser, path: Path) -> dict[str, Any]:
    """Return the settings that a run was started with.

    A file that was cut off may read well: what is missing must not become a default.

    Raises:
        ConfigError: The file cannot be read, or a setting is missing.
    """
    remedy = "Restore it from a copy: a run is resumed with the settings it was started with."
    try:
        kept = parser.read(path)
    except ConfigError as error:
        raise ConfigError(f"{error} {remedy}") from error
    missing = [entry.name for entry in all_settings() if entry.name not in kept]
    if missing:
        named = ", ".join(missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise ConfigError(
            f"{path} lacks {named}{more}, though every setting was written there: it is damaged, "
            f"or of another version of alseg. {remedy}"
        )
    return kept
