"""Where people answer the queries of a round: in a browser, or in another labelling tool."""

from alseg.annotate.agreement import Agreement, measure_agreement
from alseg.annotate.server import LabellingServer
from alseg.annotate.shares import Shares, deal, open_shares
from alseg.annotate.table import Stale, Table
from alseg.queries.next_step import next_command

__all__ = [
    "Agreement",
    "LabellingServer",
    "Shares",
    "Stale",
    "Table",
    "deal",
    "measure_agreement",
    "next_command",
    "open_shares",
]
