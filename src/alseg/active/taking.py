"""Taking the answers of people into a label store outside of a training."""

from __future__ import annotations

from alseg.active.acquisition import RoundResult
from alseg.active.asked_files import open_round
from alseg.active.budget import Budget
from alseg.active.people import People
from alseg.active.round import Round
from alseg.active.store import LabelStore


def take_answers(store: LabelStore, people: People) -> RoundResult | None:
    """Commit the round that people have answered, if one is open.

    Args:
        store: The label store.
        people: Who was asked.

    Returns:
        What the round came to; None if no round is open.

    Raises:
        AnswersMissing: Queries are not answered, and ``people.partial`` is not set.
        LabelStoreError: Queries, answers or the store are damaged or cannot be written.
    """
    number = store.rounds + 1
    if not people.has_asked(number):
        return None
    settings = open_round(people.run, number).settings
    this = Round(
        number=number,
        rounds=number,
        store=store,
        budget=Budget.parse(settings["budget"]),
        radius=settings["radius"],
        exclusion_radius=settings["exclusion_radius"],
        scope=settings["scope"],
        settings=settings,
    )
    return this.label(people, this.read_answers(people))
