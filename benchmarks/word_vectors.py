"""Word vectors from the texts of the data sets, for figures of `tag` that read them.

    pip install gensim
    python benchmarks/word_vectors.py --data FOLDER --out runs/vectors.txt

E-mails (aeslc), dialogues, reviews, questions and captions, and the training and development
sentences of wnut17 without their tags; nothing of its test part. Skip-gram with negative samples
(Mikolov et al. 2013) by gensim, 100 numbers a word, some five minutes on one core. The same seed
gives the same vectors only with PYTHONHASHSEED set.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

TOKEN = re.compile(r"https?://\S+|[@#]?\w+(?:['’]\w+)?|\.{2,}|[^\w\s]")
SENTENCE = re.compile(r"\n|(?<=[.!?])\s")
FOLDERS = (
    *("rotten_tomatoes/*", "sst2/*", "banking77/*.csv", "chatterbot_english/*.yml"),
    *("flickr8k_2000/captions*", "multi30k_en_de/*.en*"),
)


def plain(word: str) -> str:
    """Return a word in lower case with digits as 0, as the tagger's vocabulary has it."""
    return re.sub(r"\d", "0", word.lower())


def texts(data: Path) -> Iterator[str]:
    """Yield the texts of all sources but wnut17."""
    with gzip.open(data / "aeslc/train.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            mail = json.loads(line)
            yield mail["body"]
            yield mail["subject"]
    for line in (data / "dailydialog/dialogues_1k.txt").open(encoding="utf-8"):
        yield line.replace("__eou__", "\n")
    yield read(data / "dailydialog/dialogues_validation.txt.gz")
    for pattern in FOLDERS:
        for file in sorted(data.glob(pattern)):
            if "README" not in file.name:
                yield read(file)


def read(file: Path) -> str:
    """Return a text file, unpacked; bytes that are not UTF-8 are replaced."""
    raw = file.read_bytes()
    return (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8", "replace")


def sentences(data: Path) -> list[list[str]]:
    """Return all sentences as words, those of wnut17 twice."""
    found = []
    for text in texts(data):
        for line in SENTENCE.split(text):
            words = [plain(word) for word in TOKEN.findall(line)]
            if len(words) > 2:
                found.append(words)
    for part in ("train", "dev"):
        for block in read(data / f"wnut17/{part}.conll").split("\n\n"):
            words = [plain(line.split("\t")[0]) for line in block.splitlines() if line.strip()]
            found += [words] * 2 if words else []
    return found


def main() -> None:
    """Learn the vectors and write them as text."""
    from gensim.models import Word2Vec

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/vectors.txt"))
    asked = parser.parse_args()
    found = sentences(asked.data)
    random.Random(0).shuffle(found)
    print(f"{len(found):,} sentences, {sum(map(len, found)):,} words")
    model = Word2Vec(
        found,
        vector_size=100,
        window=4,
        sg=1,
        negative=8,
        min_count=3,
        epochs=8,
        workers=1,
        seed=0,
    )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    model.wv.save_word2vec_format(str(asked.out))
    print(f"{len(model.wv):,} vectors in {asked.out}")


if __name__ == "__main__":
    main()
