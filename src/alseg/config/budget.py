"""How much labelling a run may ask for, and how a round divides it among the images.

Every image has a target that grows by equal parts from round to round. What an image has been
asked for less than its target is its *deficit*; deficits follow from all earlier rounds, so
remainders carry over without any state besides the label store.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np
from numpy.typing import NDArray

from alseg.errors import BudgetError

ALLOWED = (
    'A budget is a share of the pool\'s pixels, such as "0.01" or "1%", '
    'regions per image, such as "40 regions", whole images in all, such as "20 images", or answers '
    'in all, such as "500 clicks".'
)
MOST_REGIONS = 10**9
LONGEST = 40
"""Characters that a budget has at most; a number of many thousand takes seconds to read."""
AMOUNT = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*(.*)", re.IGNORECASE | re.ASCII
)
SEPARATED = re.compile(r"\d[_,'\u2019\u202f\u00a0 ]\d")


@dataclass(frozen=True)
class Budget:
    """The labelling of a whole run: a share of the pixels, regions per image, or a number in all.

    Attributes:
        share: Share of the pool's pixels, above 0 and at most 1; None if regions are counted.
        regions_per_image: Regions asked for in every image; None if something else is counted.
        clicks: Answers in all; None if something else is counted. A region takes one, and further
            ones if its parts have to be answered.
        images: Whole images in all; None if something else is counted.
    """

    share: float | None = None
    regions_per_image: int | None = None
    clicks: int | None = None
    images: int | None = None

    def __post_init__(self) -> None:
        values = (self.share, self.regions_per_image, self.clicks, self.images)
        given = [value for value in values if value is not None]
        if len(given) != 1:
            raise BudgetError(f"A budget is one of a share, regions, images or clicks. {ALLOWED}")
        amount = given[0]
        if self.share is None:
            _check_count(amount)
        if not math.isfinite(amount) or amount < 0:
            raise BudgetError(f"The budget {amount} is not a positive number. {ALLOWED}")
        if amount == 0:
            raise BudgetError(
                "A budget of 0 asks for no label at all. "
                "To train without target labels use the protocol source_only."
            )
        if self.share is not None and self.share > 1:
            raise BudgetError(
                f"The budget {self.share:g} is more than every pixel of the pool. "
                f'Did you mean "{self.share:g}%" or "{self.share:g} regions"? {ALLOWED}'
            )

    @classmethod
    def parse(cls, value: str | float | Budget) -> Budget:
        """Read a budget as a person writes it.

        Args:
            value: Such as ``0.01``, ``"1%"``, ``"40 regions"`` or ``"500 clicks"``. A bare number
                is below 1: whether 1 means all pixels or one per cent is for the person to say.

        Raises:
            BudgetError: The value is not a budget, or one that cannot be spent.
        """
        if isinstance(value, Budget):
            return value
        text = _text(value)
        match = AMOUNT.fullmatch(text)
        if match is None or SEPARATED.search(text):
            plainly = " Write numbers without separators." if SEPARATED.search(text) else ""
            raise BudgetError(f"Got the budget {value!r}.{plainly} {ALLOWED}")
        try:
            amount = Decimal(match[1])
        except InvalidOperation as error:
            raise BudgetError(f"Got the budget {value!r}. {ALLOWED}") from error
        unit = match[2].lower()
        if unit == "":
            if amount >= 1:
                _refuse_bare(match[1], amount)
            return cls(share=float(amount))
        if unit == "%":
            if amount > 100:
                raise BudgetError(
                    f"The budget {value!r} is more than every pixel of the pool. {ALLOWED}"
                )
            return cls(share=float(amount / 100))
        if unit.removesuffix("s") in ("region", "click", "image"):
            # Before it becomes an integer, which for 1e999999 would take all memory.
            _check_count(amount)
            if amount != int(amount):
                raise BudgetError(f"Got the budget {value!r}: {unit} are counted whole. {ALLOWED}")
            if unit.startswith("click"):
                return cls(clicks=int(amount))
            if unit.startswith("image"):
                return cls(images=int(amount))
            return cls(regions_per_image=int(amount))
        raise BudgetError(f"The budget {value!r} has the unknown unit {match[2]!r}. {ALLOWED}")

    def __str__(self) -> str:
        if self.share is not None:
            return f"{100 * self.share:g}% of the pixels"
        if self.clicks is not None:
            return f"{self.clicks} click{'' if self.clicks == 1 else 's'} in all"
        if self.images is not None:
            return f"{self.images} image{'' if self.images == 1 else 's'} in all"
        plural = "" if self.regions_per_image == 1 else "s"
        return f"{self.regions_per_image} region{plural} per image"

    @property
    def plain(self) -> float | str:
        """The budget as it is written down: what ``parse`` reads."""
        if self.clicks is not None:
            return f"{self.clicks} clicks"
        if self.images is not None:
            return f"{self.images} images"
        if self.share is None:
            return f"{self.regions_per_image} regions"
        return self.share if self.share < 1 else "100%"

    @property
    def short(self) -> str:
        """The budget as it stands in a name and in a table."""
        if self.share is not None:
            return f"{100 * self.share:g} %"
        if self.clicks is not None:
            return f"{self.clicks:,} clicks"
        if self.images is not None:
            return f"{self.images:,} images"
        return f"{self.regions_per_image:,} regions per image"

    @property
    def counts(self) -> str:
        """What a person counts in: ``pixels``, ``regions``, ``images`` or ``clicks``."""
        return self.unit if self.images is None else "images"

    @property
    def unit(self) -> str:
        """``pixels``, ``regions`` or ``clicks``: what targets and shortfalls are counted in."""
        if self.clicks is not None:
            return "clicks"
        return "regions" if self.share is None else "pixels"

    def region_cost(self, pixels: int) -> int:
        """Return what a region of this many pixels costs, in ``unit``."""
        return 1 if self.share is None else pixels

    def targets(
        self, areas: NDArray[np.int64], round_number: int, rounds: int
    ) -> NDArray[np.float64]:
        """Return what each image shall have been asked for after a round, in ``unit``.

        Args:
            areas: Pixels of each image.
            round_number: The round, from 1.
            rounds: Rounds of the run; each adds the same amount.
        """
        if self.regions_per_image is not None:
            regions = (2 * self.regions_per_image * round_number + rounds) // (2 * rounds)
            return np.full(len(areas), float(regions))
        in_all = self.images if self.clicks is None else self.clicks
        if in_all is not None:
            return np.full(len(areas), in_all * round_number / rounds / len(areas))
        assert self.share is not None
        return self.share * areas * round_number / rounds


def check_affordable(budget: Budget, regions: Sequence[int], pixels: int) -> None:
    """Check that a budget comes to a region of the pool, and to no more images than there are.

    A share of the pool's pixels must be more than half a region, the least that is spent.

    Args:
        budget: What the whole run may ask for.
        regions: The pixels of a region of each image of the pool, at most.
        pixels: The pixels of the pool.

    Raises:
        BudgetError: Hardly a label would be asked for, if any; or the pool has fewer images.
    """
    if budget.images is not None and budget.images > len(regions):
        raise BudgetError(
            f"The budget of {budget} is more than the {len(regions):,} images of the pool. Ask for "
            f"{len(regions):,} or fewer."
        )
    if budget.share is None:
        return
    due, region = budget.share * pixels, min(regions)
    if due <= region / 2:
        raise BudgetError(
            f"The budget of {budget}, which comes to {due:,.0f} pixels of the pool, is not even "
            f"half of one region of {region:,} pixels: hardly a label would be asked for, if any. "
            "Use smaller regions or a larger budget."
        )


def _text(value: object) -> str:
    """Return a budget as text, before anything that takes longer the longer the text is."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BudgetError(f"Got the budget {value!r:.{LONGEST}}. {ALLOWED}")
    if isinstance(value, int) and abs(value) >= 10**LONGEST:
        raise BudgetError(f"Got a budget of more than {LONGEST} digits. {ALLOWED}")
    text = str(value).strip()
    if len(text) > LONGEST:
        raise BudgetError(
            f"Got a budget of {len(text):,} characters, {text[:LONGEST]!r} and more; "
            f"it has {LONGEST} at most. {ALLOWED}"
        )
    return text


def _refuse_bare(text: str, amount: Decimal) -> None:
    if amount == 1:
        raise BudgetError(
            f"The budget {text} could be all pixels of the pool or one per cent of them. "
            f'Write "100%" or "1%". {ALLOWED}'
        )
    units = ("%", " regions") if amount <= 100 else (" regions", " clicks")
    meant = " or ".join(f'"{text}{unit}"' for unit in units)
    hint = f"Did you mean {meant}? " if amount <= MOST_REGIONS else ""
    raise BudgetError(f"The budget {text} is more than every pixel of the pool. {hint}{ALLOWED}")


def _check_count(amount: float | Decimal) -> None:
    if not -MOST_REGIONS <= amount <= MOST_REGIONS:
        raise BudgetError(
            f"Got a budget of {Decimal(amount):.3g}; allowed are 1 to "
            f"{MOST_REGIONS:,} regions, images or clicks. {ALLOWED}"
        )


def by_deficit(
    image: NDArray[np.int64],
    scores: NDArray[np.float64],
    costs: NDArray[np.int64],
    deficits: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Order candidates so that each goes to the image that is then furthest below its target.

    Handing out whole regions in this order keeps every image within about one region of its own
    target in every round, whatever the remainders. Equal deficits go to the higher score, then
    to the earlier image.

    Args:
        image: Image of each candidate, ascending; the candidates of an image best first.
        scores: Score of each candidate.
        costs: Cost of each candidate, at least 1.
        deficits: Of each image, how much its target exceeds what it has been asked for.
    """
    spent = np.cumsum(costs) - costs
    first = np.searchsorted(image, image)
    before = spent - spent[first]
    return np.lexsort((-scores, before - deficits[image]))


def by_score(
    scores: NDArray[np.float64], last: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Order candidates best first; equal scores stay in the order they are given.

    Args:
        scores: Score of each candidate.
        last: Which of them come after all others; None: none does.
    """
    return np.lexsort((-scores,) if last is None else (-scores, last))


def nearest_prefix(costs: NDArray[np.int64], target: float) -> int:
    """Return how many costs to take from the front for the sum nearest to ``target``.

    Of two sums equally near the smaller is taken, so that no tie overspends.
    """
    sums = np.cumsum(costs)
    below = int(np.searchsorted(sums, target, side="right"))
    if below == len(sums):
        return below
    reached = float(sums[below - 1]) if below else 0.0
    return below + int(float(sums[below]) - target < target - reached)
