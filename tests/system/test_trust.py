"""Whom banks trust, changed while they run: keys, members, addresses, certificates. Nobody is restarted, nothing fails."""

import json
import re
import signal
import socket
import ssl
import threading
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ciranda.cli.authority import issue
from tests.system.answers import Json, found, refused, settled
from tests.system.consortium import Bank, Consortium, Customer, Person, ciranda, consortium, transfer
from tests.system.patience import eventually
from tests.system.postgresql import postgresql
from tests.system.reconciliation import check_positions, check_rest


@pytest.fixture
def circle(tmp_path: Path) -> Iterator[Consortium]:
    """Three banks of a test's own."""
    with consortium(tmp_path / "banks", banks=3) as banks:
        yield banks


def said(bank: Bank, event: str) -> list[Json]:
    """The lines of its log about this event."""
    lines = [line for line in bank.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["event"] == event]


def follows(bank: Bank, version: int) -> None:
    """Waits until the bank has taken this version of the roster."""

    def check() -> None:
        assert version in [line["roster"] for line in said(bank, "reloaded")], bank.tail()

    eventually(check)


def version(circle: Consortium) -> int:
    return int(tomllib.loads(circle.roster_file.read_text())["version"])


def all_follow(circle: Consortium, but: tuple[Bank, ...] = ()) -> None:
    for bank in circle.banks:
        if bank not in but:
            follows(bank, version(circle))


def change_roster(circle: Consortium, *changes: tuple[str, str]) -> None:
    """Each change, and the next version."""
    text = circle.roster_file.read_text()
    for old, new in (*changes, (f"version = {version(circle)}", f"version = {version(circle) + 1}")):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    circle.roster_file.write_text(text)


class Shops:
    """A customer of each bank, each paying the next one's account again and again."""

    def __init__(self, banks: list[Bank]) -> None:
        self.statuses: Counter[str] = Counter()
        self._ended = threading.Event()
        people = [bank.someone(balance=1_000_000) for bank in banks]
        self._threads = [
            threading.Thread(target=self._pay, args=[*payer, people[place - 1][1]])
            for place, payer in enumerate(people)
        ]

    def _pay(self, customer: Customer, own: str, other: str) -> None:
        while not self._ended.is_set():
            answer = customer.pay(transfer(own, other, 1))
            body = answer.json()
            self.statuses[str(body.get("status") if answer.status_code == 201 else body)] += 1

    @contextmanager
    def busy(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()


def done(*words: object) -> str:
    command = ciranda(*words)
    assert command.returncode == 0, command.stdout + command.stderr
    return command.stdout


def pids(circle: Consortium) -> list[int]:
    return [bank.process.pid for bank in circle.banks if bank.process.poll() is None]


# Keys.


def test_a_bank_changes_its_key_under_load_and_not_one_payment_fails(circle: Consortium) -> None:
    bank, *_ = circle.banks
    before, running = bank.settings_file.with_name("signing.key").read_bytes(), pids(circle)
    shops = Shops(circle.banks)
    with shops.busy():
        done("keys", "rotate", bank.settings_file)
        done("keys", "switch", bank.settings_file)
        assert re.search(r"next_public_key +signs", done("keys", "show", bank.settings_file))
        done("keys", "retire", bank.settings_file)
        all_follow(circle)
        paid = sum(shops.statuses.values())
        eventually(lambda: _more(shops, paid + 30))
    assert set(shops.statuses) == {"settled"}
    assert pids(circle) == running
    after = bank.settings_file.with_name("signing.key")
    assert after.read_bytes() != before
    assert after.stat().st_mode & 0o777 == 0o600
    assert not [file for file in after.parent.iterdir() if file.name.startswith("signing.key.")]
    assert [line for one in circle.banks for line in said(one, "peer_refuses_signature")] == []
    eventually(lambda: check_positions(circle.banks))


def test_all_workers_of_a_bank_take_its_new_key_and_its_peers_workers_too(tmp_path: Path) -> None:
    with (
        postgresql() as server,
        consortium(tmp_path / "banks", banks=2, database=server.template, workers=2) as circle,
    ):
        settings = circle.banks[0].settings_file
        shops = Shops(circle.banks)
        with shops.busy():
            for step in ("rotate", "switch", "retire"):
                done("keys", step, settings)
            for bank in circle.banks:
                bank.process.send_signal(signal.SIGHUP)

            def check() -> None:
                for bank in circle.banks:
                    assert [line["roster"] for line in said(bank, "reloaded")].count(3) >= 2, bank.tail()

            eventually(check)
            paid = sum(shops.statuses.values())
            eventually(lambda: _more(shops, paid + 30))
        assert set(shops.statuses) == {"settled"}
        eventually(lambda: check_positions(circle.banks))


def _more(shops: Shops, payments: int) -> None:
    assert sum(shops.statuses.values()) >= payments


def test_the_steps_of_a_new_key_come_in_their_order_or_not_at_all(circle: Consortium) -> None:
    bank, peer, _ = circle.banks
    for step in ("switch", "retire"):
        assert ciranda("keys", step, bank.settings_file).returncode == 2
    done("keys", "rotate", bank.settings_file)
    assert ciranda("keys", "rotate", bank.settings_file).returncode == 2
    assert ciranda("keys", "retire", bank.settings_file).returncode == 2
    all_follow(circle)
    peer.kill()
    settings = bank.settings_file
    done("keys", "switch", settings, "--force")
    peer.restart()
    circle.wait_connected()
    shown = json.loads(done("keys", "show", settings, "--json"))
    assert [key["signs"] for key in shown["keys"]] == [False, True]


# Members.


def entry_of(circle: Consortium, slug: str) -> Json:
    roster = tomllib.loads(circle.roster_file.read_text())
    return next(bank for bank in roster["bank"] if bank["slug"] == slug)


def test_a_bank_comes_and_goes_while_the_others_pay(circle: Consortium) -> None:
    running = pids(circle)
    shops = Shops(circle.banks)
    with shops.busy():
        done("bank", "add", circle.folder)
        buriti = circle.met(entry_of(circle, "buriti"))
        buriti.restart()
        circle.wait_connected()

        first = circle.banks[0]
        ana, hers = first.someone("Ana Maria", 1_000)
        rui, his = buriti.someone("Rui Barbosa", 500)
        settled(ana.pay(transfer(hers, his, 300)))
        rui.balance_becomes(his, 800)

        refusal = ciranda("bank", "remove", circle.folder, "buriti")
        assert refusal.returncode == 1
        assert f"{first.name} owes {buriti.name} R$ 3,00" in refusal.stdout
        assert entry_of(circle, "buriti").get("standing") is None

        settled(rui.pay(transfer(his, hers, 300)))
        ana.balance_becomes(hers, 1_000)
        done("bank", "remove", circle.folder, "buriti")
        all_follow(circle)
        assert refused(ana.pay(transfer(hers, his, 1)), "unknown_bank")
        assert refused(rui.pay(transfer(his, hers, 1)), "unknown_bank")
        assert buriti.ispb not in {peer["ispb"] for peer in found(first.call("GET", "/v1/bank"))["peers"]}
        settled(rui.pay(transfer(his, rui.open("joint", holders=[rui.document, _other(buriti)]), 1)))

        done("bank", "remove", circle.folder, "buriti")
        all_follow(circle, but=(buriti,))
        paid = sum(shops.statuses.values())
        eventually(lambda: _more(shops, paid + 30))
    assert set(shops.statuses) == {"settled"}
    assert pids(circle)[:3] == running
    eventually(lambda: _refuses(buriti, "no bank of the consortium"))
    buriti.close()
    circle.banks.remove(buriti)
    check_rest(circle.banks)
    eventually(lambda: check_positions(circle.banks))


def _other(bank: Bank) -> str:
    return bank.sign_up("Bia Maria").document


def test_what_was_begun_with_a_bank_that_left_is_finished_and_until_then_it_is_not_struck_out(
    circle: Consortium,
) -> None:
    here, there, leaving = circle.banks
    ana, hers = here.someone("Ana Maria", 1_000)
    _, his = leaving.someone("Rui Barbosa", 500)
    # Its vote is waited for until the deadline; then it is still to be told.
    with leaving.paused():
        refused(ana.pay(transfer(hers, his, 100)), "deadline_passed")
        assert ciranda("bank", "remove", circle.folder, leaving.ispb).returncode == 2
        done("bank", "remove", circle.folder, leaving.ispb, "--force")
        for bank in (here, there):
            follows(bank, 2)
        # Nobody struck it out by the command, which is careful, but by hand.
        entry = re.search(r"\n\[\[bank\]\]\nispb = \"10000003\"[^\[]*", circle.roster_file.read_text())
        assert entry is not None
        kept = circle.roster_file.read_text()
        change_roster(circle, (entry[0], ""))
        eventually(lambda: _refuses(here, "is not finished"))
        circle.roster_file.write_text(kept)
    follows(leaving, 2)
    change_roster(circle, (entry[0], ""))
    follows(here, 3)
    assert refused(ana.pay(transfer(hers, his, 100)), "unknown_bank")
    assert ana.balance(hers) == 1_000


def _refuses(bank: Bank, why: str) -> None:
    assert any(why in line["why"] for line in said(bank, "reload_refused")), bank.tail()


def test_a_roster_that_is_broken_or_older_is_refused_and_the_bank_goes_on(circle: Consortium) -> None:
    here, there, _ = circle.banks
    ana, hers = here.someone("Ana Maria", 1_000)
    rui, his = there.someone("Rui Barbosa")
    good = circle.roster_file.read_text()
    broken = {
        good[: len(good) // 2]: "consortium.toml",
        good.replace('"10000002"', '"10000001"'): "the same ispb",
        good.replace('currency = "BRL"', 'currency = "EUR"'): "change only at a start",
        good.replace('ispb = "10000001"', 'ispb = "10000009"'): "no bank of the consortium",
    }
    for number, (text, why) in enumerate(broken.items(), start=1):
        circle.roster_file.write_text(text)
        here.process.send_signal(signal.SIGHUP)
        eventually(lambda why=why: _refuses(here, why))  # type: ignore[misc]
        settled(ana.pay(transfer(hers, his, 1)))
        rui.balance_becomes(his, number)
    circle.roster_file.write_text(good)
    change_roster(circle)
    all_follow(circle)
    circle.roster_file.write_text(good)
    eventually(lambda: _refuses(here, "is older than 2"))


def test_a_bank_that_moved_is_found_where_the_new_roster_says(circle: Consortium) -> None:
    here, _, moving = circle.banks
    ana, hers = here.someone("Ana Maria", 1_000)
    rui, his = moving.someone("Rui Barbosa")
    moving.process.terminate()
    moving.process.wait(30)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    change_roster(circle, (moving.peer_url, f"http://127.0.0.1:{port}"))
    moving.restart()
    all_follow(circle, but=(moving,))
    circle.wait_connected()
    settled(ana.pay(transfer(hers, his, 100)))
    rui.balance_becomes(his, 100)


# TLS.


def make_mutual(circle: Consortium) -> None:
    for bank in circle.banks:
        text = bank.settings_file.read_text()
        assert "# mutual = true" in text
        bank.settings_file.write_text(text.replace("# mutual = true", "mutual = true"))


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Three banks with TLS, and each asks its peers for a certificate."""
    folder = tmp_path_factory.mktemp("tls") / "banks"
    with consortium(folder, banks=3, init=["--tls"], before_start=make_mutual) as banks:
        yield banks


def trusting(circle: Consortium) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=circle.folder / "ca.crt")


def address_of(url: str) -> tuple[str, int]:
    parts = httpx.URL(url)
    assert parts.port is not None
    return parts.host, parts.port


def shown_by(circle: Consortium, url: str) -> int:
    """The serial number of the certificate there."""
    with (
        socket.create_connection(address_of(url)) as plain,
        trusting(circle).wrap_socket(plain, server_hostname="127.0.0.1") as safe,
    ):
        assert safe.version() == "TLSv1.3"
        shown = safe.getpeercert()
        assert shown is not None
        return int(str(shown["serialNumber"]), 16)


def test_with_tls_all_banks_pay_each_other_and_all_keys_are_for_their_owners_alone(
    sealed: Consortium,
) -> None:
    teller, *others = sealed.banks
    ana = Person([teller], sealed.banks, 1_000)
    rui, shop = others[-1].someone("Rui Barbosa")
    legs = [ana.transfer(teller, bank, shop, 100) for bank in sealed.banks]
    settled(ana.at[teller].pay(*legs))
    rui.balance_becomes(shop, 300)
    done("audit", sealed.folder)
    for file in [*sealed.folder.glob("ca.*"), *sealed.folder.glob("*/tls.*")]:
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_a_program_that_does_not_know_the_authority_does_not_speak_to_the_bank(sealed: Consortium) -> None:
    url = sealed.banks[0].public_url
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{url}/v1/bank", trust_env=False)
    assert httpx.get(f"{url}/v1/bank", verify=trusting(sealed), trust_env=False).status_code == 200
    stranger = ciranda("--ca", sealed.folder / "ipe" / "tls.crt", "accounts", "--bank", url)
    assert stranger.returncode == 2
    assert "no certificate that is trusted here" in stranger.stderr


@pytest.mark.parametrize("listener", ["public_url", "peer_url"])
def test_nothing_older_than_tls_1_2_is_spoken_and_nothing_plain(sealed: Consortium, listener: str) -> None:
    host, port = address_of(getattr(sealed.banks[0], listener))
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # They are out of use: that is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((host, port)) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(plain).close()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{host}:{port}/v1/bank", trust_env=False)


def test_where_banks_ask_each_other_for_certificates_a_stranger_does_not_even_get_a_problem(
    sealed: Consortium,
) -> None:
    url = sealed.banks[0].peer_url + "/peer/v1/messages"
    with pytest.raises(httpx.TransportError):
        httpx.post(url, content=b"{}", verify=trusting(sealed), trust_env=False)
    member = trusting(sealed)
    folder = sealed.banks[1].settings_file.parent
    member.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    assert httpx.post(url, content=b"{}", verify=member, trust_env=False).status_code == 401


def test_a_new_certificate_is_shown_from_the_signal_on_and_no_connection_is_dropped(
    sealed: Consortium,
) -> None:
    bank, other, _ = sealed.banks
    folder = bank.settings_file.parent
    before, pid = shown_by(sealed, bank.public_url), bank.process.pid
    ana, hers = bank.someone("Ana Maria", 1_000)
    rui, his = other.someone("Rui Barbosa")
    with httpx.Client(base_url=bank.public_url, verify=trusting(sealed), trust_env=False) as kept:
        assert kept.get("/v1/bank").status_code == 200
        for name in ("tls.crt", "tls.key"):
            (folder / name).unlink()
        issue(sealed.folder, folder, bank.name, set())
        bank.process.send_signal(signal.SIGHUP)

        def check() -> None:
            assert shown_by(sealed, bank.public_url) != before

        eventually(check)
        # The very connection that was made before.
        assert kept.get("/v1/bank").status_code == 200
    settled(ana.pay(transfer(hers, his, 100)))
    rui.balance_becomes(his, 100)
    assert bank.process.pid == pid


def test_a_certificate_without_its_key_is_refused_and_the_old_one_stays(sealed: Consortium) -> None:
    bank, other, _ = sealed.banks
    mine, theirs = (one.settings_file.with_name("tls.key") for one in (bank, other))
    before, kept = shown_by(sealed, bank.public_url), mine.read_bytes()
    mine.write_bytes(theirs.read_bytes())
    bank.process.send_signal(signal.SIGHUP)
    eventually(lambda: _refuses(bank, "is not a certificate that"))
    assert shown_by(sealed, bank.public_url) == before
    mine.write_bytes(kept)
