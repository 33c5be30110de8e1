"""What people are asked in a round, and what they answered."""

from alseg.queries.answers import Journal, latest, people
from alseg.queries.asked import AskedImage, AskedRound, Query
from alseg.queries.asked_files import asked_rounds, open_round, write_round
from alseg.queries.settling import Settled, paint, settle

__all__ = [
    "AskedImage",
    "AskedRound",
    "Journal",
    "Query",
    "Settled",
    "asked_rounds",
    "latest",
    "open_round",
    "paint",
    "people",
    "settle",
    "write_round",
]
