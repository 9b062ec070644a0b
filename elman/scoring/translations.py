"""How good written answers are: BLEU and chrF of sacrebleu, ROUGE of rouge-score, perplexity, and
the choice of the right reply among others.

What each score is made of is counted for every example, so that resampling examples takes no time
and gives exactly what the libraries give for the resample.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.data.seen import key_of
from elman.errors import InputError, require

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["bleu", "chrf", "rouge", "symbols"]
KINDS: tuple[Kind, ...] = ("bleu", "chrf", "rouge")
EXTRA = "translate"
"""The pip extra with sacrebleu and rouge-score."""
_WORDS, CHARACTERS = 4, 6
"""Longest n-grams of BLEU, in words, and of chrF, in characters."""
_BETA = 2
_BLEU = [f"bleu.{n}" for n in range(2 + 2 * _WORDS)]
_CHRF = [f"chrf.{n}" for n in range(3 * CHARACTERS)]
_EDITS = ["exact", "edits", "symbols"]
_ROUGE = ("rouge1", "rouge2", "rougeL")
_MEANS = [*_ROUGE, "recall_at_1", "recall_at_5"]
_DISTINCT = ("distinct_1", "distinct_2")
_OTHER_LETTERS = 0.01
"""Share of letters beyond ASCII from which ROUGE takes words of any script, without stemming."""
_STEMS = 1 << 16
"""Words whose stems are remembered."""
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")


@dataclass(frozen=True)
class Judge:
    """How outputs are scored: the same for the model and every baseline.

    Attributes:
        kinds: the scores that are computed; `symbols` are accuracy and error rate of sequences of
            symbols with blanks between them.
        lowercase: without regard to case (BLEU and chrF; ROUGE never regards it).
        tokenize: the tokeniser of BLEU, as sacrebleu names them.
        stemmed: ROUGE compares the stems of English words; else words of any script as they are.
    """

    kinds: tuple[Kind, ...] = KINDS
    lowercase: bool = False
    tokenize: str = "13a"
    stemmed: bool = True

    @classmethod
    def of(
        cls, references: Sequence[str], kinds: Sequence[Kind] = KINDS, lowercase: bool = False
    ) -> Judge:
        """Return the judge that fits the script of references.

        Chinese has the tokeniser `zh`; scripts without blanks between words (Japanese, Thai, …)
        `char`.

        >>> Judge.of(["Ein Hund läuft."]).tokenize, Judge.of(["一只狗"]).tokenize
        ('13a', 'zh')
        """
        text = "".join(references)
        letters = sum(map(str.isalpha, text))
        tokenize = "13a"
        if 2 * len(_UNSPACED.findall(text)) > letters or (
            2 * (len(_CHINESE.findall(text)) + len(_UNSPACED.findall(text))) > letters
            and _UNSPACED.search(text)
        ):
            tokenize = "char"
        elif letters and 2 * len(_CHINESE.findall(text)) > letters:
            tokenize = "zh"
        other = sum(not one.isascii() and one.isalpha() for one in text)
        return cls(tuple(kinds), lowercase, tokenize, other <= _OTHER_LETTERS * letters)

    def only(self, metric: str) -> Judge:
        """Return a judge that computes no other kinds of scores than a metric is of.

        >>> Judge().only("rouge1").kinds, Judge(("symbols",)).only("error_rate").kinds
        (('rouge',), ('symbols',))
        """
        kinds = tuple(kind for kind in self.kinds if metric.startswith(kind))
        return replace(self, kinds=kinds or self.kinds)

    def signatures(self) -> dict[str, str]:
        """Return how each score is computed, as sacrebleu writes it, with the versions."""
        said = {}
        if "bleu" in self.kinds:
            bleu = self._bleu(effective_order=False)
            bleu.corpus_score(["a"], [["a"]])
            said["bleu"] = str(bleu.get_signature())
        if "chrf" in self.kinds:
            chrf = _metrics().CHRF(lowercase=self.lowercase)
            chrf.corpus_score(["a"], [["a"]])
            said["chrf"] = str(chrf.get_signature())
        if "symbols" in self.kinds:
            from importlib.metadata import version

            said["error_rate"] = (
                "substitutions, deletions and insertions of symbols for each symbol of the "
                f"references, torchmetrics:{version('torchmetrics')}"
            )
        if "rouge" in self.kinds:
            from importlib.metadata import version

            words = "Porter stems" if self.stemmed else "words of any script"
            said["rouge"] = f"F1, {words}, lowercased, rouge-score:{version('rouge-score')}"
        return said

    def units(self, hypotheses: Sequence[str], references: Sequence[str]) -> pd.DataFrame:
        """Count what the scores are made of, a row an example, for `score`.

        Raises:
            InputError: there are not as many outputs as references.
            MissingExtra: sacrebleu or rouge-score is not installed.
        """
        import pandas as pd

        _same(hypotheses, references)
        parts = []
        if "bleu" in self.kinds:
            counts = self._bleu_counts(hypotheses, references)
            parts.append(pd.DataFrame(counts, columns=_BLEU))
        if "chrf" in self.kinds:
            counts = self._chrf_counts(hypotheses, references)
            parts.append(pd.DataFrame(counts, columns=_CHRF))
        if "rouge" in self.kinds:
            shares = self._rouge(hypotheses, references)
            parts.append(pd.DataFrame(shares, columns=list(_ROUGE)))
        if "symbols" in self.kinds:
            parts.append(pd.DataFrame(self._edits(hypotheses, references), columns=_EDITS))
        return pd.concat(parts, axis=1)

    def _bleu(self, effective_order: bool) -> Any:
        return _metrics().BLEU(
            lowercase=self.lowercase, tokenize=self.tokenize, effective_order=effective_order
        )

    def _bleu_counts(
        self, hypotheses: Sequence[str], references: Sequence[str]
    ) -> NDArray[np.int64]:
        # The effective order changes the score of a sentence, which is not used, not its counts.
        bleu = self._bleu(effective_order=True)
        found = np.zeros((len(hypotheses), len(_BLEU)), np.int64)
        for row, (one, other) in enumerate(zip(hypotheses, references, strict=True)):
            score = bleu.sentence_score(one, [other])
            found[row] = [score.sys_len, score.ref_len, *score.counts, *score.totals]
        return found

    def _chrf_counts(
        self, hypotheses: Sequence[str], references: Sequence[str]
    ) -> NDArray[np.int64]:
        found = np.zeros((len(hypotheses), CHARACTERS, 3), np.int64)
        for row, pair in enumerate(zip(hypotheses, references, strict=True)):
            grams = zip(*(self.characters(text) for text in pair), strict=True)
            for order, (ours, theirs) in enumerate(grams):
                # As sacrebleu: n-grams count only where the reference has some of that length.
                found[row, order] = (
                    sum(ours.values()) if theirs else 0,
                    sum(theirs.values()),
                    sum(min(count, theirs[gram]) for gram, count in ours.items()),
                )
        return found.reshape(len(hypotheses), -1)

    def characters(self, text: str) -> list[Counter[str]]:
        """Return the n-grams of characters that chrF counts, for each length."""
        helpers = require("sacrebleu.metrics.helpers", EXTRA)
        text = text.lower() if self.lowercase else text
        found: list[Counter[str]] = helpers.extract_all_char_ngrams(text, CHARACTERS, False)
        return found

    def words(self) -> Callable[[str], list[str]]:
        """Return what gives the words that ROUGE counts."""
        return _stems().tokenize if self.stemmed else _Words().tokenize

    def _rouge(self, hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        scorer = require("rouge_score.rouge_scorer", EXTRA).RougeScorer(
            list(_ROUGE), tokenizer=_stems() if self.stemmed else _Words()
        )
        found = np.zeros((len(hypotheses), len(_ROUGE)))
        for row, (one, other) in enumerate(zip(hypotheses, references, strict=True)):
            scores = scorer.score(other, one)
            found[row] = [100 * scores[name].fmeasure for name in _ROUGE]
        return found

    def _edits(self, hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
        """Return whether a sequence is right, its edits, and the symbols of its reference."""
        from torchmetrics.functional.text import word_error_rate

        found = np.zeros((len(hypotheses), len(_EDITS)), np.int64)
        for row, pair in enumerate(zip(hypotheses, references, strict=True)):
            one, other = (text.lower() if self.lowercase else text for text in pair)
            many = len(other.split())
            edits = round(float(word_error_rate([one], [other])) * many)
            found[row] = one.split() == other.split(), edits, many
        return found


class _Words:
    """Words of any script, for rouge-score, which else knows the letters a to z only."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.casefold())


class _Stems:
    """Stems of English words, as rouge-score takes them, but of each word once."""

    def __init__(self) -> None:
        self._tokenize = require("rouge_score.tokenize", EXTRA).tokenize
        stemmer = require("nltk.stem.porter", EXTRA).PorterStemmer()
        self.stem = lru_cache(_STEMS)(stemmer.stem)

    def tokenize(self, text: str) -> list[str]:
        found: list[str] = self._tokenize(text, self)
        return found


@cache
def _stems() -> _Stems:
    """Return what finds stems, and remembers them."""
    return _Stems()


def scores(
    hypotheses: Sequence[str], references: Sequence[str], judge: Judge | None = None
) -> dict[str, float]:
    """Return BLEU, chrF and ROUGE of outputs, from 0 to 100.

    BLEU and chrF are those of the whole corpus, ROUGE is the mean F1 of the examples.

    Args:
        hypotheses: the outputs.
        references: what they should be.
        judge: how they are scored; found from the references when None.

    >>> scores(["a dog runs on the grass"], ["a dog runs on the grass"])["bleu"]
    100.00000000000004

    Raises:
        InputError: there are not as many outputs as references.
        MissingExtra: sacrebleu or rouge-score is not installed.
    """
    return score((judge or Judge.of(references)).units(hypotheses, references))


def score(units: pd.DataFrame) -> dict[str, float]:
    """Return the scores of some of the rows of `Judge.units`, and of columns beside them.

    Such columns are `recall_at_1` and `recall_at_5` (`selection_units`), those of
    `distinct_units`, and `nll` with `tokens` and `words`: the nats that the targets cost and how
    many symbols and words they have, from which come `perplexity` and `perplexity_per_word`.
    """
    found: dict[str, float] = {}
    columns = set(units.columns)
    if _BLEU[0] in columns:
        found["bleu"] = _corpus_bleu(units[_BLEU].to_numpy().sum(0))
    if _CHRF[0] in columns:
        found["chrf"] = float(chrf_of(units[_CHRF].to_numpy().sum(0)))
    if set(_EDITS) <= columns:
        right, edits, many = units[_EDITS].to_numpy(np.float64).sum(0)
        found["accuracy"] = right / len(units)
        found["error_rate"] = edits / many
    for name in _MEANS:
        if name in columns:
            found[name] = float(units[name].mean())
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for name, count in (("perplexity", "tokens"), ("perplexity_per_word", "words")):
            if {"nll", count} <= columns:
                found[name] = float(np.exp(units["nll"].sum() / units[count].sum()))
        for name in _DISTINCT:
            if f"{name}.all" in columns:
                all_of_them = units[f"{name}.all"].sum()
                found[name] = float(np.divide(units[f"{name}.different"].sum(), all_of_them))
    return found


def each(units: pd.DataFrame) -> NDArray[np.float64]:
    """Return chrF of each example, by which a report finds the best and the worst, `(n,)`.

    Of sequences of symbols it is 1 less the error rate.
    """
    if set(_EDITS) <= set(units.columns):
        _, edits, many = units[_EDITS].to_numpy(np.float64).T
        return np.asarray(1 - edits / many)
    return chrf_of(units[_CHRF].to_numpy())


def distinct(texts: Sequence[str]) -> dict[str, float]:
    """Return distinct-1 and distinct-2 (Li et al. 2016): different n-grams of words by all.

    >>> distinct(["i do not know", "i do not know"])
    {'distinct_1': 0.5, 'distinct_2': 0.5}
    """
    found = {}
    for order, name in enumerate(_DISTINCT, 1):
        grams = [gram for row in _grams(texts, order) for gram in row]
        found[name] = len(set(grams)) / len(grams) if grams else float("nan")
    return found


def distinct_units(texts: Sequence[str]) -> pd.DataFrame:
    """Count what distinct-1 and distinct-2 are made of, a row a text, for `score`.

    An n-gram that stands in several places is shared out among them in equal parts. The sum over
    all texts is then the number of different ones; that of a resample, which repeats some texts
    and leaves others out, is neither too small nor too large on the average.

    >>> distinct_units(["a b", "a"])["distinct_1.different"].tolist()
    [1.5, 0.5]
    """
    import pandas as pd

    found = {}
    for order, name in enumerate(_DISTINCT, 1):
        grams = _grams(texts, order)
        counts = Counter(gram for row in grams for gram in row)
        shares = [sum(1 / counts[gram] for gram in row) for row in grams]
        found[f"{name}.different"] = np.array(shares, np.float64)
        found[f"{name}.all"] = np.array([len(row) for row in grams], np.float64)
    return pd.DataFrame(found)


def candidates(
    replies: Sequence[str],
    count: int = 10,
    seed: int = 0,
    *,
    dialogues: Sequence[int] | None = None,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Draw, for each reply, others from which it is to be told.

    Args:
        replies: the true ones.
        count: of candidates, the true one among them.
        seed: of the draw.
        dialogues: the number of the dialogue of each reply. No candidate but the true one is said
            anywhere in its dialogue.
        rows: the replies for which others are drawn; all when None.

    Returns:
        The numbers of replies, `(n, count)`; the first of each row is the true one. No two of a
        row are the same text.

    Raises:
        InputError: there are fewer different replies.

    >>> candidates(["a", "b", "A"], 2)[:, 0].tolist()
    [0, 1, 2]
    """
    first: dict[Any, int] = {}
    texts = np.array([first.setdefault(key_of(reply), n) for n, reply in enumerate(replies)])
    different = np.unique(texts)
    numbers = np.arange(len(texts)) if dialogues is None else np.asarray(dialogues)
    members: dict[int, list[int]] = {}
    for row, number in enumerate(numbers.tolist()):
        members.setdefault(number, []).append(row)
    generator = np.random.default_rng(seed)
    asked = range(len(texts)) if rows is None else [int(row) for row in rows]
    found = np.empty((len(asked), count), np.int64)
    for place, row in enumerate(asked):
        own = np.unique(texts[members[int(numbers[row])]])
        others = np.delete(different, np.searchsorted(different, own))
        if len(others) < count - 1:
            apart = "" if dialogues is None else ", without the others of its dialogue"
            raise InputError(
                f"To choose one of {count} replies {count} different ones are needed; there are "
                f"{len(others) + 1}{apart}.",
                fix="Hold out more dialogues.",
            )
        found[place, 0] = row
        found[place, 1:] = generator.choice(others, count - 1, replace=False)
    return found


def selection_units(matrix: ArrayLike) -> pd.DataFrame:
    """Return whether the true reply is the first, or among the first five, of its candidates.

    Args:
        matrix: a score of each candidate, `(n, count)`, more being better; the first of each row
            is the true reply's. Among equals the true one comes as early as chance would have it.

    >>> selection_units([[1.0, 0.5], [0.5, 0.5]])["recall_at_1"].tolist()
    [1.0, 0.5]

    Raises:
        InputError: a score is not a number.
    """
    import pandas as pd

    values = np.asarray(matrix, np.float64)
    if np.isnan(values).any():
        raise InputError("A score of a reply is not a number.")
    true = values[:, :1]
    above, equal = (values > true).sum(1), (values == true).sum(1)
    columns = {k: np.clip((k - above) / equal, 0.0, 1.0) for k in (1, 5)}
    return pd.DataFrame({f"recall_at_{k}": shares for k, shares in columns.items()})


def _corpus_bleu(counts: NDArray[np.int64]) -> float:
    long, short = (int(count) for count in counts[:2])
    right, total = counts[2 : 2 + _WORDS].tolist(), counts[2 + _WORDS :].tolist()
    found = _metrics().BLEU.compute_bleu(right, total, long, short, smooth_method="exp")
    return float(found.score)


def chrf_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return chrF (Popović 2015) of counts `(..., 18)`: of outputs, references and both."""
    ours, theirs, both = np.moveaxis(counts.reshape(*counts.shape[:-1], CHARACTERS, 3), -1, 0)
    there = (ours > 0) & (theirs > 0)
    orders = np.maximum(there.sum(-1), 1)
    precision = np.where(there, both / np.maximum(ours, 1), 0.0).sum(-1) / orders
    recall = np.where(there, both / np.maximum(theirs, 1), 0.0).sum(-1) / orders
    below = _BETA**2 * precision + recall
    shares = (1 + _BETA**2) * precision * recall / np.where(below > 0, below, 1.0)
    return np.asarray(100 * shares, np.float64)


def _grams(texts: Sequence[str], order: int) -> list[list[tuple[str, ...]]]:
    """Return the n-grams of words of each text."""
    found = []
    for text in texts:
        words = text.split()
        found.append(list(zip(*(words[start:] for start in range(order)), strict=False)))
    return found


def _metrics() -> Any:
    return require("sacrebleu.metrics", EXTRA)


def _same(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise InputError(f"There are {len(hypotheses)} outputs for {len(references)} references.")
    if not len(references):
        raise InputError("There is nothing to score.")
