"""How the variants of a comparison are called, each beside the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from alseg.config.variants import Variant


def variant_names(variants: Iterable[Variant]) -> dict[Variant, str]:
    """Name variants by their strategy, and by what else tells them apart.

    Of what variants of a strategy differ in, the value that most variants of the comparison have
    is left unsaid, so that at most one of the strategy is.
    """
    details = {variant: dict(variant.details) for variant in variants}
    protocols = {variant.protocol for variant in details}
    alike: dict[str, str | None] = {"protocol": protocols.pop()} if len(protocols) == 1 else {}
    names = {}
    for variant in details:
        same = [own for other, own in details.items() if other.strategy == variant.strategy]
        unsaid = dict(alike)
        for name in {name for own in same for name in own}:
            if len({own.get(name) for own in same}) > 1:
                values = Counter(own.get(name) for own in details.values())
                value, count = values.most_common(1)[0]
                # Nothing is called so: where no value is that of most, each is said.
                unsaid[name] = value if 2 * count > len(details) else ""
            else:
                unsaid[name] = same[0].get(name)
        names[variant] = variant.name(unsaid)
    return names
