"""Limits and the daily side of mandates on real banks, through their API and at a terminal."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.system import documents
from tests.system.answers import created, found, refused, settled
from tests.system.consortium import CIRANDA, PASSWORD, Bank, Consortium, Customer, consortium, transfer
from tests.system.crowd import at_once
from tests.system.patience import eventually

# At whatever hour the tests run, the night's limit is no other than the day's.
LIMITS = "[limits]\nper_transfer = 500\nper_day = 1000\nper_night = 1000\n"


def keep_limits(circle: Consortium) -> None:
    for bank in circle.banks:
        with bank.settings_file.open("a") as file:
            file.write(LIMITS)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Two banks that keep limits."""
    folder = tmp_path_factory.mktemp("limited") / "banks"
    with consortium(folder, banks=2, before_start=keep_limits) as circle:
        yield circle


@pytest.fixture
def here(limited: Consortium) -> Bank:
    return limited.banks[0]


@pytest.fixture
def there(limited: Consortium) -> Bank:
    return limited.banks[1]


def limits(customer: Customer, account: str) -> dict[str, object]:
    return found(customer.call("GET", f"/v1/accounts/{account}/limits"))


def test_payments_at_once_share_the_limit_of_a_day_whoever_starts_them(here: Bank, there: Bank) -> None:
    (ana, mine), (_, near), (_, far) = here.someone("Ana Maria", 9_000), here.someone(), there.someone()
    elsewhere = ana.at(there)
    token = ana.allow(mine, there)["token"]
    own = [partial(ana.pay, transfer(mine, target, 40)) for target in [near, far] * 15]
    debits = [partial(elsewhere.pay, transfer(mine, far, 40, token))] * 20
    answers = Counter(answer.status_code for answer in at_once([*own, *debits]))
    assert answers == {201: 25, 422: 25}
    refused(ana.pay(transfer(mine, near, 1)), "limit_exceeded", here.ispb)
    refused(elsewhere.pay(transfer(mine, far, 1, token)), "limit_exceeded", here.ispb)
    ana.balance_becomes(mine, 8_000)
    assert limits(ana, mine)["spent_today"] == 1_000


def test_what_another_bank_refused_is_given_back(here: Bank, there: Bank) -> None:
    ana, mine = here.someone("Ana Maria", 9_000)
    nobody = documents.address(there.ispb, "0001", "98765432")
    for _ in range(3):
        refused(ana.pay(transfer(mine, nobody, 500)), "unknown_account", there.ispb)
    assert limits(ana, mine)["spent_today"] == 0


def test_limits_outlive_a_crash(here: Bank, limited: Consortium) -> None:
    (ana, mine), (_, near) = here.someone("Ana Maria", 9_000), here.someone()
    settled(ana.pay(transfer(mine, near, 500)))
    chosen = found(ana.call("PUT", f"/v1/accounts/{mine}/limits", {"per_transfer": 100, "per_day": 5_000}))
    here.kill()
    limited.mend()
    assert limits(ana, mine) == chosen
    assert (chosen["per_transfer"], chosen["per_day"], chosen["spent_today"]) == (100, 1_000, 500)
    refused(ana.pay(transfer(mine, near, 101)), "limit_exceeded", here.ispb)


def test_a_token_is_in_no_file_and_in_no_log(here: Bank, there: Bank) -> None:
    """Whoever copies a bank's disk finds neither the token nor the part of it that makes it one."""
    ana, mine = there.someone("Ana Maria", 9_000)
    elsewhere, till = ana.at(here), here.someone("Rui Barbosa")[1]
    given = ana.allow(mine, here, scopes=["pay", "read"], per_day=100)
    token: str = given["token"]
    created(elsewhere.call("POST", "/v1/links", {"account": mine, "mandate": token}))
    settled(elsewhere.pay(transfer(mine, till, 60, token)))
    refused(elsewhere.pay(transfer(mine, till, 60)), "mandate_exceeded", there.ispb)
    refused(here.sign_up("Eva Maria").pay(transfer(mine, till, 1, token)), "not_permitted", there.ispb)
    refused(elsewhere.pay(transfer(mine, till, 1, token[:-1])), "not_permitted", there.ispb)
    id, _, proof = token.partition(".")
    assert id == given["id"]
    for bank in (here, there):
        files = [*bank.database_files(), bank.log]
        assert len(files) >= 2
        for file in files:
            assert proof.encode() not in file.read_bytes(), file
    # What the disk has, the mandate's id, is no token.
    refused(elsewhere.pay(transfer(mine, till, 1, id)), "not_permitted", there.ispb)


def test_a_holder_watches_pauses_and_resumes_a_mandate(here: Bank, there: Bank) -> None:
    ana, mine = there.someone("Ana Maria", 9_000)
    elsewhere, till = ana.at(here), here.someone("Rui Barbosa")[1]
    given = ana.allow(mine, here, per_day=100)
    path, token = f"/v1/mandates/{given['id']}", given["token"]
    first = settled(elsewhere.pay(transfer(mine, till, 60, token), description="Luz"))
    refused(elsewhere.pay(transfer(mine, till, 41, token)), "mandate_exceeded", there.ispb)
    assert found(ana.call("POST", f"{path}/pause"))["paused_at"]
    refused(elsewhere.pay(transfer(mine, till, 1, token)), "not_permitted", there.ispb)
    assert found(ana.call("POST", f"{path}/resume"))["paused_at"] is None
    settled(elsewhere.pay(transfer(mine, till, 40, token)))

    def told() -> None:
        uses = found(ana.call("GET", f"{path}/uses"))["uses"]
        assert [(use["amount"], use["status"]) for use in uses] == [(40, "settled"), (60, "settled")]
        assert (uses[1]["payment"], uses[1]["description"]) == (first["id"], "Luz")

    eventually(told)
    shown = found(ana.call("GET", path))
    assert (shown["used"], shown["used_today"]) == (100, 100)


def test_a_person_chooses_limits_at_a_terminal(
    here: Bank, there: Bank, limited: Consortium, tmp_path: Path
) -> None:
    ana, mine = here.someone("Ana Maria", 9_000)
    environment = {
        "PATH": os.environ["PATH"],
        "CIRANDA_CONFIG_HOME": str(tmp_path),
        "CIRANDA_CONSORTIUM": str(limited.folder),
        "CIRANDA_PASSWORD": PASSWORD,
        "LANG": "en_GB.UTF-8",
    }

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [CIRANDA, *words], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("login", "--bank", here.slug, "--document", ana.document)
    chosen = json.loads(
        run("limits", "set", mine, "--per-transfer", "0", "--per-day", "20", "--per-night", "5", "--json")
    )
    assert (chosen["per_transfer"], chosen["per_day"], chosen["per_night"]) == (0, 1_000, 500)
    assert [(one["limit"], one["amount"]) for one in chosen["raises"]] == [("per_day", 2_000)]
    shown = run("limits", "show", mine)
    assert "R$ 0,00" in shown
    assert "R$ 20,00 · " in shown
    run("limits", "set", mine, code=2)
    given = ana.allow(mine, there)
    assert "never used" in run("mandate", "uses", given["id"])
    assert "paused" in run("mandate", "pause", given["id"])
    assert "paused until" in run("mandate", "list")
    assert "works again" in run("mandate", "resume", given["id"])
    run("mandate", "end", given["id"])
    run("mandate", "resume", given["id"], code=1)
