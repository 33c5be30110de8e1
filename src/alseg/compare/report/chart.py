"""Charts as SVG in the page: told apart by colour, mark and dash, also on grey paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

COLOURS = ("#0b5fa5", "#c1440e", "#2a7d2e", "#7b3fa0", "#9a6a00", "#00767a", "#a8114b")
DASHES = ("", "7 3", "2 3", "9 3 2 3")
SYMBOLS = 5
WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 18, 14, 46
TEXT = "#222"
MOST_TICKS = 7
NEAR = 8.0
"""Bars that are less than so many pixels apart are moved out of one another's way,"""
STEP, MOST_STEPS = 4.0, 24.0
"""by so many pixels, and all together by no more than that."""


class Look(NamedTuple):
    """How a curve is drawn, so that it can be told from the others on grey paper, too."""

    colour: str
    dash: str
    symbol: int


GREY, BLACK = Look("#777777", "6 3", 0), Look("#111111", "", 0)


def look(place: int) -> Look:
    """Return how the variant of a place in the order of variants is drawn."""
    return Look(COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)], place % SYMBOLS)


class Mark(NamedTuple):
    """A point of a curve: where it is, and how far up and down its bar reaches (NaN for none)."""

    x: float
    y: float
    reach: float = math.nan


@dataclass(frozen=True)
class Curve:
    """A named line.

    Attributes:
        name: What it is called in the legend.
        marks: The points it goes through.
        look: How it is drawn.
        is_level: Whether it goes across the whole chart, at the height of its only mark.
    """

    name: str
    marks: Sequence[Mark]
    look: Look
    is_level: bool = False


class Axis:
    """Turns values into pixels along one axis.

    Args:
        values: What has to fit on the axis.
        first: Pixel of the lowest value.
        last: Pixel of the highest value.
        logarithmic: Whether equal ratios take equal room; needs values above 0.
    """

    def __init__(
        self, values: Sequence[float], first: float, last: float, logarithmic: bool = False
    ) -> None:
        known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
        low, high = min(known), max(known)
        self.logarithmic = logarithmic
        if logarithmic:
            self.ticks = _log_ticks(low, high)
            low, high = low / 1.15, high * 1.15
        else:
            # What is all but the same should look the same.
            margin = max((high - low) * 0.06, abs(high) * 0.02) or 1.0
            low, high = low - margin, high + margin
            self.ticks = _even_ticks(low, high)
        self._low, self._high = self._scaled(low), self._scaled(high)
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (self._scaled(value) - self._low) / (self._high - self._low)
        return round(self._first + share * (self._last - self._first), 1)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def line_chart(
    name: str, curves: Sequence[Curve], x_label: str, y_label: str, logarithmic: bool = False
) -> str:
    """Return a chart of curves with a legend.

    Args:
        name: What it shows, for who cannot see it.
        curves: The curves; every bar reaches as far down as up.
        x_label: What lies across.
        y_label: What lies upwards.
        logarithmic: Whether the values across are spread by their ratios.
    """
    marks = [mark for curve in curves for mark in curve.marks]
    across = [mark.x for mark in marks if math.isfinite(mark.x)]
    upwards = [mark.y + side * _or_0(mark.reach) for mark in marks for side in (-1, 1)]
    x = Axis(across, LEFT, WIDTH - RIGHT, logarithmic and min(across, default=0) > 0)
    y = Axis(upwards, HEIGHT - BOTTOM, TOP)
    parts = [_frame(x, y, x_label, y_label)]
    for curve in curves:
        parts.append(_level(curve, y) if curve.is_level else _curve(curve, curves, x, y))
    entries = [(c.name, c.look, True, not c.is_level) for c in curves]
    return _figure(name, parts, entries)


def scatter_chart(
    name: str,
    groups: Sequence[tuple[str, Look, Sequence[tuple[float, float, str]]]],
    x_label: str,
    y_label: str,
) -> str:
    """Return a chart of named points, the values across spread by their ratios if they can be.

    Args:
        name: What it shows.
        groups: Name and look of a group, and its points: x, y and what the point is called.
        x_label: What lies across.
        y_label: What lies upwards.
    """
    points = [point for _, _, group in groups for point in group]
    across = [px for px, _, _ in points]
    x = Axis(across, LEFT, WIDTH - RIGHT, min(across, default=0) > 0)
    y = Axis([py for _, py, _ in points], HEIGHT - BOTTOM, TOP)
    parts = [_frame(x, y, x_label, y_label)]
    for _, style, group in groups:
        for px, py, words in group:
            parts.append(_symbol(style, x(px), y(py)))
            # To the left where there is no room to the right.
            end = x(px) > WIDTH - 90
            anchor, shift = ("end", -7) if end else ("start", 7)
            parts.append(
                f'<text x="{x(px) + shift}" y="{y(py) - 5}" class="s" text-anchor="{anchor}">'
                f"{escape(words)}</text>"
            )
    return _figure(name, parts, [(group, style, False, True) for group, style, _ in groups])


def _figure(name: str, parts: Sequence[str], legend: Sequence[tuple[str, Look, bool, bool]]) -> str:
    """Return a chart; its legend says of each name how it looks, and if it has line and marks."""
    entries = []
    for text, style, has_line, has_marks in legend:
        drawn = _stroke(style, [(2, 6), (32, 6)]) if has_line else ""
        drawn += _symbol(style, 17, 6) if has_marks else ""
        entries.append(
            f'<li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">'
            f"{drawn}</svg>{escape(text)}</li>"
        )
    drawn = "".join(parts)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">'
        f'{drawn}</svg><ul class="legend">{"".join(entries)}</ul>'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )


def _frame(x: Axis, y: Axis, x_label: str, y_label: str) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in y.ticks:
        at = y(tick)
        parts.append(f'<path d="M{LEFT} {at}H{right}" class="g"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{tick:g}</text>')
    for tick in x.ticks:
        at = x(tick)
        parts.append(f'<path d="M{at} {bottom}v5" class="a"/>')
        parts.append(f'<text x="{at}" y="{bottom + 18}" text-anchor="middle">{_short(tick)}</text>')
    middle, centre = (LEFT + right) / 2, (TOP + bottom) / 2
    return (
        "".join(parts)
        + f'<path d="M{LEFT} {TOP}V{bottom}H{right}" class="a"/>'
        + f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
        + f'<text transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">'
        + f"{escape(y_label)}</text>"
    )


def _level(curve: Curve, y: Axis) -> str:
    mark, right = curve.marks[0], WIDTH - RIGHT
    level, reach = y(mark.y), _or_0(mark.reach)
    high, low = y(mark.y + reach), y(mark.y - reach)
    band = (
        f'<rect x="{LEFT}" y="{high}" width="{right - LEFT}" '
        f'height="{round(low - high, 1)}" fill="{curve.look.colour}" opacity=".12"/>'
    )
    return band + _stroke(curve.look, [(LEFT, level), (right, level)])


def _curve(curve: Curve, curves: Sequence[Curve], x: Axis, y: Axis) -> str:
    marks = [mark for mark in curve.marks if math.isfinite(mark.x) and math.isfinite(mark.y)]
    places = [(round(x(m.x) + _aside(curve, m, curves, x), 1), y(m.y)) for m in marks]
    parts = [_stroke(curve.look, places)] if places else []
    for mark, (at, height) in zip(marks, places, strict=True):
        if math.isfinite(mark.reach):
            low, high = y(mark.y - mark.reach), y(mark.y + mark.reach)
            parts.append(
                f'<path d="M{at} {low}V{high}M{at - 4} {low}h8M{at - 4} {high}h8" '
                f'fill="none" stroke="{curve.look.colour}"/>'
            )
        parts.append(_symbol(curve.look, at, height))
    return "".join(parts)


def _aside(curve: Curve, mark: Mark, curves: Sequence[Curve], x: Axis) -> float:
    """Return how far to the right a mark is drawn, so that its bar hides no other's."""
    beside = [
        other
        for other in curves
        if not other.is_level
        and any(math.isfinite(m.reach) and abs(x(m.x) - x(mark.x)) < NEAR for m in other.marks)
    ]
    if not any(other is curve for other in beside):
        return 0.0
    place = next(i for i, other in enumerate(beside) if other is curve)
    return min(STEP, MOST_STEPS / len(beside)) * (place - (len(beside) - 1) / 2)


def _stroke(look: Look, places: Sequence[tuple[float, float]]) -> str:
    path = "L".join(f"{x} {y}" for x, y in places)
    dashed = f' stroke-dasharray="{look.dash}"' if look.dash else ""
    return f'<path d="M{path}" fill="none" stroke="{look.colour}" stroke-width="1.8"{dashed}/>'


def _symbol(look: Look, x: float, y: float) -> str:
    colour = look.colour
    kinds = (
        f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>',
        f'<rect x="{x - 3.5}" y="{y - 3.5}" width="7" height="7" fill="{colour}"/>',
        f'<path d="M{x} {y - 5}l5 8.5h-10z" fill="{colour}"/>',
        f'<path d="M{x} {y - 5}l5 5l-5 5l-5 -5z" fill="#fff" stroke="{colour}" '
        'stroke-width="1.6"/>',
        f'<circle cx="{x}" cy="{y}" r="4" fill="#fff" stroke="{colour}" stroke-width="1.6"/>',
    )
    return kinds[look.symbol]


def _even_ticks(low: float, high: float) -> list[float]:
    """Return round numbers within two ends, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / MOST_TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**power for power in powers for m in (1, 2, 5)]
    return [tick for tick in ticks if low / 1.1 <= tick <= high * 1.1]


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 10 * size:
            return f"{number / size:g} {letter}"
    return f"{number:g}"


def _or_0(number: float) -> float:
    return number if math.isfinite(number) else 0.0
