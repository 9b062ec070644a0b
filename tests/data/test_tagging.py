"""Tag schemes: round trips over random spans, seqeval as a judge, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from elman.data.tagging import (
    Span,
    allowed_tags,
    convert,
    first_illegal,
    legal,
    scheme_of,
    segments,
    spans,
    tags_of,
)
from elman.errors import InputError

SPAN_SCHEMES = {"BIO": IOB2, "IOB1": IOB1, "BIOES": IOBES, "BILOU": BILOU}
PREFIXES = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES", "BILOU": "BILU"}
schemes = st.sampled_from(sorted(SPAN_SCHEMES))


@st.composite
def sentences(draw, labels=("PER", "LOC-x", "a.b")):
    """A length, and spans that do not overlap, in order."""
    found, at = [], 0
    for gap, size, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(labels)))
    ):
        found.append(Span(at + gap, at + gap + size, label))
        at += gap + size
    return at + draw(st.integers(0, 2)), found


@st.composite
def any_tags(draw):
    """A scheme, and tags that may break its rules."""
    scheme = draw(schemes)
    tags = ["O", *(f"{p}-{label}" for p in PREFIXES[scheme] for label in "XY")]
    return scheme, draw(st.lists(st.sampled_from(tags), max_size=8))


@given(sentences(), schemes, schemes)
def test_spans_are_the_same_in_every_scheme(sentence, source, target):
    length, found = sentence
    tags = tags_of(found, length, source)
    assert len(tags) == length
    assert first_illegal(tags, source) is None
    for illegal in ("refuse", "drop", "repair"):
        assert spans(tags, source, illegal=illegal) == found
    assert spans(convert(tags, source, target), target) == found
    assert convert(convert(tags, source, target), target, source) == tags


@given(sentences(labels=("",)), schemes)
def test_a_single_kind_of_span_needs_no_name(sentence, scheme):
    length, found = sentence
    tags = tags_of(found, length, scheme)
    assert all(len(tag) == 1 for tag in tags)
    assert spans(tags, scheme) == found


@given(any_tags())
def test_spans_written_in_full_are_those_of_seqeval_in_strict_mode(case):
    scheme, tags = case
    # seqeval reads IOB1 that breaks its rules in a way of its own.
    if scheme == "IOB1" and first_illegal(tags, scheme):
        return
    theirs = [
        Span(one.start, one.end, one.tag)
        for row in Entities([tags], SPAN_SCHEMES[scheme]).entities
        for one in row
    ]
    assert spans(tags, scheme, illegal="drop") == theirs


@given(any_tags())
def test_repaired_spans_are_those_of_seqeval_in_conlleval_mode(case):
    scheme, tags = case
    theirs = [
        Span(start, end + 1, label)
        # It knows no L and U.
        for label, start, end in get_entities(
            [tag.replace("L-", "E-").replace("U-", "S-") for tag in tags]
        )
    ]
    found = spans(tags, scheme, illegal="repair")
    assert found == theirs
    repaired = tags_of(found, len(tags), scheme)
    assert first_illegal(repaired, scheme) is None
    if first_illegal(tags, scheme) is None:
        assert repaired == tags


@given(any_tags())
def test_legal_sequences_are_those_that_the_rules_list(case):
    scheme, tags = case
    names = ["O", *(f"{p}-{label}" for p in PREFIXES[scheme] for label in "XY")]
    rules = legal(names, scheme)
    codes = [names.index(tag) for tag in tags]
    allowed = all(rules.transitions[pair] for pair in itertools.pairwise(codes))
    if codes:
        allowed = allowed and rules.starts[codes[0]] and rules.ends[codes[-1]]
    assert allowed == (first_illegal(tags, scheme) is None)


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["B-PER", "I-PER", "O", "B-LOC"], "BIO"),
        (["O", "O"], "BIO"),
        (["I-PER", "O", "I-LOC"], "IOB1"),
        (["I-PER", "B-PER", "O"], "IOB1"),
        (["B-PER", "E-PER", "S-LOC"], "BIOES"),
        (["B-PER", "L-PER", "U-LOC"], "BILOU"),
        (["B", "I", "O"], "BIO"),
        (["DET", "NOUN", "O"], "plain"),
        (["S", "U", "O"], "plain"),
        (["-LRB-", "PRP$", "NN"], "plain"),
        (["S-Bahn", "walk"], "plain"),
    ],
)
def test_schemes_are_told_apart(tags, scheme):
    assert scheme_of([tags]) == scheme


def test_a_few_errors_do_not_change_the_scheme():
    right = [["B-X", "I-X"], ["O", "B-X"]]
    assert scheme_of([*right, ["I-X", "O"]]) == "BIO"
    assert scheme_of([["I-X", "I-X"], ["O", "I-X"], ["B-X", "O"]]) == "IOB1"


@given(st.lists(sentences(labels=("X",)), min_size=1, max_size=4), st.sampled_from(["BIO", "IOB1"]))
def test_bio_and_iob1_are_told_apart_wherever_they_differ(cases, scheme):
    written = [tags_of(found, length, scheme) for length, found in cases]
    other = "IOB1" if scheme == "BIO" else "BIO"
    if any(first_illegal(tags, other) for tags in written):
        assert scheme_of(written) == scheme


def test_tags_with_and_without_prefix_are_refused():
    with pytest.raises(InputError, match="'B-PER' has the prefix of a span, and 'LOC' has none"):
        scheme_of([["B-PER", "LOC"]])


@given(st.lists(st.sampled_from(["walk", "sit"])))
def test_segments_cover_the_steps_and_differ_from_their_neighbours(labels):
    found = segments(labels)
    assert [label for one in found for label in [one.label] * (one.end - one.start)] == labels
    assert all(a.end == b.start and a.label != b.label for a, b in itertools.pairwise(found))


def test_a_span_is_allowed_to_be_no_longer():
    tags = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    mask = allowed_tags(Span(1, 3, "X"), 4, tags, "BIO")
    expected = np.ones((4, 5), bool)
    expected[1] = [False, True, False, False, False]
    expected[2] = [False, False, True, False, False]
    expected[3, 2] = False
    np.testing.assert_array_equal(mask, expected)
    with pytest.raises(InputError, match="IOB1 the first tag"):
        allowed_tags(Span(0, 1, "X"), 2, tags, "IOB1")


@pytest.mark.parametrize(
    ("tags", "scheme", "token", "reason"),
    [
        (["O", "I-X"], "BIO", 1, "'I-X' cannot follow 'O'"),
        (["B-X", "I-Y"], "BIO", 1, "'I-Y' cannot follow 'B-X'"),
        (["I-X"], "BIO", 0, "cannot begin with 'I-X'"),
        (["B-X"], "IOB1", 0, "cannot begin with 'B-X'"),
        (["O", "B-X"], "BIOES", 1, "cannot end with 'B-X'"),
        (["S-X", "E-X"], "BILOU", 0, "'S-X' is not a tag of BILOU"),
        (["X"], "BIO", 0, "'X' is not a tag of BIO"),
    ],
)
def test_the_first_illegal_tag_is_named(tags, scheme, token, reason):
    found = first_illegal(tags, scheme)
    assert found.token == token
    assert reason in found.reason
    with pytest.raises(InputError, match=f"Token {token + 1}: "):
        spans(tags, scheme)


def test_what_is_no_span_is_refused():
    with pytest.raises(InputError, match="no tag scheme 'IOB2'"):
        spans(["O"], "IOB2")
    with pytest.raises(InputError, match="Plain labels have no spans"):
        spans(["O"], "plain")
    with pytest.raises(InputError, match="Plain labels have no spans"):
        tags_of([], 1, "plain")
    with pytest.raises(InputError, match=r"0:2 \(X\) and 1:3 \(Y\) overlap"):
        tags_of([Span(1, 3, "Y"), Span(0, 2, "X")], 3, "BIO")
    for wrong in (Span(0, 4, "X"), Span(2, 2, "X"), Span(-1, 1, "X")):
        with pytest.raises(InputError, match="does not lie in the 3 tokens"):
            tags_of([wrong], 3, "BIO")
    with pytest.raises(InputError, match="'E-X' is not a tag of BIO"):
        legal(["E-X"], "BIO")
