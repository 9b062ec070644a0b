"""Tag schemes: how labelled spans of a sentence are written as one tag a token.

A span is a run of tokens with a label: an entity, a chunk, a slot. In every scheme `O` stands
outside all spans, and a tag in a span is a prefix and the span's label (`B-PER`; a bare `B` where
there is only one kind of span):

- BIO (also IOB2; Ratnaparkhi 1998): B begins a span, I goes on in it.
- IOB1 (Ramshaw & Marcus 1995): I everywhere, and B only where a span follows directly on another
  with the same label.
- BIOES: as BIO, with E for the last token of a span and S for a span of a single token.
- BILOU (Ratinov & Roth 2009): as BIOES, with L and U for E and S.
- plain: no spans; every token has a label (a part of speech, an activity).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from elman.errors import InputError, nearest

Scheme = Literal["BIO", "IOB1", "BIOES", "BILOU", "plain"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

Bool = NDArray[np.bool_]

_TAG = re.compile(r"([BIESLU])(?:-(.+))?")
# Each scheme's prefixes by their role: first, inside, last and only token of a span.
_ROLES = {"BIO": "BIIB", "IOB1": "IIII", "BIOES": "BIES", "BILOU": "BILU"}
_SAME = {"L": "E", "U": "S"}

# A tag's prefix (BILOU's L and U as E and S) and its label; `("O", "")` outside.
Part = tuple[str, str]
OUTSIDE: Part = ("O", "")


class Span(NamedTuple):
    """The tokens `start` to `end` (not included) have the label."""

    start: int
    end: int
    label: str


class Illegal(NamedTuple):
    """The first tag that cannot stand where it does, and why."""

    token: int
    reason: str


def scheme_of(sentences: Iterable[Sequence[str]]) -> Scheme:
    """Find the scheme that sentences are tagged in.

    The prefixes tell BIOES and BILOU from the rest. BIO and IOB1 have the same tags; the one
    with fewer sentences that break its rules is taken, and BIO where both have as many.

    >>> scheme_of([["B-PER", "I-PER", "O"]]), scheme_of([["I-PER", "O", "I-LOC", "B-LOC"]])
    ('BIO', 'IOB1')
    >>> scheme_of([["S-PER", "O"]]), scheme_of([["DET", "NOUN"]])
    ('BIOES', 'plain')

    Raises:
        InputError: some tags have a prefix and others have none.
    """
    different = Counter(tuple(tags) for tags in sentences)
    seen = sorted({tag for tags in different for tag in tags} - {"O"})
    if not seen:
        return "BIO"
    matches = {tag: match for tag in seen if (match := _TAG.fullmatch(tag))}
    named = [tag for tag, match in matches.items() if match[2]]
    odd = [tag for tag in seen if tag not in matches or (named and tag not in named)]
    prefixes = {match[1] for match in matches.values()}
    if odd and not (named and prefixes & {"B", "I"}):
        return "plain"
    if odd:
        raise InputError(
            f"The tag {named[0]!r} has the prefix of a span, and {odd[0]!r} has none.",
            fix="Write every tag in a span as B-… or I-…, and O outside.",
        )
    if not named and not {"B", "I"} <= prefixes:
        # Single letters are names of labels, unless B and I are both among them.
        return "plain"
    if prefixes & {"L", "U"}:
        return "BILOU"
    if prefixes & {"E", "S"}:
        return "BIOES"
    broken: dict[Scheme, int] = {
        scheme: sum(count for tags, count in different.items() if first_illegal(tags, scheme))
        for scheme in ("BIO", "IOB1")
    }
    return "IOB1" if broken["IOB1"] < broken["BIO"] else "BIO"


def first_illegal(tags: Sequence[str], scheme: Scheme) -> Illegal | None:
    """Find the first tag that cannot stand where it does, or None.

    >>> first_illegal(["O", "I-PER"], "BIO")
    Illegal(token=1, reason="'I-PER' cannot follow 'O' in BIO.")
    >>> first_illegal(["B-PER"], "BIOES").reason
    "The sentence cannot end with 'B-PER' in BIOES."
    """
    _known(scheme)
    if scheme == "plain":
        return None
    before: str | None = None
    for place, tag in enumerate([*tags, None]):
        if tag is not None and _parts(tag, scheme) is None:
            return Illegal(place, f"{tag!r} is not a tag of {scheme}.")
        if not _may_follow(before, tag, scheme):
            if tag is None:
                return Illegal(place - 1, f"The sentence cannot end with {before!r} in {scheme}.")
            if before is None:
                return Illegal(place, f"The sentence cannot begin with {tag!r} in {scheme}.")
            return Illegal(place, f"{tag!r} cannot follow {before!r} in {scheme}.")
        before = tag
    return None


def spans(
    tags: Sequence[str], scheme: Scheme, *, illegal: Literal["refuse", "drop", "repair"] = "refuse"
) -> list[Span]:
    """Read the spans of one sentence.

    Args:
        tags: one a token.
        scheme: how they are written; "plain" has no spans, see `segments`.
        illegal: where tags do not follow the scheme, `"refuse"` raises, `"drop"` takes only
            the spans that are written in full (as seqeval does in strict mode), and `"repair"`
            takes what conlleval would: a span begins wherever the label changes, and after O.

    >>> spans(["B-PER", "I-PER", "O", "B-LOC"], "BIO")
    [Span(start=0, end=2, label='PER'), Span(start=3, end=4, label='LOC')]
    >>> spans(["I-PER", "O", "B-LOC"], "BIO", illegal="drop")
    [Span(start=2, end=3, label='LOC')]
    >>> spans(["I-PER", "O", "B-LOC"], "BIO", illegal="repair")
    [Span(start=0, end=1, label='PER'), Span(start=2, end=3, label='LOC')]

    Raises:
        InputError: tags are illegal and `illegal` is `"refuse"`.
    """
    _known(scheme)
    if scheme == "plain":
        raise InputError("Plain labels have no spans.", fix="Use elman.data.tagging.segments.")
    if illegal == "refuse" and (wrong := first_illegal(tags, scheme)) is not None:
        raise InputError(f"Token {wrong.token + 1}: {wrong.reason}")
    parts = [_parts(tag, scheme) for tag in tags]
    return _as_conlleval(parts) if illegal == "repair" else _in_full(parts, scheme)


def tags_of(found: Iterable[Span], length: int, scheme: Scheme) -> list[str]:
    """Write spans as tags, one for each of `length` tokens.

    >>> tags_of([Span(0, 2, "PER"), Span(2, 3, "PER")], 4, "IOB1")
    ['I-PER', 'I-PER', 'B-PER', 'O']

    Raises:
        InputError: spans overlap, are empty, or reach beyond the sentence.
    """
    _known(scheme)
    if scheme == "plain":
        raise InputError("Plain labels have no spans.", fix="Choose another scheme.")
    tags = ["O"] * length
    before = Span(0, 0, "")
    for span in sorted(found):
        if not 0 <= span.start < span.end <= length:
            raise InputError(
                f"The span {span.start}:{span.end} does not lie in the {length} tokens."
            )
        if span.start < before.end:
            raise InputError(
                f"The spans {before.start}:{before.end} ({before.label}) and "
                f"{span.start}:{span.end} ({span.label}) overlap."
            )
        first, inside, last, only = iter(_ROLES[scheme])
        if scheme == "IOB1" and before.start < before.end == span.start:
            first = only = "B" if before.label == span.label else "I"
        size = span.end - span.start
        prefixes = [only] if size == 1 else [first, *[inside] * (size - 2), last]
        ending = f"-{span.label}" if span.label else ""
        tags[span.start : span.end] = [prefix + ending for prefix in prefixes]
        before = span
    return tags


def convert(tags: Sequence[str], source: Scheme, target: Scheme) -> list[str]:
    """Write the tags of one sentence in another scheme, through their spans.

    >>> convert(["I-PER", "I-PER", "O"], "IOB1", "BIOES")
    ['B-PER', 'E-PER', 'O']

    Raises:
        InputError: the tags are illegal in `source`, or one of the schemes is plain.
    """
    return tags_of(spans(tags, source), len(tags), target)


def segments(labels: Sequence[str]) -> list[Span]:
    """Read runs of equal labels: the segments of plain labels, such as activities.

    >>> segments(["walk", "walk", "sit"])
    [Span(start=0, end=2, label='walk'), Span(start=2, end=3, label='sit')]
    """
    found = []
    at = 0
    for label, run in groupby(labels):
        size = sum(1 for _ in run)
        found.append(Span(at, at + size, label))
        at += size
    return found


@dataclass(frozen=True)
class Legal:
    """Return which tags may follow which, as boolean arrays over a list of K tags.

    Attributes:
        transitions: `(K, K)`; from the tag of the row to the tag of the column.
        starts: `(K,)`; a sentence may begin with the tag.
        ends: `(K,)`; a sentence may end with it.
    """

    transitions: Bool
    starts: Bool
    ends: Bool


def legal(tags: Sequence[str], scheme: Scheme) -> Legal:
    """List the transitions that a scheme allows between tags, for a conditional random field.

    >>> legal(["O", "B-PER", "I-PER"], "BIO").transitions.astype(int)
    array([[1, 1, 0],
           [1, 1, 1],
           [1, 1, 1]])

    Raises:
        InputError: a tag is not of the scheme.
    """
    _known(scheme)
    for tag in tags:
        if scheme != "plain" and _parts(tag, scheme) is None:
            raise InputError(f"{tag!r} is not a tag of {scheme}.")
    return Legal(
        np.array([[_may_follow(one, next_, scheme) for next_ in tags] for one in tags], bool),
        np.array([_may_follow(None, tag, scheme) for tag in tags], bool),
        np.array([_may_follow(tag, None, scheme) for tag in tags], bool),
    )


def allowed_tags(span: Span, length: int, tags: Sequence[str], scheme: Scheme) -> Bool:
    """List the tags with which a sentence has a span: `(length, K)`.

    Given to `elman.nn.crf.CRF.log_probability`, this is the probability of exactly that span,
    whatever stands in the rest of the sentence: neither longer nor shorter, and with no other
    label.

    >>> allowed_tags(Span(0, 1, "PER"), 2, ["O", "B-PER", "I-PER"], "BIO").astype(int)
    array([[0, 1, 0],
           [1, 1, 0]])

    Raises:
        InputError: the span does not lie in the sentence, or the scheme is IOB1 or plain.
    """
    if scheme == "IOB1":
        raise InputError(
            "In IOB1 the first tag of a span depends on the tag before it.",
            fix="Convert the tags to BIO or BIOES.",
        )
    written = tags_of([span], length, scheme)
    mask = np.ones((length, len(tags)), bool)
    inside = slice(span.start, span.end)
    mask[inside] = [[tag == wanted for tag in tags] for wanted in written[inside]]
    if scheme == "BIO" and span.end < length:
        onward = tags_of([Span(0, 2, span.label)], 2, scheme)[1]
        mask[span.end] = [tag != onward for tag in tags]
    return mask


def _known(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise InputError(f"There is no tag scheme {scheme!r}.", fix=nearest(scheme, SCHEMES))


def _parts(tag: str, scheme: Scheme) -> Part | None:
    """A tag's prefix and label; None if it is not of the scheme."""
    if tag == "O":
        return OUTSIDE
    match = _TAG.fullmatch(tag)
    # In IOB1 all roles are I, and B is there too.
    if match is None or match[1] not in _ROLES[scheme] + "B":
        return None
    return _SAME.get(match[1], match[1]), match[2] or ""


def _may_follow(before: str | None, after: str | None, scheme: Scheme) -> bool:
    """Tell whether one tag may follow another; None stands for the ends of the sentence."""
    if scheme == "plain":
        return True
    one = None if before is None else _parts(before, scheme)
    two = None if after is None else _parts(after, scheme)
    (prefix, label), (next_prefix, next_label) = one or OUTSIDE, two or OUTSIDE
    goes_on = prefix != "O" and label == next_label
    if scheme == "BIO":
        return next_prefix != "I" or goes_on
    if scheme == "IOB1":
        return next_prefix != "B" or goes_on
    if prefix in "BI":
        return next_prefix in "IE" and goes_on
    return next_prefix in "OBS"


def _in_full(parts: Sequence[Part | None], scheme: Scheme) -> list[Span]:
    """The spans that are written as the scheme says; other tags in between are as O."""
    found = []
    opened: int | None = None
    closes = scheme in ("BIOES", "BILOU")
    for place, part in enumerate(parts):
        prefix, label = part or OUTSIDE
        before = (parts[place - 1] if place else None) or OUTSIDE
        goes_on = before[0] != "O" and before[1] == label
        if prefix == "O":
            opened = None
        elif scheme == "IOB1":
            if prefix == "B":
                opened = place if goes_on else None
            elif not goes_on or opened is None:
                opened = place
        elif prefix in "BS":
            opened = place
        elif not goes_on:
            opened = None
        if opened is None:
            continue
        after = (parts[place + 1] if place + 1 < len(parts) else None) or OUTSIDE
        if prefix in "ES" if closes else after != ("I", label):
            found.append(Span(opened, place + 1, label))
            opened = None
    return found


def _as_conlleval(parts: Sequence[Part | None]) -> list[Span]:
    """The spans that conlleval reads (Tjong Kim Sang & Buchholz 2000).

    One begins after O, after E and S, at B and S, and wherever the label changes.
    """
    found = []
    opened = 0
    begins = True
    for place, part in enumerate(parts):
        prefix, label = part or OUTSIDE
        if prefix == "O":
            begins = True
            continue
        if begins or prefix in "BS":
            opened = place
        after = (parts[place + 1] if place + 1 < len(parts) else None) or OUTSIDE
        begins = after[0] in "OBS" or after[1] != label or prefix in "ES"
        if begins:
            found.append(Span(opened, place + 1, label))
    return found
