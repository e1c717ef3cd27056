"""`ciranda audit --chain`: proof that no row of a bank's database was altered behind its back.

Nobody is asked: the databases themselves are read, whether or not their banks run. What each bank in the folder holds
of the others' heads is held against them, and so is what was brought along from elsewhere.
"""

import base64
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace
from rich.console import Group
from rich.text import Text

from ciranda.chain import Copy, SignedHead
from ciranda.cli.screen import CommandError
from ciranda.client import Head
from ciranda.identity import Ispb, parse_ispb
from ciranda.instant import parse_rfc3339, rfc3339
from ciranda.roster import Roster
from ciranda.settings import BANK, CONSORTIUM, Book, SettingsError, book_of, load_consortium
from ciranda.storage.proof import Found, Proof, Unreadable, What, kept_copies, prove
from ciranda.wire.head import is_known, is_signed

TOLD_MAX = 20
"""Of what was found in one bank so much is told to a person; --json tells more."""


class Chains(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out."""

    proofs: list[Proof]
    unread: dict[str, str]
    """The banks whose databases could not be read, and why."""
    unsigned: list[Head]
    """Copies that the bank which they name has not signed: they prove nothing against it, and somebody made them up."""
    unknown: list[Head]
    """Copies signed with a key that the roster does not have, or not any more; compared all the same."""
    unproven: list[Found]
    """Where such a copy is not what the chain has. Anybody can make a key: by itself it proves nothing against a bank."""

    @property
    def code(self) -> int:
        """0: all holds. 1: something does not. 2: it cannot be told: a database was not read, or a key is not known."""
        # What is only counted counts too: made-up copies cannot crowd out what is found.
        if self.unsigned or any(proof.found or proof.more for proof in self.proofs):
            return 1
        return 2 if self.unread or self.unproven else 0


def examine(place: Path, files: Sequence[Path]) -> tuple[Chains, Roster]:
    """`place`: a consortium's folder, or one bank's folder or its bank.toml. `files`: heads that peers have exported.

    Raises SettingsError, CommandError.
    """
    copies = [_copy(head, file) for file in files for head in _heads(file)]
    roster, books, unread = _books(place)
    for book in books:
        try:
            copies += kept_copies(book.database)
        except Unreadable as error:
            unread[book.ispb] = str(error)
    # Verifying is dear: once for each.
    verified = {copy: is_signed(copy.head) for copy in dict.fromkeys(copies)}
    signed = [copy for copy, good in verified.items() if good]
    unknown = [copy for copy in signed if not is_known(copy.head, roster)]
    proofs: list[Proof] = []
    unproven: list[Found] = []
    for book in books:
        if book.ispb in unread:
            continue
        try:
            held = [copy for copy in signed if copy.head.bank == book.ispb]
            proof, doubtful = _weighed(prove(book.database, book.ispb, held), unknown)
            proofs.append(proof)
            unproven += doubtful
        except Unreadable as error:
            unread[book.ispb] = str(error)
    chains = Chains(
        proofs=proofs,
        unread=unread,
        unsigned=[_head(copy) for copy, good in verified.items() if not good],
        unknown=[_head(copy) for copy in unknown],
        unproven=unproven,
    )
    return chains, roster


def _books(place: Path) -> tuple[Roster, list[Book], dict[str, str]]:
    """The consortium, the books that are to be read, and those that are not there. Raises SettingsError."""
    if place.is_file() or (place / BANK).exists():
        book = book_of(place if place.is_file() else place / BANK)
        return load_consortium(book.consortium), [book], {}
    roster = load_consortium(place / CONSORTIUM)
    books: list[Book] = []
    unread: dict[str, str] = {}
    for member in roster.members.values():
        try:
            books.append(book_of(place / member.slug / BANK))
        except SettingsError as error:
            unread[member.ispb] = str(error)
    return roster, books, unread


def _weighed(proof: Proof, unknown: Sequence[Copy]) -> tuple[Proof, list[Found]]:
    """The proof without what only copies under unknown keys say; and that."""
    doubtful = {
        (copy.holder, copy.head.number, copy.head.at) for copy in unknown if copy.head.bank == proof.bank
    }
    unproven = [
        found
        for found in proof.found
        if found.what is What.HEAD and (found.holder, found.folio, found.at) in doubtful
    ]
    return replace(proof, found=[found for found in proof.found if found not in unproven]), unproven


# Heads as `ciranda peer heads --json` writes them.


class _Heads(msgspec.Struct, kw_only=True):
    heads: list[Head]


def _heads(file: Path) -> list[Head]:
    """Raises CommandError."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Heads).heads
    except (OSError, msgspec.MsgspecError) as error:
        raise CommandError(f"{file}: these are no heads: {error}.") from error


def _copy(head: Head, file: Path) -> Copy:
    """Raises CommandError."""
    try:
        return Copy(
            holder=parse_ispb(head.holder),
            head=SignedHead(
                bank=parse_ispb(head.bank),
                number=head.number,
                hash=bytes.fromhex(head.hash),
                at=parse_rfc3339(head.at),
                public_key=base64.b64decode(head.public_key),
                signature=base64.b64decode(head.signature),
            ),
        )
    except ValueError as error:
        raise CommandError(f"{file}: these are no heads: {error}.") from error


def _head(copy: Copy) -> Head:
    head = copy.head
    return Head(
        bank=head.bank,
        holder=copy.holder,
        number=head.number,
        hash=head.hash.hex(),
        at=rfc3339(head.at),
        public_key=base64.b64encode(head.public_key).decode(),
        signature=base64.b64encode(head.signature).decode(),
    )


# For a person.


def told(chains: Chains, roster: Roster) -> Group:
    def name(ispb: str) -> str:
        member = roster.members.get(Ispb(ispb))
        return ispb if member is None else member.name

    lines = [_finding(f"{name(ispb)} could not be read: {why}") for ispb, why in chains.unread.items()]
    for proof in chains.proofs:
        holds = not proof.found
        lines.append(
            Text.assemble(
                ("✓ ", "green") if holds else ("✗ ", "red"), (name(proof.bank), "bold"), f"  {_sum(proof)}"
            )
        )
        lines += [_finding(found.sentence) for found in proof.found[:TOLD_MAX]]
        more = proof.more + max(0, len(proof.found) - TOLD_MAX)
        if more:
            lines.append(_finding(f"and {more} more"))
    lines += [
        _finding(
            f"a head of {name(head.bank)}, folio {head.number}, in the hands of {name(head.holder)}, has not its signature"
        )
        for head in chains.unsigned[:TOLD_MAX]
    ]
    lines += [
        _finding(
            f"{found.holder} shows another folio {found.folio}, under a key that the roster does not have"
        )
        for found in chains.unproven[:TOLD_MAX]
    ]
    if chains.unknown:
        lines.append(
            Text(f"     {len(chains.unknown)} copies are signed with keys that the roster does not have now")
        )
    if chains.code == 0:
        lines.append(Text("All holds: every row is as it was written, and in its place.", style="bold green"))
    return Group(*lines)


def _sum(proof: Proof) -> str:
    compared = f"{proof.rows} rows, {proof.head} folios, {proof.copies} copies of its heads"
    if not proof.found:
        return f"{compared}; the last folio is {proof.hash[:16]}… of {rfc3339(proof.at)}"
    return f"{compared}; the first that is not as it was written:"


def _finding(sentence: str) -> Text:
    return Text(f"     {sentence}", style="red")
