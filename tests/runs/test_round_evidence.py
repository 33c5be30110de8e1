import json

import numpy as np
import pytest

from alseg.runs.round_evidence import RoundEvidence

CONTENT = {
    "format": 1,
    "round": 3,
    "classes": ["road", "sky"],
    "rim": 12.5,
    "images": [{"id": "a/b", "panels": {"score": "round-003/a/b.score.jpg"}}],
    "sums": {"picked_classes": [4.0, 6.0], "picked_void": [1.0]},
}


def test_what_is_read_is_written_again_byte_for_byte():
    text = json.dumps(CONTENT) + "\n"
    found = RoundEvidence.decode(text, lambda name: name)
    assert (found.number, found.classes, found.rim) == (3, ("road", "sky"), 12.5)
    assert found.images == (("a/b", {"score": "round-003/a/b.score.jpg"}),)
    assert np.array_equal(found.sums["picked_classes"], [4, 6])
    assert found.encode().decode() == text


@pytest.mark.parametrize("name", ["format", "round", "classes", "rim", "images", "sums"])
def test_everything_in_the_file_is_needed(name):
    text = json.dumps({key: value for key, value in CONTENT.items() if key != name})
    with pytest.raises(KeyError, match=name):
        RoundEvidence.decode(text, str)
