"""The page that holds all sections."""

from __future__ import annotations

from html import escape
from pathlib import Path

from alseg.compare.cautions import Caution, cautions
from alseg.compare.comparison import Comparison
from alseg.compare.evidence import Evidence
from alseg.compare.report.classes import classes_section
from alseg.compare.report.costs import costs_section
from alseg.compare.report.curves import curves_section
from alseg.compare.report.geometry import geometry_section
from alseg.compare.report.making import making_section
from alseg.compare.report.markup import bullet_list
from alseg.compare.report.picks import picks_section
from alseg.compare.report.places import places_section

STYLE = Path(__file__).with_name("report.css")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the page may load: nothing but what it holds."""


def report_page(comparison: Comparison, evidence: Evidence, click_seconds: float) -> str:
    """Return the report as one HTML file.

    Args:
        comparison: The runs in their places.
        evidence: What they wrote down about their rounds.
        click_seconds: How long a click takes a person, where nobody was timed.
    """
    parts = {
        "curves": ("labels and mIoU", curves_section(comparison)),
        "classes": ("classes", classes_section(comparison, evidence)),
        "picks": ("picks", picks_section(comparison, evidence)),
        "places": ("where picks fall", places_section(comparison, evidence)),
        "costs": ("costs", costs_section(comparison, click_seconds)),
        "geometry": ("geometry", geometry_section(comparison, evidence)),
        "making": ("how it was made", making_section(comparison)),
    }
    links = "".join(f'<li><a href="#{a}">{escape(t)}</a></li>' for a, (t, _) in parts.items())
    body = "".join(text for _, text in parts.values())
    told = "".join(map(_caution, cautions(comparison, evidence)))
    title = comparison.title
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f"<header><h1>{title}</h1>{_about(comparison)}</header>"
        f'<nav aria-label="sections"><ul>{links}</ul></nav>'
        f"<main>{told}{body}</main></body></html>\n"
    )


def _about(comparison: Comparison) -> str:
    variants = ", ".join(comparison.variants) or "none"
    return f"<p>{escape(comparison.domains)}. Variants: {escape(variants)}.</p>"


def _caution(caution: Caution) -> str:
    kind = ' class="warning"' if caution.warns else ""
    return f"<div{kind}><p>{caution.title}:</p>{bullet_list(caution.lines)}</div>"
