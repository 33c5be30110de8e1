"""The runs of a matrix, and the starts on the source that they share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig, dump_settings
from alseg.config.run_files import LAST_CHECKPOINT, STARTS
from alseg.config.settings import MATRIX_MAY_DIFFER, MAY_CHANGE, all_settings, names_of
from alseg.errors import AlsegError, ConfigError
from alseg.sweep.matrix import Matrix, NamedVariant
from alseg_strategies import UnknownOption, UnknownStrategy

CHECKPOINT = Path(LAST_CHECKPOINT)
"""What the runs begin with, in the folder of a start."""

AFTER_THE_START = frozenset(names_of("active", "output", "evaluation", "after start"))
"""The settings that a start on the source does not depend on."""

Check = Callable[[Sequence[str]], RunConfig]
"""Reads the arguments of ``alseg fit``; raises what it would refuse them with."""


@dataclass(frozen=True)
class Run:
    """One run of ``alseg fit``.

    Attributes:
        name: What it is called in reports; also the name of its folder.
        folder: Its folder.
        arguments: What ``alseg fit`` is given to begin it.
        config: Its settings.
        start: The run on the source that it starts from; None if there is none.
    """

    name: str
    folder: Path
    arguments: tuple[str, ...]
    config: RunConfig
    start: Run | None = None

    @property
    def of_the_machine(self) -> tuple[str, ...]:
        """Those of the arguments that may be given with ``--resume`` too."""
        flags = {_flag(name) for name in names_of("machine")}
        pairs = zip(self.arguments[::2], self.arguments[1::2], strict=True)
        return tuple(part for pair in pairs if pair[0] in flags for part in pair)


def plan_runs(matrix: Matrix, shared: Mapping[str, Any], out: Path, check: Check) -> list[Run]:
    """Return the runs of a matrix in the order of the work: a seed at a time, starts first.

    Args:
        matrix: What its file says.
        shared: The settings of all runs.
        out: The folder of the matrix.
        check: Reads the arguments of a run.

    Raises:
        ConfigError: A run is impossible, or runs of one seed would not be comparable.
    """
    configs: list[tuple[str, dict[str, Any], RunConfig]] = []
    # Reading the settings of a run takes a while: once per variant, not once per seed.
    checked = [_checked(check, matrix, variant, shared) for variant in matrix.variants]
    for seed in matrix.seeds:
        for variant, config in zip(matrix.variants, checked, strict=True):
            settings = {**shared, **variant.settings, "seed": seed}
            configs.append((f"{variant.name}-seed{seed}", settings, replace(config, seed=seed)))
    _check_comparable(configs, matrix)
    names = _names_of_starts([config for *_, config in configs if config.starts_on_source])
    starts: dict[str, Run] = {}
    runs: list[Run] = []
    for name, settings, config in configs:
        start = None
        if config.starts_on_source:
            own = names[_key(config)]
            if own not in starts:
                starts[own] = _start(own, settings, config, out, check)
                runs.append(starts[own])
            start = starts[own]
            settings["init_from"] = str(start.folder / CHECKPOINT)
        settings["out"] = str(out / name)
        config = replace(config, init_from=settings.get("init_from"), out=settings["out"])
        runs.append(Run(name, out / name, to_arguments(settings), config, start))
    return runs


def starts_of(runs: Iterable[Run]) -> set[str]:
    """Return the names of the starts that some runs need."""
    return {run.start.name for run in runs if run.start is not None}


def to_arguments(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return settings as options of ``alseg fit``."""
    return tuple(part for name, value in settings.items() for part in (_flag(name), _text(value)))


def differences(kept: Mapping[str, Any], run: Run) -> list[str]:
    """Say in which settings a run that was started is another one than that of the matrix.

    A setting that there was not yet when the run was started had its default.
    """
    defaults = {entry.name: entry.default for entry in all_settings()}
    kept = {**defaults, **kept}
    asks = PROTOCOLS[run.config.protocol].active
    left = MAY_CHANGE if asks else MAY_CHANGE | {*names_of("active")}
    return [
        f"{name} is {kept.get(name)!r} there and {value!r} in the matrix"
        for name, value in dump_settings(run.config).items()
        if name not in left and not _same(name, kept.get(name), value, run.start)
    ]


def _same(name: str, one: Any, other: Any, start: Run | None) -> bool:
    if name != "init_from" or one is None or other is None:
        return bool(one == other)
    if start is None:
        return Path(one).resolve() == Path(other).resolve()
    # The folder of the matrix may have been moved: what tells the start is its place in it.
    place = Path(start.name, CHECKPOINT).parts
    return Path(one).parts[-len(place) :] == place


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: Any) -> str:
    # JSON is YAML: it says which texts are numbers, and what null, true and a list are.
    return value if isinstance(value, str) else json.dumps(value)


def _checked(
    check: Check, matrix: Matrix, variant: NamedVariant, shared: Mapping[str, Any]
) -> RunConfig:
    where = f"{matrix.path}: {variant.name}"
    try:
        config = check(to_arguments({**shared, **variant.settings}))
    except (AlsegError, UnknownOption, UnknownStrategy) as error:
        raise ConfigError(f"{where}: {error}") from error
    if config.annotator == "manual":
        raise ConfigError(
            f"{where}: the runs of a matrix do not wait for people. Leave annotator: manual away."
        )
    return config


def _start(
    name: str, settings: Mapping[str, Any], config: RunConfig, out: Path, check: Check
) -> Run:
    """Return the run that trains on the source alone what others start from."""
    # Not the logger: among the runs of the matrix it would be taken for one of its variants.
    kept = names_of("evaluation", "machine")
    own = {
        key: value for key, value in settings.items() if key not in AFTER_THE_START or key in kept
    }
    own |= {"protocol": "source_only", "steps": config.warm_start_steps, "warm_start_steps": 0}
    # Said, since in the runs it follows from the strategy.
    own |= {"head": config.head, "out": str(out / STARTS / name)}
    arguments = to_arguments(own)
    return Run(f"{STARTS}/{name}", out / STARTS / name, arguments, check(arguments))


def _key(config: RunConfig) -> str:
    plain = dump_settings(config)
    return json.dumps({key: plain[key] for key in plain if key not in AFTER_THE_START})


def _names_of_starts(configs: Sequence[RunConfig]) -> dict[str, str]:
    """Name every start by its head and seed, and by what else it differs in from the first.

    A variant that is added to a matrix leaves the names of the others' starts as they are.
    """
    names: dict[str, str] = {}
    first: dict[str, Any] = {}
    for key in map(_key, configs):
        settings = json.loads(key)
        first = first or settings
        told = [
            re.sub(r"[^\w.+-]+", "_", f"{name}-{value}")
            for name, value in settings.items()
            if name not in ("head", "seed") and value != first[name]
        ]
        name = "-".join([settings["head"], *told, f"seed{settings['seed']}"])
        while names.get(key) is None and name in names.values():
            name += "-other"
        names.setdefault(key, name)
    return names


def _check_comparable(configs: Sequence[tuple[str, Any, RunConfig]], matrix: Matrix) -> None:
    """Check that all runs share what no variant is about.

    Raises:
        ConfigError: Two differ in it.
    """
    first_name, _, first = configs[0]
    shared = dump_settings(first)
    for name, _, config in configs[1:]:
        for setting, value in dump_settings(config).items():
            if setting in MATRIX_MAY_DIFFER | matrix.may_differ or value == shared[setting]:
                continue
            raise ConfigError(
                f"{matrix.path}: {setting} is {value!r} in {name} but {shared[setting]!r} in "
                f"{first_name}: strategies are compared under the same {setting}. Give it under "
                f"settings, for all runs, or say `may_differ: [{setting}]`."
            )
