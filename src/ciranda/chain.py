"""The chain: a bank's record of its own writing, in which nothing can be changed unseen.

Each transaction that wrote anything of money or rights adds one numbered *folio*, as a book of accounts has numbered
leaves. Its contents name every row that the transaction wrote, with the row's digest; its hash covers its contents and
the hash of the folio before. So a row that was altered since differs from its last digest, a folio that was altered
breaks the chain, and whoever works the whole chain out anew ends at another head than the bank's peers hold a copy of.

A row that is written again also shows what it was found as: else a balance that somebody has raised would pass for the
bank's own as soon as the bank itself adds to it.

Bytes, so that anybody can check it with other tools:

- a row is its columns in the schema's order, without the empty ones at its end, as one MessagePack array in the
  shortest form; its digest is its SHA-256. (So a column that is added one day changes no digest of before.)
- contents are `[atoms, strips]`: the distinct parts of all keys, and for each strip of a table its name, its rows' keys
  as places in `atoms`, one row after the other, their digests, and for each the first 8 bytes of the digest that it was
  found with, zeros where it was not looked at; nothing, if that is so of all;
- a folio's hash is SHA-256 of the hash before, its number and its time, both of 8 bytes, and its contents.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from ciranda.identity import Ispb
from ciranda.instant import Instant

DIGEST_BYTES = 32
GONE = bytes(DIGEST_BYTES)
"""In the place of a digest: the row was removed."""

Key = tuple[Any, ...]
Notes = Mapping[str, Mapping[Key, bytes]]
"""What was written: of each strip of a table the rows' keys, and the digest or `GONE`."""
BEFORE_BYTES = 8
"""Enough of a digest: there is one row to hit, and it has to be a row that the bank goes on from."""
UNSEEN = bytes(BEFORE_BYTES)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[Any], list[tuple[str, list[int], bytes, bytes]]]).decode


class Written(NamedTuple):
    """One row in a folio."""

    strip: str
    key: Key
    digest: bytes
    """`GONE`, if it was removed."""
    before: bytes
    """Of the digest that it was found with, the first 8 bytes; `UNSEEN`, if it was not looked at."""


def digest(row: Sequence[Any]) -> bytes:
    end = len(row)
    while row[end - 1] is None:
        end -= 1
    return sha256(_encode(row[:end])).digest()


def packed(key: Key) -> bytes:
    """A key as one value, the same for the same key."""
    return _encode(key)


def unpacked(key: bytes) -> list[Any]:
    decoded: list[Any] = msgspec.msgpack.decode(key)
    return decoded


def first(bank: Ispb) -> bytes:
    """The hash of folio 0, which is empty: where the chain of this bank, and of no other, begins."""
    return sha256(f"ciranda chain {bank}".encode()).digest()


def extended(last: bytes, number: int, at: Instant, contents: bytes) -> bytes:
    """The hash of the folio with this number. PostgreSQL works out the same by itself (`storage/postgresql.py`)."""
    return sha256(b"%b%b%b%b" % (last, number.to_bytes(8), at.to_bytes(8), contents)).digest()


def contents_of(notes: Notes, before: Notes) -> bytes:
    """`before`: of each strip, the first bytes of the digests that rows were found with."""
    atoms: dict[Any, int] = {}
    place = atoms.setdefault
    strips = []
    for name, rows in notes.items():
        places = [place(atom, len(atoms)) for key in rows for atom in key]
        found = before.get(name)
        befores = b"" if found is None else b"".join([found.get(key, UNSEEN) for key in rows])
        strips.append((name, places, b"".join(rows.values()), befores))
    return _encode((list(atoms), strips))


def rows_in(contents: bytes) -> Iterator[Written]:
    """What `contents_of` was given. Raises ValueError if it was not written by it."""
    atoms, strips = _decode(contents)
    for name, places, digests, befores in strips:
        count, rest = divmod(len(digests), DIGEST_BYTES)
        width, odd = divmod(len(places), count) if count else (0, 1)
        befores = befores or UNSEEN * count
        fits = not rest and not odd and width and len(befores) == count * BEFORE_BYTES
        if not fits or not all(0 <= place < len(atoms) for place in places):
            raise ValueError("the contents of a folio do not fit together")
        for row in range(count):
            yield Written(
                strip=name,
                key=tuple(atoms[place] for place in places[row * width : (row + 1) * width]),
                digest=digests[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES],
                before=befores[row * BEFORE_BYTES : (row + 1) * BEFORE_BYTES],
            )


class SignedHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a bank's chain went at some moment: the number and hash of its last folio, which stands for all before
    it. What others can hold against the bank: its signature is over this alone, and anybody can check it."""

    bank: Ispb
    number: int
    hash: bytes
    at: Instant
    """When the bank signed it, by its own clock."""
    public_key: bytes
    """Ed25519, 32 raw bytes: the one it is signed with."""
    signature: bytes = b""

    @property
    def text(self) -> bytes:
        """What is signed."""
        return f"ciranda head\n{self.bank}\n{self.number}\n{self.hash.hex()}\n{self.at}\n".encode()


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A bank's head in another bank's hands."""

    holder: Ispb
    head: SignedHead
