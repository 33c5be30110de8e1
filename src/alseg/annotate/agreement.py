"""How far people agree where everybody was asked: Cohen's and Fleiss' kappa."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alseg.annotate.shares import Shares
from alseg.config.answer_keys import NOT_CHARGED
from alseg.queries.answers import Answer
from alseg.queries.asked import AskedRound, Query
from alseg.queries.settling import paint


@dataclass(frozen=True)
class Agreement:
    """The agreement of several people on the queries that all of them answered.

    Attributes:
        people: Their names.
        asked: Queries that everybody is asked, and those that everybody has answered unasked.
        answered: Those that everybody has answered.
        equal: Mean part of pairs of people that say the same of a query; None without any.
        kappa: Cohen's kappa of two people, Fleiss' of more; None where it is not defined.
    """

    people: tuple[str, ...]
    asked: int
    answered: int
    equal: float | None
    kappa: float | None

    @property
    def measure(self) -> str:
        """The name of the kappa."""
        return "Cohen's kappa" if len(self.people) == 2 else "Fleiss' kappa"

    def in_words(self) -> str:
        """Return the agreement in one line."""
        if self.equal is None:
            return f"agreement: none of the {self.asked:,} common queries is answered by everybody"
        kappa = "not defined, as all say the same" if self.kappa is None else f"{self.kappa:.3f}"
        return (
            f"agreement: {self.measure} {kappa}; {self.equal:.1%} of the answers are the same, on "
            f"{self.answered:,} of {self.asked:,} common queries"
        )


def measure_agreement(shares: Shares | None, said: Mapping[str, Mapping[str, Answer]]) -> Agreement:
    """Measure how far people agree where all of them answered, whoever was asked.

    These are the people with a share, or, where fewer than two of them have answered, those who
    have: the answers of another tool may be of people to whom nothing was dealt. Every answer is a
    category, also a skip. Parts of mixed windows do not count.

    Args:
        shares: Who was asked what; None if nothing was dealt.
        said: By person and query, what counts, without corrections.
    """
    names, overlap = _measured(shares, said)
    voices = [said.get(name, {}) for name in names]
    shared = set(voices[0]).intersection(*voices[1:]) if voices else set()
    common = sorted(query for query in shared if "." not in query)
    asked = len(overlap.union(common))
    if len(names) < 2 or not common:
        return Agreement(names, len(overlap), len(common), None, None)
    if len(names) == 2:
        first, second = ([voice[query] for query in common] for voice in voices)
        kappa = cohen_kappa(first, second)
    else:
        kappa = fleiss_kappa([[voice[query] for voice in voices] for query in common])
    equal = sum(_agreeing([voice[query] for voice in voices]) for query in common) / len(common)
    return Agreement(names, asked, len(common), equal, kappa)


def _measured(
    shares: Shares | None, said: Mapping[str, Mapping[str, Answer]]
) -> tuple[tuple[str, ...], set[str]]:
    """Return the people who are held against one another, and what each of them is asked."""
    dealt = shares.people if shares is not None else ()
    overlap = set(shares.overlap) if shares is not None else set()
    answered = tuple(name for name, answers in said.items() if answers)
    if len(answered) < 2 or len(set(answered) & set(dealt)) >= 2:
        return dealt, overlap
    return answered, set()


def disagreements(
    asked: AskedRound, said: Mapping[str, Mapping[str, Answer]]
) -> dict[str, dict[str, Answer]]:
    """Return, by query or part in the order of the round, what people said who do not agree."""
    found: dict[str, dict[str, Answer]] = {}
    for person, answers in said.items():
        for name, answer in answers.items():
            found.setdefault(name, {})[person] = answer
    place = {query.id: position for position, query in enumerate(asked.queries)}
    differing = [name for name, votes in found.items() if len(set(votes.values())) > 1]

    def order(name: str) -> tuple[int, int]:
        whole, _, part = name.partition(".")
        return place[whole], int(part or 0)

    return {name: found[name] for name in sorted(differing, key=order)}


def differing_share(asked: AskedRound, query: Query, votes: Mapping[str, Answer]) -> float:
    """Return the share of a query's pixels on which not all people say the same.

    Args:
        asked: The round.
        query: The query.
        votes: Its answers, by person; one that is not charged says nothing of any pixel.

    Raises:
        LabelStoreError: A mask cannot be read.
    """
    image = asked.images[query.image]
    said = [
        paint(asked, {query.id: answer}, query.image, (image.height, image.width))
        for answer in votes.values()
        if answer not in NOT_CHARGED
    ]
    differs = np.zeros((image.height, image.width), dtype=np.bool_)
    for label in said[1:]:
        differs |= label != said[0]
    return float(differs.sum()) / query.box.pixels


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa (1960) of two people who sorted the same things into categories.

    (p_o − p_e) / (1 − p_e): p_o is the part on which they agree, p_e that on which two people would
    who use the categories as often, but by chance. None if p_e is 1: both always say the same one.
    """
    count = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / count
    uses = Counter(first), Counter(second)
    # In whole numbers, so that it is known for certain whether chance leaves anything to agree on.
    chance = sum(times * uses[1][category] for category, times in uses[0].items())
    if chance == count * count:
        return None
    expected = chance / (count * count)
    return (observed - expected) / (1 - expected)


def fleiss_kappa(things: Sequence[Sequence[Hashable]]) -> float | None:
    """Return Fleiss' kappa (1971) of people who sorted the same things into categories.

    Args:
        things: For each thing what was said of it, by as many people each time, at least two.

    Returns:
        (P − P_e) / (1 − P_e), or None if P_e is 1: everybody always says the same.
    """
    voices = sum(len(thing) for thing in things)
    uses = Counter(answer for thing in things for answer in thing)
    if len(uses) == 1:
        return None
    observed = sum(_agreeing(thing) for thing in things) / len(things)
    expected = sum((times / voices) ** 2 for times in uses.values())
    return (observed - expected) / (1 - expected)


def _agreeing(answers: Sequence[Hashable]) -> float:
    """Return the part of the pairs of people who say the same."""
    people = len(answers)
    pairs = sum(times * (times - 1) for times in Counter(answers).values())
    return pairs / (people * (people - 1))
