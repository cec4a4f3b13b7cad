"""Text from a language model artifact, with the tokenizer that travels inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from lamella.errors import ArtifactError, DeviceError, InputError
from lamella.runtime.decoder import Decoder, TokenSource, open_decoder
from lamella.runtime.sampling import GREEDY, Sampler, Sampling
from lamella.runtime.session import Session

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER = "tokenizer.json"
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def generate(
    session: Session, prompt: str, *, max_new_tokens: int = 64, sampling: Sampling = GREEDY
) -> str:
    """Returns the text that continues a prompt, without the prompt itself.

    Raises:
        InputError: the prompt is empty or too long, or `max_new_tokens` is negative.
        ArtifactError: the artifact has no usable tokenizer.
        DeviceError: the program is not a language model, or gives NaN.
    """
    return "".join(stream(session, prompt, max_new_tokens=max_new_tokens, sampling=sampling))


def stream(
    session: Session, prompt: str, *, max_new_tokens: int = 64, sampling: Sampling = GREEDY
) -> Iterator[str]:
    """Yields the continuation piece by piece; a piece never ends inside a character.

    Raises:
        InputError, ArtifactError, DeviceError: as `generate`; bad arguments raise at once.
    """
    tokenizer = open_tokenizer(session)
    ids = _encode(session, tokenizer, prompt)
    tokens = generate_ids(session, ids, max_new_tokens=max_new_tokens, sampling=sampling)
    return pieces(lambda text: str(tokenizer.decode(text)), ids, tokens)


def generate_ids(
    session: Session,
    ids: Sequence[int],
    *,
    max_new_tokens: int = 64,
    sampling: Sampling = GREEDY,
) -> Iterator[int]:
    """Yields the tokens that continue `ids`, up to an end token, which is not yielded.

    Raises:
        InputError: `ids` is empty or too long, or `max_new_tokens` is negative.
        DeviceError: the program is not a language model, or gives NaN.
    """
    if max_new_tokens < 0:
        raise InputError(f"max_new_tokens must be 0 or more, not {max_new_tokens}")
    if not ids:
        raise InputError("the prompt has no tokens; write at least one word")
    limit = session.manifest.get("generation", {}).get("context_length") or None
    if limit is not None and len(ids) >= limit:
        raise InputError(
            f"the prompt has {len(ids)} tokens; {session.path} holds {limit} with the answer"
        )
    count = max_new_tokens if limit is None else min(max_new_tokens, limit - len(ids))
    ends = frozenset(session.manifest.get("generation", {}).get("eos_token_ids", ()))
    tokens = _tokens(open_decoder(session), ids, sampling)
    return takewhile(lambda token: token not in ends, islice(tokens, count))


def open_tokenizer(session: Session) -> Tokenizer:
    """Returns the tokenizer inside the artifact, with truncation and padding off.

    Raises:
        ArtifactError: there is none, or it is malformed.
        DeviceError: the `tokenizers` package is not installed.
    """
    content = session.attachments.get(TOKENIZER)
    if content is None:
        raise ArtifactError(
            f"{session.path} holds no {TOKENIZER}; pack the model with its tokenizer to make text"
        )
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise DeviceError("text needs the package tokenizers: pip install tokenizers") from error
    try:
        tokenizer = Tokenizer.from_str(bytes(content).decode("utf-8"))
    except Exception as error:  # the package raises bare Exception
        raise ArtifactError(f"{session.path}: {TOKENIZER} is malformed: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def pieces(
    decode: Callable[[list[int]], str], prompt: Sequence[int], tokens: Iterator[int]
) -> Iterator[str]:
    """Yields the text that each token adds, held back while its last character is unfinished.

    Args:
        decode: turns tokens into text; bytes that are no character become U+FFFD.
        prompt: the tokens before; they decide, for example, whether a space comes first.
        tokens: the new tokens.
    """
    # What is decoded again at every token starts at the last piece, so that the cost of a token
    # does not grow with the text.
    recent, known = list(prompt), decode(list(prompt))
    start = len(recent)
    for token in tokens:
        recent.append(token)
        text = decode(recent)
        if len(text) > len(known) and not text.endswith(_UNFINISHED):
            yield text[len(known) :]
            recent = recent[start:]
            start, known = len(recent), decode(recent)
    rest = decode(recent)[len(known) :]
    if rest:
        yield rest


def _encode(session: Session, tokenizer: Tokenizer, prompt: str) -> list[int]:
    ids = list(tokenizer.encode(prompt).ids)
    begin = session.manifest.get("generation", {}).get("bos_token_id")
    return ids or ([] if begin is None else [begin])


def _tokens(decoder: Decoder, ids: Sequence[int], sampling: Sampling) -> Iterator[int]:
    if isinstance(decoder, TokenSource):
        yield from decoder.tokens(ids, sampling)
        return
    sampler, pending = Sampler(sampling), list(ids)
    while True:
        token = sampler.draw(decoder.advance(pending))
        yield token
        pending = [token]
