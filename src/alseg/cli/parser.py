"""Reading settings from YAML files and the command line, with errors of one or two lines."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from jsonargparse import ArgumentParser

from alseg.cli.explain import (
    check_here,
    check_strategy,
    check_word,
    choices,
    explain,
    kind_in_words,
)
from alseg.config.run import RunConfig, config_from
from alseg.config.setting import Setting
from alseg.config.settings import GROUPS, all_settings
from alseg.config.yaml_file import read_mapping, read_value
from alseg.errors import ConfigError, did_you_mean

FIRST = ("the run", "What it learns from, who answers, and how many labels it may ask for.")
"""Title and description of the settings that the help of a command begins with."""

WITHOUT_VALUE = "; null: "
"""What comes before the default of a setting that has no value of its own."""


class Parsed(NamedTuple):
    """What a command was given.

    Attributes:
        settings: The settings of a run that were given; those that were not are absent.
        arguments: The command's own arguments, all of them.
    """

    settings: dict[str, Any]
    arguments: dict[str, Any]


class CommandParser:
    """The arguments of one command: settings of a run, and some of its own.

    Settings come from YAML files (``-c``) and from options, which win wherever they stand. Nothing
    can be abbreviated; an unknown option or key is an error that names the nearest known one.

    Args:
        command: The name of the command.
        usage: Its arguments in short, for the help.
        about: What it does, for the help.
        settings: The names of the settings that it takes as options. A file may hold any setting,
            so that the file of a run can be given to every command.
        first: Those of them that the help begins with, in this order.
        example: Arguments to show to whoever leaves out one that is needed.
    """

    def __init__(
        self,
        command: str,
        usage: str,
        about: str,
        settings: Collection[str] = (),
        first: Sequence[str] = (),
        example: str | None = None,
    ) -> None:
        known = all_settings()
        self._settings = {entry.name: entry for entry in known if entry.name in settings}
        self._types = {name: entry.type for name, entry in self._settings.items()}
        self._types_in_files = {entry.name: entry.type for entry in known}
        self._shown: dict[str, str] = {}
        self._example = None if example is None else f"alseg {command} {example}"
        self._flags = {"--help", *(_flag(name) for name in self._settings)}
        self._line = _empty_parser(command, usage, about)
        self._file = _empty_parser(command, usage, about)
        _add_settings(self._file, known)
        if first:
            group = self._line.add_argument_group(*FIRST)
            for name in first:
                _add_setting(group, self._settings[name])
        self._own = self._line.add_argument_group("options")
        self._own.add_argument("-h", "--help", action="help", help="show this help and exit")
        if settings:
            self.add(
                "-c",
                "--config",
                action="append",
                default=[],
                metavar="FILE",
                help="YAML file of settings; given several times, later files win",
            )
            rest = self._settings.keys() - set(first)
            _add_settings(self._line, (entry for entry in known if entry.name in rest))

    def add(self, *flags: str, **details: Any) -> None:
        """Add an argument of the command's own, described as for ``argparse``."""
        place = self._own if flags[0].startswith("-") else self._line
        place.add_argument(*flags, **details)
        self._flags.update(flag for flag in flags if flag.startswith("--"))
        name = flags[-1].lstrip("-").replace("-", "_")
        self._types[name] = details.get("type", str)
        option = f"{flags[-1]} " if flags[-1].startswith("-") else ""
        self._shown[name] = option + details.get("metavar", name)

    def parse(self, argv: Sequence[str], below: Mapping[str, Any] | None = None) -> Parsed:
        """Return what the command line and the files that it names give.

        Args:
            argv: The command line.
            below: Settings that these are put on top of; a mapping in them keeps the keys that
                ``--NAME.KEY`` does not name.

        Raises:
            ConfigError: Something is unknown, missing or of the wrong kind.
            SystemExit: Help was asked for, and printed.
        """
        mappings = [name for name, entry in self._settings.items() if entry.is_mapping]
        argv, items = _take_items(argv, mappings)
        self._check_flags(argv)
        try:
            given = self._line.parse_args(argv).as_dict()
        except argparse.ArgumentError as error:
            raise ConfigError(
                explain(error, self._types, _flag, self._shown, self._example)
            ) from error
        settings = dict(below or {})
        for path in given.pop("config", []):
            settings.update(self.read(path))
        arguments: dict[str, Any] = {}
        for name, value in given.items():
            if name in self._settings:
                check_word(name, value, self._types[name], _flag)
                settings[name] = value
            else:
                arguments[name] = value
        for name, key, value in items:
            settings[name] = {**settings.get(name, {}), key: value}
        check_here({**settings, **arguments}.get("out"), "--out")
        return Parsed(settings, arguments)

    def read(self, path: str | Path) -> dict[str, Any]:
        """Return the settings that a YAML file gives, each of its type.

        Raises:
            ConfigError: The file cannot be read, or a key or value in it is wrong.
        """
        mapping = {key.replace("-", "_"): value for key, value in read_mapping(path).items()}
        types = self._types_in_files
        for key, value in mapping.items():
            if key not in types:
                hint = did_you_mean(key, types) or " `alseg fit --help` lists them."
                raise ConfigError(f"{path}: unknown key {key!r}.{hint}")
            if value is None and type(None) not in get_args(types[key]):
                raise ConfigError(f"{path}: {key}: expected {kind_in_words(types[key])}, got null.")
        label = f"{path}: {{}}".format
        try:
            read: dict[str, Any] = self._file.parse_object(mapping).as_dict()
        except argparse.ArgumentError as error:
            raise ConfigError(explain(error, types, label)) from error
        for key, value in read.items():
            check_word(key, value, types[key], label)
        return read

    def _check_flags(self, argv: Iterable[str]) -> None:
        for token in argv:
            flag = token.partition("=")[0]
            if flag.startswith("--") and flag != "--" and flag not in self._flags:
                hint = did_you_mean(flag, self._flags, quote="") or " --help lists the options."
                raise ConfigError(f"unknown option {flag}.{hint}")


def load_config(paths: Iterable[str | Path] = (), overrides: Sequence[str] = ()) -> RunConfig:
    """Return the run that YAML files and options on top of them describe.

    Args:
        paths: YAML files; later ones win.
        overrides: Options as on the command line, such as ``["--budget", "0.02"]``.

    Raises:
        ConfigError: Something is unknown, of the wrong kind, out of range or contradictory.
        UnknownStrategy: No strategy has that name.
    """
    parser = CommandParser("fit", "", "", [entry.name for entry in all_settings()])
    files = [part for path in paths for part in ("--config", str(path))]
    return checked_config(parser.parse([*files, *overrides]).settings)


def checked_config(settings: Mapping[str, Any]) -> RunConfig:
    """Return the run that plain settings describe, with a strategy that exists.

    Raises:
        ConfigError: A value is out of range, or two contradict.
        UnknownStrategy: No strategy has that name.
    """
    config = config_from(settings)
    check_strategy(config.strategy)
    return config


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _empty_parser(command: str, usage: str, about: str) -> ArgumentParser:
    return ArgumentParser(
        prog=f"alseg {command}",
        usage=f"alseg {command} {usage}".replace("%", "%%"),
        description=about,
        add_help=False,  # It is added where the options of the command are.
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=argparse.HelpFormatter,
    )


def _add_settings(parser: ArgumentParser, entries: Iterable[Setting]) -> None:
    groups = {}
    for entry in entries:
        if entry.group not in groups:
            groups[entry.group] = parser.add_argument_group(
                entry.group, GROUPS[entry.group].__doc__
            )
        _add_setting(groups[entry.group], entry)


def _add_setting(group: Any, entry: Setting) -> None:
    about, _, default = entry.help.partition(WITHOUT_VALUE)
    more = f"; also {_flag(entry.name)}.KEY VALUE" if entry.is_mapping else ""
    shown = default or _shown(entry.default)
    group.add_argument(
        _flag(entry.name),
        type=_read_as(entry),
        # What is not given is left out, so that a file's value is not overridden by a default.
        default=argparse.SUPPRESS,
        metavar=_metavar(entry),
        help=f"{about}{more} (default: {shown})".replace("%", "%%"),
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None or value == {} else str(value)


def _read_as(entry: Setting) -> Any:
    """Return the type that jsonargparse checks; of sizes and words it checks that they are text."""
    if entry.is_size or choices(entry.type):
        return str | None if type(None) in get_args(entry.type) else str
    return entry.type


def _metavar(entry: Setting) -> str:
    if entry.is_size:
        return "HxW"
    if entry.is_mapping:
        return "MAPPING"
    parts = [part for part in get_args(entry.type) or [entry.type] if part is not type(None)]
    if choices(entry.type):
        return "|".join(choices(entry.type))
    names = {int: "N", float: "X", str: "TEXT", bool: "true|false"}
    return "|".join(names.get(part, "[N,...]") for part in dict.fromkeys(parts))


def _take_items(
    argv: Sequence[str], mappings: Sequence[str]
) -> tuple[list[str], list[tuple[str, str, Any]]]:
    """Take ``--NAME.KEY VALUE`` out of a command line: what is left, and (name, key, value)."""
    rest: list[str] = []
    items = []
    tokens = iter(argv)
    for token in tokens:
        flag, equals, text = token.partition("=")
        name, dot, key = flag.partition(".")
        field = next((field for field in mappings if _flag(field) == name), None)
        if field is None or not dot:
            rest.append(token)
            continue
        value = text if equals else next(tokens, None)
        if not key or value is None:
            raise ConfigError(f"{flag} needs a key and a value: {name}.KEY VALUE.")
        items.append((field, key.replace("-", "_"), read_value(value)))
    return rest, items
