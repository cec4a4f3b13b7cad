"""Signatures: who vouches for an artifact, by Ed25519 over the digest that names its content.

Source: RFC 8032. Mirrors FORMAT.md, section 7. Needs the package cryptography, and only here.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamella import atomic
from lamella.artifact import layout, writer
from lamella.artifact.layout import KEY_BYTES, SIGNATURE, Kind
from lamella.artifact.reader import read_sections
from lamella.errors import ArtifactError, DeviceError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# What is signed begins with these bytes, so that no signature made for something else fits.
DOMAIN = b"lamella artifact signature 1\n"


def keygen(path: str | Path) -> bytes:
    """Makes a key, writes it as PEM (PKCS 8) that only its owner may read, and returns the public.

    Returns:
        The public key, 32 bytes: what an app holds to demand files signed with the other.

    Raises:
        InputError: there is a file already; a key is never overwritten.
        StorageError: the file cannot be written.
        DeviceError: the package cryptography is not installed.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path} exists, and may be a key in use; choose another name")
    with _cryptography():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    atomic.write(path, text, mode=0o600)
    return key.public_key().public_bytes_raw()


def sign(path: str | Path, private_key_file: str | Path, output: str | Path | None = None) -> bytes:
    """Signs an artifact; a signature that it had before is replaced.

    The same file and key always give the same bytes.

    Args:
        path: the artifact, of which every byte is checked first.
        private_key_file: PEM, as `keygen` and `openssl genpkey -algorithm ed25519` write it.
        output: where the signed file goes; without it, it replaces `path`.

    Returns:
        The public key of the signer, 32 bytes.

    Raises:
        InputError: the key cannot be read, or is none of Ed25519.
        ArtifactError: the artifact cannot be read or is damaged.
        StorageError: the signed file cannot be written; what stood there before is untouched.
        DeviceError: the package cryptography is not installed.
    """
    key = _private_key(Path(private_key_file))
    public = key.public_key().public_bytes_raw()
    rows = read_sections(path)
    root = layout.unsigned_root([section for section, _ in rows])
    payloads: writer.Payloads = {
        (section.kind, section.name): (content,)
        for section, content in rows
        if section.kind is not Kind.SIGNATURE
    }
    payloads[Kind.SIGNATURE, SIGNATURE] = (public + key.sign(DOMAIN + root),)
    writer.write(Path(output if output is not None else path), payloads)
    return public


def verify(path: str | Path, public_key: bytes) -> None:
    """Checks every byte of an artifact, and that the owner of a key signed it.

    Raises:
        ArtifactError: the file is damaged, unsigned, signed with another key, or was changed.
        DeviceError: the package cryptography is not installed.
    """
    with _cryptography():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    rows = read_sections(path)
    content = next((bytes(held) for row, held in rows if row.kind is Kind.SIGNATURE), None)
    if content is None:
        raise ArtifactError(f"{path} is not signed; take it from its maker, or sign it")
    signer, signature = content[:KEY_BYTES], content[KEY_BYTES:]
    if signer != public_key:
        raise ArtifactError(
            f"{path} is signed with the key {signer.hex()}, not with {public_key.hex()}; take it "
            "from its maker"
        )
    root = layout.unsigned_root([section for section, _ in rows])
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, DOMAIN + root)
    except InvalidSignature as error:
        raise ArtifactError(
            f"{path}: the signature is not that of this file; it was changed or made up"
        ) from error


def public_key(text: str) -> bytes:
    """Returns the 32 bytes of a public key: 64 hexadecimal digits, or the name of a PEM file.

    Raises:
        InputError: it is neither.
        DeviceError: it is a file, and the package cryptography is not installed.
    """
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    with _cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    key = _pem(Path(text), load_pem_public_key, "64 hexadecimal digits or a public key in PEM")
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{text} holds a key of another kind than Ed25519")
    return key.public_bytes_raw()


def _private_key(path: Path) -> Ed25519PrivateKey:
    with _cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

    def load(text: bytes) -> Any:
        return load_pem_private_key(text, password=None)

    key = _pem(path, load, "a private key in PEM without a password, as `lamella keygen` writes it")
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds a key of another kind than Ed25519; see `lamella keygen`")
    return key


def _pem(path: Path, load: Any, wanted: str) -> Any:
    """Returns what `load` makes of a file."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; give {wanted}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # A TypeError says that the key has a password.
        raise InputError(f"{path} is no key: {error}; give {wanted}") from error


@contextmanager
def _cryptography() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DeviceError(
            "signatures need the package cryptography: pip install 'lamella[signing]'"
        ) from error
