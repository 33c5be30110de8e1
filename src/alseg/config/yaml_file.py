"""YAML as settings are written in it."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from alseg.errors import ConfigError

_DEEPEST = 50
_MOST_VALUES = 100_000
_MERGE = "tag:yaml.org,2002:merge"
_ZERO_LED = re.compile(r"[-+]?0[0-9_]+$")


class Readable(Protocol):
    """A file, on disk or in an archive."""

    def read_text(self, encoding: str) -> str:
        """Return its content."""


def read_mapping(path: str | Readable) -> dict[str, Any]:
    """Return the mapping that a YAML file holds; an empty file holds an empty one.

    Raises:
        ConfigError: There is no such file, or it is not YAML or not a mapping.
    """
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected settings such as `budget: 0.01`, got {reprlib.repr(content)}."
        )
    return {str(key): value for key, value in content.items()}


def read_yaml(path: str | Readable) -> Any:
    """Return what a YAML file holds.

    Raises:
        ConfigError: There is no such file, or it is not YAML, or YAML that does not mean what it
            looks like.
    """
    try:
        file = Path(path) if isinstance(path, str) else path
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text. Save it with the encoding UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error


def read_value(text: str) -> Any:
    """Return the value that a text stands for in YAML, or the text where it is none."""
    try:
        return _load(text)
    except yaml.YAMLError:
        return text


def _load(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise yaml.YAMLError(f"it is nested more than {_DEEPEST} levels deep") from error


def write_mapping(mapping: Mapping[str, Any]) -> str:
    """Return YAML that ``read_mapping`` reads as the same mapping."""
    return yaml.dump(dict(mapping), Dumper=_Dumper, sort_keys=False)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without what reads as something else than it looks like.

    ``1e-3`` is a number. No key may be given twice, however it is written, no number may begin with
    0, and what aliases expand to is bounded.
    """

    def construct_document(self, node: yaml.Node) -> Any:
        _check_bounds(node)
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                kind = "list" if isinstance(key, yaml.SequenceNode) else "mapping"
                raise _refusal(key, f"a {kind} cannot be a key; put text that looks so in quotes")
            merged = key.tag == _MERGE
            value = _MERGE if merged else self.construct_object(key, deep=True)
            if value in seen:
                same = (
                    ""
                    if key.value == str(value)
                    else f"{key.value!r} is the same as a key before it; "
                )
                raise _refusal(key, f"{same}{value!r} is given twice")
            seen.add(value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_plain(self, node: yaml.ScalarNode) -> Any:
        """Construct a number or a date, if it is what it looks like and within range."""
        if _ZERO_LED.match(node.value):
            digits = node.value.lstrip("+-0_").replace("_", "") or "0"
            problem = f"{node.value:.40} begins with 0, which YAML reads to the base of 8; write "
            raise _refusal(node, f"{problem}{digits:.40}, or put it in quotes if it is a name")
        try:
            return yaml.SafeLoader.yaml_constructors[node.tag](self, node)
        except ValueError as error:
            raise _refusal(node, f"{node.value:.40} is not a number or date ({error})") from error


def _refusal(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _check_bounds(root: yaml.Node) -> None:
    """Refuse a document that is nested too deeply or holds too much once aliases are expanded."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    todo: list[tuple[yaml.Node, bool]] = [(root, False)]
    while todo:
        node, seen_below = todo.pop()
        if id(node) in sizes or isinstance(node, yaml.ScalarNode):
            continue
        below = _below(node)
        if seen_below:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes.get(id(entry), 1) for entry in below)
            if sizes[id(node)] > _MOST_VALUES:
                problem = f"its aliases expand to more than {_MOST_VALUES:,} values"
                raise _refusal(node, problem)
            continue
        open_nodes.add(id(node))
        if len(open_nodes) > _DEEPEST:
            raise _refusal(node, f"it is nested more than {_DEEPEST} levels deep")
        todo.append((node, True))
        for entry in below:
            if id(entry) in open_nodes:
                raise _refusal(entry, "it holds itself by an alias")
            todo.append((entry, False))


def _below(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, but it quotes a text that ``_Loader`` would take for a number."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
        list("-+.0123456789"),
    )
# YAML 1.1 takes 008 for a text, and a mapping of label values would lack it.
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _ZERO_LED, list("-+0"))
for _kind in ("int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_plain)
