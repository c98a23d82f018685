#!/usr/bin/env python3
"""Makes the fixture of tests/it/tokenisation.rs: texts, small tokenizer folders, and what transformers makes of each text in each.

    python3 -m venv v && v/bin/pip install "transformers==4.57.6"
    v/bin/python datasets/tests/tokenisation/make.py          # writes texts.json, folders and expected/ anew
    v/bin/python datasets/tests/tokenisation/make.py --only-ids OUT   # reads texts and folders as they are; writes OUT/NAME.txt

The same seed gives the same texts; the vocabularies are learned, and may come out otherwise each time. expected/NAME.txt has a line a text: a digest of the ids and segments; for the first
50 texts also both in full, so that a failure can be read.
"""

import argparse
import hashlib
import json
import random
import shutil
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).resolve().parent
COUNT, IN_FULL = 3000, 50

SCRIPTS = {
    "English": "the film was a quiet wonder and nobody Wanted it to End so they stayed unbelievably late watching credits "
    "McDonald's don't re-release state-of-the-art U.S. COVID naïve",
    "European": "Ça été déjà Étienne œuvre Straße ÜBER größer niño mañana İstanbul ılık çocuğun Žluťoučký kůň příšerně "
    "Łódź źdźbło Việt Nam tiếng cà phê Þórr smørrebrød",
    "Cyrillic": "Вчера вечером мы смотрели новый фильм Ёлка йод Київ їжак щука Београд",
    "Greek": "Χθες το βράδυ είδαμε μια καινούργια ταινία ΣΟΦΟΣ ΐδιος άνθρωπος",
    "Arabic": "شاهدنا أمس فيلما جديدا عن ساعي بريد مُحَمَّد الرَّحْمٰن ٱلله",
    "Hebrew": "אתמול ראינו סרט חדש שָׁלוֹם עולם",
    "Devanagari": "कल रात हमने एक नई फ़िल्म देखी ज़िन्दगी क्षत्रिय",
    "Thai": "เมื่อวานเราดูหนังใหม่ น้ำ ที่ โรงหนัง",
    "Chinese": "昨天晚上我们去看了一部新电影 画面很美 𠀀𠮷 豈 㐀",
    "Japanese": "昨日の夜 映画を見ました カタカナ ｶﾞﾗｽ がくせい プログラム",
    "Korean": "어젯밤 우리는 새 영화를 보았다 한국어 ㅋㅋㅋ",
}
ODD = [
    "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\ufffd", "\u0000", "\u0007", "\u001b", "\u0085", "\u00a0",
    "\u2009", "\u3000", "\u2028", "\u2029", "\t", "\n", "\r\n", "\u202e", "\u200f", "e\u0301", "A\u030a", "\u0301", "\ufb01",
    "ﬀ", "①", "Ⅷ", "ｆｕｌｌ", "½", "…", "—", "“q”", "¿", "！", "。", "😀", "👍🏽", "👩‍👩‍👧", "🇫🇷", "❤️", "\ue000", "\U0010fffd",
    "\U000e0041", "𝔄𝔟", "ǅ", "ẞ", "ŉ", "ﷺ", "\u1e9e", "K", "Å", "\u0345", "a" * 101, "$", "^", "`", "+=<>|~", "()", "__", "#",
]
MARKED = [
    "[MASK]", "[SEP]", "[CLS]", "[UNK]", "[PAD]", "[mask]", "<mask>", "<s>", "</s>", "<unk>", "<pad>", " <mask>", "<mask> ",
    "covidnineteen", "CovidNineteen", "covidnineteens", "[NAME]", "[name]", "a[NAME]b", " [NAME] ", "[unused1]", "lefty", "righty",
    " lefty ", " righty ", "whole", "wholesome", "Étoile", "étoile", "etoile", "<ent>", "##s", "▁film", "Ġfilm",
]


def draw(rng):
    """A text of a few words of one or more scripts, with odd characters and tokens among them."""
    words = rng.choice(list(SCRIPTS.values())).split()
    if rng.random() < 0.3:
        words = words + rng.choice(list(SCRIPTS.values())).split()
    text = ""
    for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 5, 6, 8, 10])):
        kind = rng.random()
        piece = rng.choice(ODD) if kind < 0.18 else rng.choice(MARKED) if kind < 0.28 else rng.choice(words)
        if rng.random() < 0.08:
            piece = rng.choice([str.upper, str.lower, str.title])(piece)
        if rng.random() < 0.05:
            piece = str(rng.randrange(10 ** rng.randrange(1, 7)))
        text += piece + rng.choice([" "] * 8 + ["", "", ".", ",", "  ", "-"])
    return text if rng.random() < 0.2 else text.strip(" ")


def texts():
    rng = random.Random(13)
    alone = ["", " ", *ODD, *MARKED, *(script for script in SCRIPTS.values())]
    made = [[text] for text in alone]
    while len(made) < COUNT:
        made.append([draw(rng), draw(rng)] if rng.random() < 0.25 else [draw(rng)])
    return made


def shown(text):
    """As JSON; what cannot be seen is escaped."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in written)


def corpus(change=lambda text: text):
    """Every word often enough to be learned whole or in pieces, each at a frequency of its own."""
    rng = random.Random(7)
    words = [word for script in SCRIPTS.values() for word in script.split()]
    return [change(" ".join(rng.choices(words, k=12))) for _ in range(1500)]


def word_pieces(lowercase, size=1000, strip=None):
    """The words of a WordPiece vocabulary, without duplicates, in the order of their numbers."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False))
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


def bert(words, lowercase, strip=None, chinese=True):
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip, handle_chinese_chars=chinese)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", words.index("[SEP]")), ("[CLS]", words.index("[CLS]")))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    return tokenizer


def write(name, model, tokenizer=None, words=None, **files):
    folder = HERE / "folders" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model}))
    if tokenizer:
        (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    if words:
        (folder / "vocab.txt").write_text("".join(word + "\n" for word in words), encoding="utf-8")
    for file, value in files.items():
        (folder / f"{file}.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def token(content, **flags):
    usual = dict(lstrip=False, normalized=True, rstrip=False, single_word=False, special=False)
    return dict(content=content, **{**usual, **flags})


def folders():
    """Each contradicts, leaves out or adds something."""
    shutil.rmtree(HERE / "folders", ignore_errors=True)
    lower, cased = word_pieces(True), word_pieces(False)
    write("vocabulary", "bert", words=lower)
    write("cased", "bert", words=cased, tokenizer_config=dict(do_lower_case=False, tokenizer_class="BertTokenizer"),
          special_tokens_map=dict(cls_token="[CLS]", mask_token=token("[MASK]", normalized=False, lstrip=True)))
    write("contradicted", "bert", bert(cased, True), tokenizer_config=dict(do_lower_case=False))
    write("accents", "bert", bert(word_pieces(True, strip=False), True), tokenizer_config=dict(
        strip_accents=False, tokenize_chinese_chars=False, do_lower_case=True, tokenizer_class="BertTokenizerFast"))
    write("unstated", "bert", bert(lower, False, chinese=False))
    at = len(lower)
    write("added-json", "bert", words=lower, added_tokens={"covidnineteen": at, "[NAME]": at + 1, "Étoile": at + 2},
          special_tokens_map=dict(additional_special_tokens=["[NAME]", "[unused1]"]))
    decoder = {str(at): token("covidnineteen"), str(at + 1): token("[NAME]", special=True, normalized=False),
               str(at + 2): token("lefty", lstrip=True, normalized=False), str(at + 3): token("righty", rstrip=True),
               str(at + 4): token("whole", single_word=True), str(at + 5): token("<ent>", lstrip=True, rstrip=True, special=True),
               str(lower.index("[CLS]")): token("[CLS]", special=True, normalized=False)}
    write("added-decoder", "bert", words=lower, tokenizer_config=dict(added_tokens_decoder=decoder, tokenizer_class="BertTokenizer"),
          special_tokens_map=dict(cls_token="[unused1]"))

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=900, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    bpe.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    write("roberta", "roberta", bpe, tokenizer_config=dict(model_max_length=512))

    pieces = Tokenizer(models.Unigram())
    pieces.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces.train_from_iterator(corpus(), trainers.UnigramTrainer(
        vocab_size=900, special_tokens=special, unk_token="<unk>", show_progress=False))
    pieces.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    at = pieces.get_vocab_size()
    write("unigram", "bert", pieces, tokenizer_config=dict(
        tokenizer_class="PreTrainedTokenizerFast", cls_token="<s>", sep_token="</s>", mask_token="<mask>", add_prefix_space=True,
        added_tokens_decoder={str(at): token("covidnineteen", single_word=True), str(at + 1): token("[NAME]", special=True),
                              "4": token("<mask>", lstrip=True, special=True, normalized=False)}))


def ids(folder, all_texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines = []
    for at, text in enumerate(all_texts):
        # a list of one: given by itself, an empty second text would be taken for none
        encoded = tokenizer(*([part] for part in text))
        numbers = encoded["input_ids"][0]
        both = [numbers, encoded.get("token_type_ids", [[0] * len(numbers)])[0]]
        written = json.dumps(both, separators=(",", ":"))
        digest = hashlib.sha256(written.encode()).hexdigest()[:6]
        lines.append(f"{digest} {written}" if at < IN_FULL else digest)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only-ids", type=Path, metavar="OUT")
    out = parser.parse_args().only_ids
    if not out:
        listed = ",\n".join(shown(text) for text in texts())
        (HERE / "texts.json").write_text(f"[\n{listed}\n]\n", encoding="utf-8")
        folders()
        out = HERE / "expected"
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(exist_ok=True)
    all_texts = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))
    for folder in sorted((HERE / "folders").iterdir()):
        (out / f"{folder.name}.txt").write_text(ids(folder, all_texts), encoding="utf-8")


if __name__ == "__main__":
    main()
