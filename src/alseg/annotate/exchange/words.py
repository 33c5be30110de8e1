"""The labels that a person chooses from in a labelling tool, and the answers that they mean."""

from __future__ import annotations

from collections.abc import Sequence

from alseg.config.answer_keys import MIXED, OTHERS, SKIP, VOID
from alseg.errors import ExchangeError, did_you_mean
from alseg.queries.answers import Answer

QUERY = "query"
"""The label of a window that nobody answered yet."""

ATTRIBUTE = "query"
"""The attribute of a box that holds the name of its query."""

QUERY_COLOR = "#ffd700"


_OF_WINDOWS = (MIXED, QUERY)


class Words:
    """The classes of a round and what can be said besides them.

    Attributes:
        all: Every label, in the order in which tools list them: the classes by their numbers, then
            the other answers and ``query``. What is painted is neither mixed nor a ``query``.
    """

    def __init__(self, classes: Sequence[str], *, is_painted: bool = False) -> None:
        """Take the classes by the order of their numbers, and whether they are painted.

        Raises:
            ExchangeError: A class has a name that a labelling tool would mistake.
        """
        for name in classes:
            if name in (*OTHERS, QUERY) or name != name.strip() or not name.isprintable():
                raise ExchangeError(
                    f"The class {name!r} cannot be told apart in a labelling tool; "
                    f"{', '.join(OTHERS)} and {QUERY} have another meaning there, and a name has "
                    "no space around it and only characters that show. Answer on the page instead: "
                    "`alseg annotate RUN`."
                )
        self._is_painted = is_painted
        others = [word for word in (*OTHERS, QUERY) if not (is_painted and word in _OF_WINDOWS)]
        self.all = (*classes, *others)
        self._names = tuple(classes)
        self._numbers = {name: number for number, name in enumerate(classes)}

    def word(self, answer: Answer | None) -> str:
        """Return the label of an answer; None is not answered yet."""
        if answer is None:
            return QUERY
        return self._names[answer] if isinstance(answer, int) else answer.partition(":")[0]

    def answer(self, word: str, where: str) -> Answer | None:
        """Return the answer that a label stands for; None if it is none.

        Raises:
            ExchangeError: There is no such label; the message begins with ``where``.
        """
        word = word.strip()
        if word in self._numbers:
            return self._numbers[word]
        if word == MIXED and self._is_painted:
            raise ExchangeError(
                f"{where}: a whole image is not answered as {MIXED}. Paint each of its classes, or "
                f"answer {VOID} (none of them) or {SKIP} (cannot tell)."
            )
        if word in OTHERS:
            return word
        if word == QUERY:
            return None
        raise ExchangeError(
            f"{where}: no class is called {word!r:.80}.{did_you_mean(word[:80], self.all)} Allowed "
            f"are {', '.join(self.all)}."
        )


def hex_colors(words: Words, colors: Sequence[tuple[int, int, int]]) -> list[str]:
    """Return the colour of every label as ``#rrggbb``, from those of the classes."""
    others = {word: answer.color for word, answer in OTHERS.items()} | {QUERY: QUERY_COLOR}
    classes = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colors]
    return [*classes, *(others[word] for word in words.all[len(classes) :])]
