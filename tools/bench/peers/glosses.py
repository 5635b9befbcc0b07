"""The glosses of WordNet, as Debian's package wordnet-base has them."""
import os

PARTS = ("noun", "verb", "adj", "adv")


def read_glosses(directory):
    """One text a synset (117,659 in WordNet 3.0), in the files' order."""
    texts = []
    for part in PARTS:
        path = os.path.join(directory, "data." + part)
        if not os.path.exists(path):
            raise SystemExit(f"make_vectors: no {path}; apt-get install wordnet-base, or say --wordnet DIR")
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.startswith(" "):  # the licence is indented
                    texts.append(line.split(" | ", 1)[1].strip())
    return texts
