"""BERT's uncased WordPiece, to know how many tokens a text has without the Rust programs.

Normalisation and greedy matching as in Hugging Face's `tokenizers` (BertNormalizer, BertPreTokenizer, WordPiece), whose
numbers it gives; only characters that Python's and its tables of Unicode class differently may be counted otherwise.
"""

import functools
import re
import unicodedata

SPECIAL = re.compile(r"(\[(?:PAD|UNK|CLS|SEP|MASK)\])")
ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
LONGEST_WORD = 100
# what stands between words for certain, and what follows it: the tokens of a text are the sum over its units
UNITS = re.compile(r"[ \t\n]*[^ \t\n]+")
IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def is_ideograph(char):
    return ord(char) >= 0x3400 and any(low <= ord(char) <= high for low, high in IDEOGRAPHS)


def is_punctuation(char):
    return char in ASCII_PUNCTUATION or unicodedata.category(char).startswith("P")


@functools.cache
def cleaned(char):
    """What becomes of a character: nothing, a space, or itself, between spaces if it is a word of its own."""
    category = unicodedata.category(char)
    if char in "\t\n\r" or category.startswith("Z"):
        return " "
    if char == "\ufffd" or category.startswith("C"):
        return ""
    return f" {char} " if is_ideograph(char) else char


def words(text):
    """The words that are looked up: lower case, without accents, each punctuation character by itself."""
    text = unicodedata.normalize("NFD", "".join(map(cleaned, text)))
    text = "".join(char for char in text if unicodedata.category(char) != "Mn").lower()
    text = "".join(f" {char} " if is_punctuation(char) else char for char in text)
    return [word for word in text.split(" ") if word]


class WordPiece:
    def __init__(self, entries):
        self.entries = list(entries)
        self.known = frozenset(self.entries)
        self.cache = {}

    @classmethod
    def load(cls, path):
        """From BERT's vocab.txt, one entry a line."""
        with open(path, encoding="utf-8", newline="\n") as file:
            return cls(line.rstrip("\n") for line in file)

    def pieces(self, word):
        """The longest entry that the word begins with, then the longest `##` entry, and so on; `[UNK]` if none fits."""
        if len(word) > LONGEST_WORD:
            return ["[UNK]"]
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else "##" + word[start:end]
                if piece in self.known:
                    break
            else:
                return ["[UNK]"]
            found.append(piece)
            start = end
        return found

    def tokens(self, text):
        """The tokens of a text, without the `[CLS]` and `[SEP]` that are put around it."""
        found = []
        for part in SPECIAL.split(text):
            if SPECIAL.fullmatch(part):
                found.append(part)
                continue
            for word in words(part):
                if word not in self.cache:
                    self.cache[word] = self.pieces(word)
                found += self.cache[word]
        return found

    def count(self, text):
        return len(self.tokens(text))

    def cut(self, text, most):
        """The beginning of a text that has as many tokens, or as near below as can be. Spaces outside go."""
        kept, left = [], most
        for unit in UNITS.findall(text):
            length = self.count(unit)
            if length > left:
                low, high = 0, len(unit)  # high has too many
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if self.count(unit[:middle]) <= left else (low, middle)
                kept.append(unit[:low])
                break
            kept.append(unit)
            left -= length
        return "".join(kept).strip()
