"""Mirrors sdk/lamella/artifact/sign.py: made keys, signed files, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hostile.forge import resign

from lamella import _native
from lamella.artifact import Contents, open_manifest, read, save, sign
from lamella.artifact.inspect import describe
from lamella.errors import ArtifactError, DeviceError, InputError, StorageError

serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
# RFC 8032, section 7.1, test 1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")

REFUSALS = ("is not signed", "is signed with the key", "the signature is not that of this file")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The key of the standard, as openssl writes it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = tmp_path / "key.pem"
    path.write_bytes(
        Ed25519PrivateKey.from_private_bytes(SECRET).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def signed(path: Path, key: Path, tmp_path: Path) -> Path:
    assert sign.sign(path, key, tmp_path / "signed.lamella") == PUBLIC
    return tmp_path / "signed.lamella"


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def verify(path: Path, public: bytes = PUBLIC) -> None:
    """Verifies as the SDK does and as the engine does; both must say the same."""
    try:
        sign.verify(path, public)
    except ArtifactError as error:
        (words,) = (words for words in REFUSALS if words in str(error))
        with pytest.raises(ValueError, match=words):
            _native.ArtifactFile(path.read_bytes()).verify_signature(public, ed25519)
        raise
    _native.ArtifactFile(path.read_bytes()).verify_signature(public, ed25519)


def unsigned_by_the_page(raw: bytes) -> bytes:
    """Takes the signature out of a file by FORMAT.md alone."""
    (count,) = struct.unpack_from("<I", raw, 12)
    out = bytearray(raw[: 64 + 128 * (count - 1)] + raw[64 + 128 * count : -128])
    struct.pack_into("<IQ", out, 12, count - 1, len(out))
    for row in range(64, 64 + 128 * (count - 1), 128):
        (offset,) = struct.unpack_from("<Q", out, row + 8)
        struct.pack_into("<Q", out, row + 8, offset - 128)
    out[32:64] = hashlib.sha256(out[:32] + out[64 : 64 + 128 * (count - 1)]).digest()
    return bytes(out)


def test_a_signed_file_holds_what_was_signed(path: Path, signed: Path, contents: Contents) -> None:
    assert read(signed).program == contents.program
    assert read(signed).manifest == contents.manifest
    assert unsigned_by_the_page(signed.read_bytes()) == path.read_bytes()


def test_the_signature_is_that_of_the_page(path: Path, signed: Path) -> None:
    content = signed.read_bytes()[-128:]
    assert content[:32] == PUBLIC
    assert content[96:] == bytes(32)
    message = b"lamella artifact signature 1\n" + path.read_bytes()[32:64]
    assert len(message) == 61
    assert ed25519(PUBLIC, message, content[32:96])
    verify(signed)


def test_equal_files_and_keys_give_equal_bytes(path: Path, signed: Path, key: Path) -> None:
    before = path.read_bytes()
    sign.sign(path, key)
    assert path.read_bytes() == signed.read_bytes() != before


def test_signing_again_replaces_the_signature(signed: Path, key: Path, tmp_path: Path) -> None:
    first = signed.read_bytes()
    public = sign.keygen(tmp_path / "other.pem")
    assert sign.sign(signed, tmp_path / "other.pem") == public
    verify(signed, public)
    with pytest.raises(ArtifactError, match=f"is signed with the key {public.hex()}, not with"):
        verify(signed)
    sign.sign(signed, key)
    assert signed.read_bytes() == first


def test_every_changed_byte_is_refused(signed: Path) -> None:
    raw = signed.read_bytes()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        signed.write_bytes(changed)
        with pytest.raises(ArtifactError):
            sign.verify(signed, PUBLIC)
        with pytest.raises(ValueError, match=r"."):
            _native.ArtifactFile(bytes(changed)).verify_signature(PUBLIC, ed25519)


def test_a_changed_byte_with_true_checksums_is_refused(signed: Path) -> None:
    raw = bytearray(signed.read_bytes())
    for row in range(64, 64 + 128 * raw[12], 128):
        offset, size = struct.unpack_from("<QQ", raw, row + 8)
        if not size or raw[row] == 1 or raw[row] == 4:  # JSON would be refused as such
            continue
        changed = bytearray(raw)
        changed[offset + size - 1] ^= 1
        signed.write_bytes(resign(changed))
        assert open_manifest(signed).signer is not None
        with pytest.raises(ArtifactError, match="the signature is not that of this file"):
            verify(signed)


def test_a_signature_from_another_file_is_refused(
    signed: Path, contents: Contents, tmp_path: Path, key: Path
) -> None:
    other = tmp_path / "other.lamella"
    save(other, Contents(contents.manifest, {"model.onnx": b"more"}, {}, contents.canary))
    sign.sign(other, key)
    raw = bytearray(other.read_bytes())
    raw[-128:] = signed.read_bytes()[-128:]
    other.write_bytes(resign(raw))
    with pytest.raises(ArtifactError, match="the signature is not that of this file"):
        verify(other)


def test_a_file_without_its_signature_is_refused_by_who_demands_one(signed: Path) -> None:
    signed.write_bytes(unsigned_by_the_page(signed.read_bytes()))
    assert read(signed)
    with pytest.raises(ArtifactError, match="is not signed"):
        verify(signed)


def test_who_is_said_to_have_signed_is_shown(path: Path, signed: Path) -> None:
    assert open_manifest(path).signer is None
    assert describe(path).summary["signed_by"] is None
    assert describe(signed).summary["signed_by"] == PUBLIC.hex()
    assert describe(signed).sections[-1]["section"] == "signature/ed25519"
    assert _native.ArtifactFile(path.read_bytes()).signer() is None
    assert _native.ArtifactFile(signed.read_bytes()).signer() == PUBLIC


def test_a_damaged_file_is_not_signed(path: Path, key: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ArtifactError):
        sign.sign(path, key)
    assert path.read_bytes() == raw


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    path: Path, key: Path, tmp_path: Path
) -> None:
    with pytest.raises(StorageError):
        sign.sign(path, key, tmp_path / "missing" / "x.lamella")


def test_a_made_key_is_its_owners_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    public = sign.keygen(path)
    assert len(public) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists, and may be a key in use"):
        sign.keygen(path)
    assert path.read_bytes() == before


def test_keys_are_those_of_openssl(path: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    assert sign.sign(path, key) == sign.public_key(str(public))
    verify(path, sign.public_key(str(public)))


def test_public_keys_are_digits_or_files() -> None:
    assert sign.public_key(PUBLIC.hex().upper()) == PUBLIC
    with pytest.raises(InputError, match=r"cannot read abc: .* give 64 hexadecimal digits"):
        sign.public_key("abc")


def test_what_is_no_key_is_refused(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"cannot read .*missing.pem"):
        sign.sign(path, tmp_path / "missing.pem")
    bad = tmp_path / "bad.pem"
    bad.write_text("no key\n")
    with pytest.raises(InputError, match=r"bad.pem is no key: .* as `lamella keygen` writes it"):
        sign.sign(path, bad)
    with pytest.raises(InputError, match=r"bad.pem is no key: .* public key in PEM"):
        sign.public_key(str(bad))
    assert path.read_bytes() == before


def test_other_kinds_of_keys_are_refused(path: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    other = X25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private, public = tmp_path / "a.pem", tmp_path / "b.pem"
    form = (pem, serialization.PrivateFormat.PKCS8)
    private.write_bytes(other.private_bytes(*form, serialization.NoEncryption()))
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(other.public_key().public_bytes(pem, kind))
    with pytest.raises(InputError, match=r"a.pem holds a key of another kind than Ed25519"):
        sign.sign(path, private)
    with pytest.raises(InputError, match=r"b.pem holds a key of another kind than Ed25519"):
        sign.public_key(str(public))
    locked = tmp_path / "locked.pem"
    locked.write_bytes(other.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(InputError, match="without a password"):
        sign.sign(path, locked)


def test_without_the_package_the_error_says_what_to_install(
    path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for use in (
        lambda: sign.sign(path, key),
        lambda: sign.verify(path, PUBLIC),
        lambda: sign.keygen(path.parent / "new.pem"),
        lambda: sign.public_key("new.pem"),
    ):
        with pytest.raises(DeviceError, match=r"pip install 'lamella\[signing\]'"):
            use()


def test_reading_needs_no_cryptography() -> None:
    code = "import sys, lamella.artifact; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
