"""Holds the banks' books against each other, and against what their customers were told."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.system.answers import Json, found
from tests.system.consortium import Bank, Consortium, Customer, ciranda
from tests.system.patience import eventually
from tests.system.workload import Order, Town, ask_again

REST_S = 60.0


def reconcile(
    circle: Consortium, town: Town, orders: Sequence[Order], returning: Sequence[Order] | None = None
) -> Counter[str]:
    """Once all banks run again: asserts that all is well, and gives how many payments ended in which way.

    `returning`: whose customers ask again. All, unless it is said; and all who were not told the end.
    """
    for bank in circle.banks:
        bank.wait_ready()
    check_rest(circle.banks)
    ask_again(orders if returning is None else returning)
    check_rest(circle.banks)
    outcomes = check_one_outcome(circle.banks)
    check_what_was_told(circle, orders, outcomes)
    check_accounts(circle, town, [order for order in orders if outcomes[order.told[0][0]] == "settled"])
    check_positions(circle.banks)
    audit = ciranda("audit", circle.folder, "--json")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert json.loads(audit.stdout)
    return Counter(outcomes[order.told[0][0]] for order in orders)


def check_rest(banks: Sequence[Bank]) -> None:
    """In the end nothing is in doubt, and nothing is held (I7)."""

    def at_rest() -> None:
        for bank in banks:
            audit = bank.audit()
            assert (audit["payments"]["in_doubt"], audit["held"]) == (0, 0), f"{bank.slug}: {audit}"
            assert audit["in_doubt"] == [], f"{bank.slug}: {audit}"

    eventually(at_rest, within_s=REST_S)


def check_nobodys_money_waits(bank: Bank, lost: Bank, town: Town) -> None:
    """At `bank` nothing is in doubt but what only the lost bank can have decided, its own customers' affair; and
    nothing is held of any customer."""
    audit = bank.audit()
    assert all(doubt["witnesses"] == [lost.ispb] for doubt in audit["in_doubt"]), audit
    for address, owner in town.owner.items():
        if owner.bank is bank:
            assert owner.account(address)["held"] == 0, address


def check_one_outcome(banks: Sequence[Bank]) -> dict[str, str]:
    """Every payment has one digest and one outcome, settled or refused, in all banks that know it (I2)."""
    seen: dict[str, Json] = {}
    for bank in banks:
        for id, payment in bank.payments().items():
            assert payment["status"] in ("settled", "refused"), (bank.slug, payment)
            assert seen.setdefault(id, payment) == payment, f"{bank.slug} contradicts the others"
    return {id: payment["status"] for id, payment in seen.items()}


def check_what_was_told(circle: Consortium, orders: Sequence[Order], outcomes: dict[str, str]) -> None:
    """What was told settled is settled in every bank concerned; what was told refused is settled in none (I5). All
    answers under one key are about one payment (I6)."""
    known = {bank: bank.payments() for bank in circle.banks}
    ids = set()
    for order in orders:
        assert order.is_decided, f"nobody told the end of {order}"
        (id,) = {id for id, _ in order.told}
        (told,) = {status for _, status in order.told if status != "pending"}
        assert id not in ids, f"two orders made one payment: {id}"
        ids.add(id)
        assert outcomes[id] == told, order
        if told == "settled":
            concerned = {
                circle.bank_of(leg[side]) for leg in order.transfers for side in ("source", "target")
            }
            for bank in concerned | {order.payer.bank}:
                assert id in known[bank], f"{bank.slug} does not know {id}, which it has a part in"


def check_accounts(circle: Consortium, town: Town, settled: Sequence[Order]) -> None:
    """Each account has what the settled payments make of its opening balance, and its statement says the same."""
    booked: dict[str, Counter[int]] = {
        account: Counter([opening] if opening else []) for account, opening in town.opening.items()
    }
    for order in settled:
        for leg in order.transfers:
            booked[leg["source"]][-leg["amount"]] += 1
            booked[leg["target"]][leg["amount"]] += 1
    for address, owner in town.owner.items():
        account = owner.account(address)
        assert account["balance"] == account["available"] == sum(booked[address].elements()) >= 0, address
        check_statement(owner, address, booked[address])
    assert [bank.audit()["sum"] for bank in circle.banks] == [0] * len(circle.banks)
    assert circle.money() == town.money


def check_statement(owner: Customer, address: str, booked: Counter[int]) -> None:
    """It has one entry for each transfer, and each balance is the one before and the amount."""
    entries = list(statement(owner, address))
    assert Counter(entry["amount"] for entry in entries) == booked, address
    balances = [0, *(entry["balance"] for entry in reversed(entries))]
    assert [entry["amount"] for entry in reversed(entries)] == [
        after - before for before, after in itertools.pairwise(balances)
    ]


def statement(owner: Customer, address: str) -> Iterator[Json]:
    """All entries, newest first."""
    query: Json = {"limit": 100}
    while True:
        page = found(owner.call("GET", f"/v1/accounts/{address}/entries", **query))
        yield from page["entries"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def check_positions(banks: Sequence[Bank]) -> None:
    """What one bank owes another is what the other is owed (I4)."""
    for one, other in itertools.combinations(banks, 2):
        there, back = one.positions()[other.ispb]["balance"], other.positions()[one.ispb]["balance"]
        assert there + back == 0, f"{one.slug} and {other.slug}: {there}, {back}"
