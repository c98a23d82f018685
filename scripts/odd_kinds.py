"""The kinds of odd texts. A kind is a function that gives a piece, put in a row until there are enough tokens."""

import base64
import itertools
import json
import math
import random

from wordpiece import ASCII_PUNCTUATION, SPECIAL

LANGUAGES = ("english", "german", "chinese", "russian", "arabic", "hindi", "japanese", "korean", "greek")
CODE = ("rust", "python", "c", "javascript", "sql", "shell")
OTHERS = ("numbers", "emoji", "control", "base64", "latex", "logs")
RANDOM = ("random-words", "random-tokens")
MORE = ("joined", "json", "urls", "html", "letters", "punctuation", "case", "typos")
KINDS = LANGUAGES + CODE + OTHERS + RANDOM + MORE
UNSPACED = ("chinese", "japanese")

REPEATED_TOKENS = 200
MARKERS = ["[MASK]", "[UNK]", "[SEP]", "[CLS]", "[PAD]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SYLLABLES = "ka lo min ter su vra dex on pi quo app log img user api data".split()
# the tokenizer removes them: control, formatting and private characters, U+FFFD
INVISIBLE = [chr(code) for code in (*range(9), 11, 12, *range(14, 32), *range(127, 160), 0xE0041, 0x10FFFD)]
INVISIBLE += "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2069"
INVISIBLE += "\ue000\uf8ff\ufeff\ufffd"
# some go as accents do, some stay
MARKS = [chr(mark) for mark in range(0x300, 0x330)] + ["\ufe0f", "\u20e3"]
SPACES = [*"\t\r\n\u00a0\u1680\u2003\u2009\u2028\u2029\u202f\u205f\u3000"]
SIGNS = sorted(ASCII_PUNCTUATION) + [*"…—“”«»¿¡、。「」•†‰"]


class Bad(Exception):
    """A file cannot be used."""


def read_snippets(path):
    """Sections of odd_texts.txt by kind: lines of prose and emoji, blocks of code."""
    sections = {}
    for section in path.read_text(encoding="utf-8").split("=== ")[1:]:
        kind, _, body = section.partition("\n")
        by_line = kind in LANGUAGES or kind == "emoji"
        sections[kind] = [part.strip("\n") for part in body.split("\n" if by_line else "\n\n") if part.strip()]
    return sections


class Odd:
    """Makes odd texts; `makers` has a function for each kind."""

    def __init__(self, wordpiece, snippets, sentences):
        self.wordpiece, self.snippets, self.sentences = wordpiece, snippets, sentences
        entries = wordpiece.entries
        alone = [entry for entry in entries if not SPECIAL.fullmatch(entry) and wordpiece.tokens(entry) == [entry]]
        self.words = [entry for entry in alone if len(entry) > 1 and entry.isascii() and entry.isalpha()]
        self.signs = [entry for entry in alone if len(entry) == 1 and entry.isascii()]
        self.foreign = [entry for entry in alone if not entry.isascii()]
        self.pieces = [entry for entry in entries if entry.startswith("##") and len(entry) > 2]
        if not (self.words and self.signs and self.foreign and self.pieces):
            raise Bad("the vocabulary lacks words, signs, other scripts or `##` pieces; give an uncased BERT's")
        self.makers = {kind: getattr(self, kind.replace("-", "_"), None) or self.snippet(kind) for kind in KINDS}

    def text(self, rng, maker, tokens):
        """A text of as many tokens, or a few less where the last word cannot be cut there."""
        parts, have = [], 0
        # parts that run together count less than each by itself, so all is counted once more at the end
        while have < tokens or self.wordpiece.count("".join(parts)) < tokens:
            parts.append(maker(rng))
            have += self.wordpiece.count(parts[-1])
        text = self.wordpiece.cut("".join(parts), tokens)
        return text if self.wordpiece.count(text) else rng.choice(self.words)

    def repeated(self, seed, tokens):
        """Makers that write one random token again and again, as many as asked for."""
        rng, part = random.Random(f"{seed} repeated tokens"), tokens / REPEATED_TOKENS
        chosen = []
        for entries, wanted in ((MARKERS, 5), (self.signs, 20), (self.foreign, 30), (self.words, 110)):
            chosen += [entry + " " for entry in rng.sample(entries, math.ceil(wanted * part))]
        pieces = map(self.piece_again, rng.sample(self.pieces, len(self.pieces)))
        chosen += itertools.islice(filter(None, pieces), math.ceil(35 * part))
        return [lambda _, written=written: written for written in rng.sample(chosen, tokens)]

    def piece_again(self, entry):
        """A word of many times the piece `##xyz`, or none where the tokenizer finds other pieces in it."""
        word = entry[2:] * max(2, 48 // len(entry[2:]))
        tokens = self.wordpiece.tokens(word)
        return word + " " if tokens.count(entry) >= 3 * len(tokens) / 4 else None

    def snippet(self, kind):
        """All of a section in random order: sentences or blocks."""
        section, between = self.snippets[kind], "" if kind in UNSPACED else "\n" if kind in CODE else " "
        return lambda rng: between.join(rng.sample(section, len(section))) + between

    def joined(self, rng):
        return rng.choice(self.sentences) + rng.choice(" \n")

    def prose(self, rng):
        return rng.choice(self.snippets["english"])

    def numbers(self, rng):
        n, m, x = rng.randrange(10 ** rng.randint(1, 12)), rng.randrange(1, 100), rng.random()
        day = f"{rng.randint(1900, 2099)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        forms = [
            str(n),
            f"{n:,}",
            f"-{n}",
            f"{x:.8f}",
            f"{n * x:.2f}",
            f"{x:.3e}",
            f"{n:#x}",
            f"{n:b}"[:24],
            f"{x:.1%}",
        ]
        forms += [f"${n:,}.{m:02}", f"€ {n % 10000}", day, day.replace("-", "/"), f"{m % 24}:{m % 60:02}:{n % 60:02}"]
        forms += [
            f"{n % 97}/{m}",
            f"+{m} {rng.randrange(1000):03} {rng.randrange(10**7):07}",
            f"{n % 99} x {m} =",
            f"{m}²½",
        ]
        forms += [
            ".".join(str(rng.randrange(256)) for _ in range(4)),
            "".join(chr(0x660 + int(digit)) for digit in str(n)),
        ]
        forms += [f"{m}th", "".join(rng.choices("IVXLCDM", k=4)), f"{x:.12f}", f"v{m}.{n % 10}.{n % 100}"]
        return rng.choice(forms) + rng.choice((" ", " ", ", ", "\n", "\t", "; "))

    def emoji(self, rng):
        one, run = rng.choice(self.snippets["emoji"]), rng.choices(self.snippets["emoji"], k=rng.randint(2, 6))
        forms = (one, one, "".join(run), " ".join([one] * rng.randint(2, 9)), one + rng.choice(self.words))
        return rng.choice(forms) + " "

    def control(self, rng):
        def hidden(most):
            return "".join(rng.choices(INVISIBLE, k=rng.randint(1, most)))

        word = rng.choice(self.words)
        marked = "".join(char + "".join(rng.choices(MARKS, k=3)) for char in word)
        forms = (word + hidden(4), f"{hidden(8)} {word}", hidden(3).join(word) + " ", marked + " ")
        forms += (word + rng.choice(SPACES) * rng.randint(1, 5), f"{word}\x1b[31m{hidden(2)}\x1b[0m ")
        return rng.choice(forms)

    def base64(self, rng):
        encoded = base64.b64encode(rng.randbytes(rng.choice((12, 30, 48, 57, 57)))).decode()
        return rng.choice(("", "", "", "data:image/png;base64,", "Authorization: Basic ")) + encoded + "\n"

    def logs(self, rng):
        day, clock = (
            f"2023-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
            f"{rng.randrange(24):02}:{rng.randrange(60):02}",
        )
        stamp = f"{day}T{clock}:{60 * rng.random():06.3f}Z"
        word, other, n, code = *rng.choices(self.words, k=2), rng.randrange(99999), f"{rng.getrandbits(64):016x}"
        name = "".join(rng.choices(SYLLABLES, k=2))
        level = rng.choice(("INFO", "WARN", "ERROR", "DEBUG", "TRACE"))
        address = ".".join(str(rng.randrange(256)) for _ in range(4))
        status = rng.choice((200, 301, 404, 500))
        forms = (
            f"{stamp} {level} [{name}-{n % 32}] {word} took {n} ms, id={code}",
            f'{address} - - [{stamp}] "GET /{name}/{n % 999}?q={word} HTTP/1.1" {status} {n}',
            f"[{1e5 * rng.random():12.6f}] {name}: segfault at {code[4:]} ip {code} error {n % 8}",
            f"    at com.{name}.{word.title()}.{other}({name.title()}.java:{n % 2000})",
            f'level={level.lower()} ts={stamp} caller={name}.go:{n % 500} msg="{word} {other}" err=EOF',
        )
        return rng.choice(forms) + "\n"

    def json(self, rng):
        def value(depth):
            forms = [rng.randrange(10**6), round(rng.random(), 6), rng.choice((True, False, None))]
            forms += [" ".join(rng.choices(self.words, k=rng.randint(1, 5))), f"{rng.getrandbits(128):032x}"]
            if depth:
                forms += [named(depth - 1)] * 3 + [[value(depth - 1) for _ in range(rng.randint(1, 4))]]
            return rng.choice(forms)

        def named(depth):
            return {rng.choice(self.words): value(depth) for _ in range(rng.randint(1, 4))}

        return json.dumps(named(2), indent=rng.choice((None, None, 2))) + rng.choice("\n,")

    def urls(self, rng):
        def name():
            return rng.choice((rng.choice(self.words), "".join(rng.choices(SYLLABLES, k=2)), str(rng.randrange(9999))))

        path = "/".join(name() for _ in range(rng.randint(1, 5)))
        query = "&".join(f"{name()}={name()}" for _ in range(rng.randrange(4)))
        ending = rng.choice(("com", "org", "io", "co.uk", "de"))
        host = f"{rng.choice(('www.', 'cdn.', ''))}{rng.choice(self.words)}.{ending}"
        page = f"https://{host}/{path}{'?' if query else ''}{query}"
        forms = (page, page, f"{name()}.{name()}@{host}", f"/usr/{path}.{name()}", f"C:\\{name()}\\{name()}.dll")
        return rng.choice(forms) + rng.choice(" \n")

    def html(self, rng):
        tag, n = rng.choice(("div", "p", "span", "li", "td", "h2")), rng.randrange(2000)
        name, other = rng.choices(self.words, k=2)
        forms = (
            f'<{tag} class="{name} {other}-{n % 12}" id="{name}{n}">{self.prose(rng)}</{tag}>',
            f'<a href="{self.urls(rng).strip()}" target="_blank" rel="noopener">{name}</a>',
            f'<img src="/{name}.jpg" alt="{other}" width="{n}"/>&nbsp;&amp;&#{rng.randrange(9999)};',
            f"<style>.{name}{{margin:0 {n % 40}px;color:#{rng.getrandbits(24):06x};display:flex}}</style>",
            f"<!-- {name} --><br/><br/><table><tr><td>{n}</td></tr></table>",
        )
        return rng.choice(forms) + "\n"

    def letters(self, rng):
        """One character again and again, as words of every length; above 100 a word is not looked up any more."""
        char, word = rng.choice([*LETTERS, *"0123456789", rng.choice(self.foreign)[0]]), rng.choice(self.words)
        forms = (char * rng.randint(3, 20), char * 101, " ".join(char * rng.randint(5, 40)), "ha" * rng.randint(3, 30))
        return rng.choice((*forms, word + word[-1] * rng.randint(3, 30))) + " "

    def punctuation(self, rng):
        sign, mixed = rng.choice("!?.,-_*=#~;:|/\\\"'"), "".join(rng.choices(SIGNS, k=rng.randint(3, 30)))
        smile = rng.choice((":-) ", "?! ", "... ", "-- ", "/* ")) * rng.randint(2, 9)
        return rng.choice((sign * rng.randint(3, 60), mixed, smile, rng.choice(self.words) + sign * 3)) + rng.choice(
            ("", " ")
        )

    def case(self, rng):
        """Shouted, alternating, spaced out, with digits for letters, or without spaces."""
        sentence = self.prose(rng)
        loud, spaced = sentence.upper(), " ".join(sentence.replace(" ", ""))
        alternating = "".join(
            pair for both in itertools.zip_longest(loud[::2], sentence[1::2], fillvalue="") for pair in both
        )
        digits = loud.translate(str.maketrans("AEIOST", "431057"))
        return rng.choice((loud, spaced, alternating, digits, sentence.title().replace(" ", ""))) + rng.choice(
            (" ", "!!! ")
        )

    def typos(self, rng):
        """Prose with letters swapped, left out, doubled or others."""
        letters = list(self.prose(rng))
        for _ in range(len(letters) // rng.randint(4, 12)):
            at, change = rng.randrange(len(letters) - 1), rng.randrange(4)
            if change == 0:
                letters[at], letters[at + 1] = letters[at + 1], letters[at]
            else:
                letters[at] = ("", letters[at] * 2, rng.choice(LETTERS))[change - 1]
        return "".join(letters) + " "

    def random_words(self, rng):
        return rng.choice(self.words) + " "

    def random_tokens(self, rng):
        """Any entry of the vocabulary; a `##` piece stands at the end of what is before it."""
        entry = rng.choice(self.wordpiece.entries)
        return entry[2:] if entry.startswith("##") else " " + entry
