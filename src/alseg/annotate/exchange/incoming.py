"""The answers in a file of a labelling tool, checked in full, then added to a person's journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from alseg.annotate.exchange.collector import Collector
from alseg.annotate.exchange.formats import format_of, module_of
from alseg.annotate.exchange.outgoing import standing
from alseg.annotate.exchange.source import Source, size_limit
from alseg.annotate.exchange.words import Words
from alseg.annotate.rounds import is_closed, open_newest
from alseg.config.answer_keys import MIXED
from alseg.errors import ExchangeError
from alseg.queries.answers import IMPORT, REVIEW, Answer, Entry, Journal, latest
from alseg.queries.answers_folder import AnswersFolder, lock_answers
from alseg.queries.asked import AskedRound
from alseg.queries.masks import write_mask
from alseg.queries.settling import settle


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        format_name: The format of the file.
        round_number: The round.
        path: The journal that the answers were added to.
        new: How many answers were added, by their label.
        known: Answers in the file that stand already, by this person or by others.
        unanswered: Windows in the file that have no answer there.
        idle: Answers to parts of windows that are not mixed, which were left out.
        missing: Queries of the round that have no answer yet.
        split: How many of these are mixed, and only some of their parts have no answer.
        disputed: Queries that as many people answered one way as another.
        is_painted: Whether the round asks for masks of images, not for the classes of windows.
        void: Mean share of the pixels that the masks which were added leave void; None without any.
    """

    format_name: str
    round_number: int
    path: Path
    new: Mapping[str, int]
    known: int
    unanswered: int
    idle: int
    missing: int
    split: int
    disputed: int
    is_painted: bool
    void: float | None


def import_answers(
    run: str | Path, file: str | Path, format_name: str | None = None, person: str = IMPORT
) -> Imported:
    """Add the answers in a file of a labelling tool to the journal of a person.

    Nothing is written before all of the file is checked, and only what the person said is: an
    answer that went out with the export and came back as it was is not the person's own. Of the
    review, only what corrects something is written.

    Args:
        run: The folder of the run.
        file: The file, or the folder of PNGs.
        format_name: One of ``FORMATS``; None finds it by the file.
        person: In whose name.

    Raises:
        ExchangeError: The file cannot be read, or answers what was not asked.
        ConfigError: There is no such format.
        FolderInUse: A server takes answers to the round at the same time.
        LabelStoreError: There are no queries, they or the answers are damaged, an image that is
            answered has changed, the name cannot be used, or the answers cannot be written.
    """
    if format_name is not None:
        module_of(format_name)
    asked = open_newest(Path(run))
    _check_open(Path(run), asked)
    folder = AnswersFolder(asked.folder)
    journal = Journal(asked, person, folder)
    found, collector = _read(Path(file), format_name, asked)
    with lock_answers(asked):
        # Reading takes a while, and the run may have gone on meanwhile.
        _check_open(Path(run), asked)
        said = latest(asked)
        stands = standing(asked, said)
        given = dict(_that_count(asked, collector.answers, stands))
        own = said.get(person, {})
        seen = {**stands, **own} if person == REVIEW else _seen(asked, collector.time, person, own)
        new = {
            name: answer
            for name, answer in given.items()
            if answer not in (seen.get(name), own.get(name))
        }
        known = sum(answer == own.get(name, stands.get(name)) for name, answer in given.items())
        if new:
            for answer in set(new.values()) & collector.masks.keys():
                write_mask(folder, str(answer), collector.masks[str(answer)])
            journal.append([Entry(name, answer) for name, answer in new.items()])
            said[person] = {**own, **new}
    settled = settle(asked, said)
    void = [collector.void[str(answer)] for answer in new.values() if answer in collector.void]
    return Imported(
        format_name=found,
        round_number=asked.number,
        path=journal.path,
        new=Counter(collector.words.word(answer) for answer in new.values()),
        known=known,
        unanswered=len(collector.unanswered - collector.answers.keys()),
        idle=len(collector.answers) - len(given),
        missing=len(settled.missing),
        split=sum(given.get(name, stands.get(name)) == MIXED for name in settled.missing),
        disputed=len(settled.disputed),
        is_painted=asked.region.is_painted,
        void=sum(void) / len(void) if void else None,
    )


def _check_open(run: Path, asked: AskedRound) -> None:
    if is_closed(run, asked.number):
        raise ExchangeError(
            f"Round {asked.number} is closed and takes no more answers: its labels are written."
        )


def _read(path: Path, format_name: str | None, asked: AskedRound) -> tuple[str, Collector]:
    """Return the format of a file, and what it answers."""
    source = Source(path, size_limit(asked))
    collector = Collector(asked, Words(asked.classes, is_painted=asked.region.is_painted))
    try:
        if not path.exists():
            raise ExchangeError(f"{path} does not exist. Name the file that the tool exported.")
        found = format_name or format_of(source)
        module_of(found).read(source, collector)
        collector.check_origin()
        asked.check_images({asked.find(name).image for name in collector.answers})
    except OSError as error:
        raise ExchangeError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. Allow reading "
            "it, or name another file."
        ) from error
    return found, collector


def _seen(
    asked: AskedRound, time: int | None, person: str, own: Mapping[str, Answer]
) -> dict[str, Answer]:
    """Return the answers that a file repeats where its person said nothing new.

    They are what went out with the export, and what the person has said since.
    """
    if time is None:
        return dict(own)
    then = latest(asked, time)
    before = then.get(person, {})
    since = {name: answer for name, answer in own.items() if answer != before.get(name)}
    return {**own, **standing(asked, then), **since}


def _that_count(
    asked: AskedRound, given: Mapping[str, Answer], stands: Mapping[str, Answer]
) -> Iterator[tuple[str, Answer]]:
    """Yield answers in the order of the queries, without parts of windows that are not mixed."""
    parts: dict[str, list[str]] = {}
    for name in given:
        whole, dot, _ = name.partition(".")
        if dot:
            parts.setdefault(whole, []).append(name)
    for query in asked.queries:
        if query.id in given:
            yield query.id, given[query.id]
        if given.get(query.id, stands.get(query.id)) == MIXED:
            for name in sorted(parts.get(query.id, ()), key=_number):
                yield name, given[name]


def _number(part: str) -> int:
    return int(part.rpartition(".")[2])
