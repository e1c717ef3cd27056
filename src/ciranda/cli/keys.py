"""A bank's signing key: shown, and changed for a new one while everybody goes on paying.

Three steps, for all banks must know the new key before anything is signed with it, and must have stopped meeting the
old one before it is forgotten: `rotate` draws it and announces it, `switch` signs with it, `retire` forgets the old.
"""

import asyncio
import base64
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from ciranda import settings
from ciranda.agreement.height import NOTHING
from ciranda.agreement.message import Probe
from ciranda.cli.screen import CommandError, JsonOption, out, show_json, table
from ciranda.peers.transport import HttpTransport, Lost
from ciranda.roster import Member, Roster
from ciranda.settings import (
    NEXT_SIGNING_KEY,
    OLD_SIGNING_KEY,
    SIGNING_KEY,
    BankSettings,
    raw_public,
    read_signing_key,
    write_consortium,
    write_signing_key,
)
from ciranda.tls import Contexts
from ciranda.wire.messages import encode_batch, encode_question
from ciranda.wire.signature import PATH, Seal

PATIENCE_S = 30.0
SETTLING_S = 4.0
"""How much later than the first the last worker of a bank has read what changed."""
_ANSWER_S = 5.0

commands = typer.Typer(no_args_is_help=True, help="A bank's signing key: show, rotate, switch, retire.")

BankTomlArgument = Annotated[Path, typer.Argument(help="The bank's settings.", metavar="BANK_TOML")]


@commands.command("show")
def show(bank_toml: BankTomlArgument, as_json: JsonOption = False) -> None:
    """Show which keys the consortium knows a bank by, and which one it signs with.

    Example: ciranda keys show ./consortium/ipe/bank.toml
    """
    bank = settings.load(bank_toml)
    signing = raw_public(bank.signing_key)
    keys = [
        {"key": _spelt(key), "signs": key == signing, "next": key == bank.member.next_public_key}
        for key in bank.member.public_keys
    ]
    if as_json:
        show_json({"bank": bank.ispb, "roster": bank.roster.version, "keys": keys})
        return
    shown = table("public key", "in the roster", "")
    for key in keys:
        shown.add_row(
            str(key["key"]),
            "next_public_key" if key["next"] else "public_key",
            "signs" if key["signs"] else "",
        )
    out.print(shown)


@commands.command("rotate")
def rotate(bank_toml: BankTomlArgument) -> None:
    """Draw a bank's next key and write it into the roster. Nothing is signed with it yet.

    Give the new roster to all banks, and then: ciranda keys switch

    Example: ciranda keys rotate ./consortium/ipe/bank.toml
    """
    bank = settings.load(bank_toml)
    if bank.member.next_public_key is not None:
        raise CommandError(
            f"{bank.member.name} is changing its key already: ciranda keys switch, or retire, comes next."
        )
    path = bank.folder / NEXT_SIGNING_KEY
    # One that was drawn and never announced is as good as new.
    public_key = raw_public(read_signing_key(path)) if path.exists() else write_signing_key(path)
    _write(bank, replace(bank.member, next_public_key=public_key))
    out.print(f"The next key of {bank.member.name} is {_spelt(public_key)}.")
    out.print(f"Give {bank.consortium} to all banks, and then: ciranda keys switch {bank_toml}")


@commands.command("switch")
def switch(
    bank_toml: BankTomlArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Although a peer cannot be asked, or does not know the key.")
    ] = False,
) -> None:
    """Sign with the next key from now on, once every peer says that it knows it. The old one is still good.

    Example: ciranda keys switch ./consortium/ipe/bank.toml
    """
    bank = settings.load(bank_toml)
    path = bank.folder / NEXT_SIGNING_KEY
    if bank.member.next_public_key is None or not path.exists():
        raise CommandError(f"{bank.member.name} has no next key: ciranda keys rotate comes first.")
    key = read_signing_key(path)
    if raw_public(key) != bank.member.next_public_key:
        raise CommandError(f"{path}: this is not the next key of {bank.member.name} in the roster.")
    ignorant = asyncio.run(_who_refuses(bank, key, 0 if force else PATIENCE_S))
    if ignorant and not force:
        raise CommandError(
            f"Not switched: {'; '.join(ignorant)}. Each needs the roster of version {bank.roster.version}."
        )
    time.sleep(0 if force else SETTLING_S)
    old = bank.folder / OLD_SIGNING_KEY
    old.unlink(missing_ok=True)
    os.link(bank.folder / SIGNING_KEY, old)
    os.replace(path, bank.folder / SIGNING_KEY)
    out.print(f"{bank.member.name} signs with {_spelt(raw_public(key))} from now on.")
    out.print(f"In the end: ciranda keys retire {bank_toml}")


@commands.command("retire")
def retire(bank_toml: BankTomlArgument) -> None:
    """Take a bank's old key out of the roster, after the switch: what it signs is worth nothing any more.

    Give the new roster to all banks.

    Example: ciranda keys retire ./consortium/ipe/bank.toml
    """
    bank = settings.load(bank_toml)
    signing = raw_public(bank.signing_key)
    if bank.member.next_public_key is None or signing != bank.member.next_public_key:
        raise CommandError(
            f"{bank.member.name} still signs with its old key: ciranda keys switch comes first."
        )
    # Each of its workers must have noticed the switch.
    switched = (bank.folder / SIGNING_KEY).stat().st_ctime
    time.sleep(min(SETTLING_S, max(0.0, switched + SETTLING_S - time.time())))
    _write(bank, replace(bank.member, public_key=signing, next_public_key=None))
    (bank.folder / OLD_SIGNING_KEY).unlink(missing_ok=True)
    out.print(f"{bank.member.name} is known by {_spelt(signing)} alone.")
    out.print(f"Give {bank.consortium} to all banks.")


async def _who_refuses(bank: BankSettings, key: Ed25519PrivateKey, patience_s: float) -> list[str]:
    """The peers that do not take a word signed with this key, and why. They are asked again for a while."""
    transport = HttpTransport(Contexts(bank).calls)
    await transport.open()
    try:
        give_up = time.monotonic() + patience_s
        while True:
            peers = [peer for peer in bank.roster.peers_of(bank.ispb) if peer.standing != "left"]
            said = await asyncio.gather(*(_refusal(bank, key, peer, transport) for peer in peers))
            refusals = [refusal for refusal in said if refusal is not None]
            if not refusals or time.monotonic() >= give_up:
                return refusals
            await asyncio.sleep(1)
    finally:
        await transport.close()


async def _refusal(
    bank: BankSettings, key: Ed25519PrivateKey, peer: Member, transport: HttpTransport
) -> str | None:
    seal = Seal(bank.ispb, key, bank.roster, os.urandom(8).hex())
    # It shows no heights: a command has written nothing.
    body = encode_batch(bank.ispb, peer.ispb, NOTHING, NOTHING, [encode_question(Probe())])
    headers = seal.sign_request(peer.ispb, body, int(time.time()))
    try:
        async with asyncio.timeout(_ANSWER_S):
            response = await transport.post(peer.peer_url + PATH, headers, body)
    except (Lost, TimeoutError):
        return f"{peer.name} cannot be asked"
    return None if response.status == 200 else f"{peer.name} does not know the key"


def _write(bank: BankSettings, member: Member) -> None:
    write_consortium(bank.consortium, with_member(bank.roster, member))


def with_member(roster: Roster, member: Member) -> Roster:
    """The next version of the roster, with this entry in the place of the one before, or at its end."""
    return replace(roster, version=roster.version + 1, members={**roster.members, member.ispb: member})


def _spelt(key: bytes) -> str:
    return base64.b64encode(key).decode()
