"""What a bank's operator, and whoever watches over the bank, can see of it."""

import itertools
import json
import re
from functools import partial

import pytest

from tests.system.answers import MOMENT, PAYMENT_ID, Json, found, problem, refused, settled
from tests.system.consortium import Bank, Consortium, Person, ciranda, transfer
from tests.system.crowd import while_under_way
from tests.system.patience import eventually

ROUTES = [
    "",
    "GET /v1/bank",
    "POST /v1/customers",
    "POST /v1/sessions",
    "DELETE /v1/sessions/current",
    "POST /v1/accounts",
    "GET /v1/accounts",
    "GET /v1/accounts/{}",
    "GET /v1/accounts/{}/entries",
    "GET /v1/payees/{}",
    "POST /v1/deposits",
    "POST /v1/withdrawals",
    "POST /v1/payments",
    "GET /v1/payments",
    "POST /v1/payments/batches",
    "GET /v1/payments/{}",
    "POST /v1/mandates",
    "GET /v1/mandates",
    "DELETE /v1/mandates/{}",
    "POST /v1/links",
    "GET /v1/links",
    "DELETE /v1/links/{}",
    "GET /v1/operator/audit",
    "GET /v1/operator/payments",
    "GET /v1/operator/positions",
    "POST /v1/operator/accounts/{}/block",
    "POST /v1/operator/accounts/{}/unblock",
    "POST /v1/operator/accounts/{}/close",
    "",
][1:-1]


@pytest.fixture
def bank(circle: Consortium) -> Bank:
    return circle.banks[0]


def test_the_audit_tells_what_there_is_and_sums_to_zero(bank: Bank) -> None:
    bank.someone("Ana Maria", 1_000)
    audit = bank.audit()
    balances = audit["balances"]
    assert set(audit) == {"balances", "sum", "held", "accounts", "payments", "in_doubt"}
    assert set(balances) == {"customers", "vault", "clearing"}
    assert set(audit["payments"]) == {"settled", "refused", "in_doubt"}
    assert audit["sum"] == balances["customers"] + balances["vault"] + sum(balances["clearing"].values()) == 0
    assert audit["in_doubt"] == []


def test_the_audit_counts_every_account_payment_and_centavo(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    before = here.audit()
    (ana, mine), (_, near) = here.someone("Ana Maria", 1_000), here.someone("Bia Maria")
    rui, far = there.someone("Rui Barbosa")
    settled(ana.pay(transfer(mine, near, 100)))
    settled(ana.pay(transfer(mine, far, 200)))
    refused(ana.pay(transfer(mine, near, 5_000)), "insufficient_funds")
    rui.balance_becomes(far, 200)
    after = here.audit()
    assert after["payments"]["settled"] == before["payments"]["settled"] + 3
    assert after["payments"]["refused"] == before["payments"]["refused"] + 1
    assert after["balances"]["customers"] == before["balances"]["customers"] + 800
    clearing = [audit["balances"]["clearing"].get(there.ispb, 0) for audit in (before, after)]
    assert clearing[1] - clearing[0] == 200
    assert after["accounts"] >= before["accounts"] + 2
    assert (after["sum"], after["held"]) == (0, 0)


def test_what_a_bank_waits_for_is_in_doubt_and_says_so(circle: Consortium) -> None:
    here, there = circle.banks[2:4]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")

    def resume_when_seen() -> None:
        def in_doubt() -> None:
            audit = here.audit()
            assert audit["payments"]["in_doubt"] == 1
            assert audit["held"] == 300
            (doubt,) = audit["in_doubt"]
            assert set(doubt) == {"id", "state", "since", "coordinator", "witnesses"}
            assert PAYMENT_ID.fullmatch(doubt["id"])
            assert MOMENT.fullmatch(doubt["since"])
            assert doubt["coordinator"] == here.ispb
            assert doubt["witnesses"] == [here.ispb]
            assert ana.payment(doubt["id"])["status"] == "pending"

        eventually(in_doubt, within_s=2)
        there.resume()

    with there.paused():
        settled(while_under_way(partial(ana.pay, transfer(mine, far, 300)), resume_when_seen))
    rui.balance_becomes(far, 300)

    def sure() -> None:
        assert here.audit()["in_doubt"] == there.audit()["in_doubt"] == []

    eventually(sure)
    circle.wait_connected()


def test_positions_of_two_banks_mirror_each_other(circle: Consortium) -> None:
    payees = [bank.someone("Rui Barbosa") for bank in circle.banks]
    for i, bank in enumerate(circle.banks, start=1):
        ana, mine = bank.someone("Ana Maria", 10_000)
        settled(ana.pay(*[transfer(mine, account, 10 * i + j) for j, (_, account) in enumerate(payees)]))

    def mirrored() -> None:
        for one, other in itertools.combinations(circle.banks, 2):
            there, back = one.positions()[other.ispb], other.positions()[one.ispb]
            assert there["balance"] + back["balance"] == 0
            assert (there["name"], there["limit"], there["reachable"]) == (other.name, 10**12, True)
            assert set(there) == {"ispb", "name", "balance", "limit", "reachable"}

    eventually(mirrored)
    for bank in circle.banks:
        clearing = bank.audit()["balances"]["clearing"]
        assert {ispb: position["balance"] for ispb, position in bank.positions().items()} == clearing


def test_every_payment_is_listed_by_id_page_by_page_with_one_digest_in_all_banks(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    (ana, mine), (_, near), (rui, far) = here.someone("Ana Maria", 100), here.someone(), there.someone()
    local = [settled(ana.pay(transfer(mine, near, 1)))["id"] for _ in range(3)]
    shared = [settled(ana.pay(transfer(mine, far, 1)))["id"] for _ in range(3)]
    failed = refused(ana.pay(transfer(mine, far, 1_000)), "insufficient_funds")["payment"]
    rui.balance_becomes(far, 3)

    listed: list[str] = []
    query: Json = {"limit": 2}
    while True:
        page = found(here.operate("GET", "/v1/operator/payments", **query))
        assert len(page["payments"]) <= 2
        listed += [payment["id"] for payment in page["payments"]]
        assert all(set(payment) == {"id", "digest", "status"} for payment in page["payments"])
        if page["next_cursor"] is None:
            break
        query["after"] = page["next_cursor"]
    assert listed == sorted(set(listed))
    at_here, at_there = here.payments(), there.payments()
    assert list(at_here) == listed
    for id in local + shared:
        assert at_here[id]["status"] == "settled"
    for id in shared:
        assert at_there[id] == at_here[id]
    assert at_here[failed]["status"] == "refused"
    assert not set(local) & set(at_there)


@pytest.mark.parametrize("path", ["audit", "payments", "positions"])
def test_a_customer_sees_none_of_the_operators_books(bank: Bank, path: str) -> None:
    ana = bank.sign_up("Ana Maria")
    problem(ana.call("GET", f"/v1/operator/{path}"), 403, "forbidden")


def test_the_token_of_one_banks_operator_is_nothing_to_another_bank(circle: Consortium) -> None:
    here, there = circle.banks[:2]
    problem(there.call("GET", "/v1/operator/audit", token=here.operator), 401, "unauthenticated")


def test_a_bank_introduces_itself_and_its_peers(circle: Consortium) -> None:
    for bank in circle.banks:
        shown = found(bank.call("GET", "/v1/bank"))
        peers = [
            {"ispb": peer.ispb, "name": peer.name, "reachable": True}
            for peer in circle.banks
            if peer is not bank
        ]
        assert sorted(shown.pop("peers"), key=lambda peer: str(peer["ispb"])) == peers
        assert shown == {"ispb": bank.ispb, "name": bank.name, "consortium": "Ciranda", "currency": "BRL"}


def test_the_banks_are_named_after_trees(circle: Consortium) -> None:
    assert [(bank.name, bank.slug, bank.ispb) for bank in circle.banks] == [
        ("Ipê", "ipe", "10000001"),
        ("Jatobá", "jatoba", "10000002"),
        ("Sumaúma", "sumauma", "10000003"),
        ("Buriti", "buriti", "10000004"),
        ("Umbu", "umbu", "10000005"),
    ]


def test_a_bank_says_that_it_lives_and_is_ready(bank: Bank) -> None:
    for path in ("/health/live", "/health/ready"):
        assert bank.call("GET", path).status_code == 200


def test_a_bank_shows_its_metrics(bank: Bank) -> None:
    bank.someone("Ana Maria", 100)
    answer = bank.call("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert re.search(r"^# TYPE \w+ (counter|histogram|gauge)$", answer.text, re.MULTILINE)
    assert re.search(r"^\w*ciranda\w*", answer.text, re.MULTILINE)


def test_the_openapi_document_has_every_route(bank: Bank) -> None:
    document = found(bank.call("GET", "/openapi.json"))
    described = {
        f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert not set(ROUTES) - described
    assert bank.call("GET", "/docs").status_code == 200


# The command line, as far as it runs and checks these banks.


def test_the_audit_command_asks_every_bank_and_fails_when_one_is_away(
    circle: Consortium,
) -> None:
    ana = Person([circle.banks[0]], circle.banks[:2], 1_000)
    _, shop = circle.banks[2].someone()
    here, there = circle.banks[:2]
    settled(ana.at[here].pay(ana.transfer(here, here, shop, 10), ana.transfer(here, there, shop, 20)))
    held = ciranda("audit", circle.folder, "--json")
    assert held.returncode == 0, held.stdout + held.stderr
    assert json.loads(held.stdout)

    away = circle.banks[4]
    away.kill()
    assert ciranda("audit", circle.folder, "--json").returncode == 2
    away.restart()
    circle.wait_connected()


def test_init_refuses_to_overwrite_and_hides_what_is_secret(circle: Consortium) -> None:
    before = circle.roster_file.read_bytes()
    assert ciranda("init", circle.folder).returncode != 0
    assert circle.roster_file.read_bytes() == before
    for bank, name in itertools.product(circle.banks, ("signing.key", "operator.token")):
        assert (circle.folder / bank.slug / name).stat().st_mode & 0o777 == 0o600


def test_a_bank_that_is_told_to_stop_finishes_what_it_has_begun(circle: Consortium) -> None:
    here, there = circle.banks[3:]
    (ana, mine), (rui, far) = here.someone("Ana Maria", 1_000), there.someone("Rui Barbosa")

    def stop_when_held() -> None:
        ana.hold_becomes(mine, 100)
        here.process.terminate()
        there.resume()

    with there.paused():
        settled(while_under_way(partial(ana.pay, transfer(mine, far, 100)), stop_when_held))
    assert here.process.wait(30) == 0
    here.restart()
    circle.wait_connected()
    ana.balance_becomes(mine, 900)
    rui.balance_becomes(far, 100)


def test_sqlite_has_one_worker(circle: Consortium) -> None:
    answer = ciranda("serve", circle.folder / "ipe" / "bank.toml", "--workers", 2)
    assert answer.returncode not in (0, None)
    assert "PostgreSQL" in answer.stdout + answer.stderr
