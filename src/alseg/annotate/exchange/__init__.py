"""The queries of a round as files of labelling tools, and the answers back from them."""

from alseg.annotate.exchange.formats import FORMATS
from alseg.annotate.exchange.incoming import Imported, import_answers
from alseg.annotate.exchange.outgoing import Exported, export_queries

__all__ = ["FORMATS", "Exported", "Imported", "export_queries", "import_answers"]
