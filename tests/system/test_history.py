"""A bank whose history was written anew behind its back is caught by its peer's copy, and goes on paying meanwhile."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.forger import Forger
from tests.system.answers import Json, found, settled
from tests.system.consortium import Bank, Consortium, Person, ciranda, consortium
from tests.system.patience import eventually


def _often(circle: Consortium) -> None:
    for bank in circle.banks:
        with bank.settings_file.open("a") as settings:
            settings.write("\n[chain]\nexchange_every_s = 1\n")


@pytest.fixture
def circle(tmp_path: Path) -> Iterator[Consortium]:
    with consortium(tmp_path / "banks", banks=2, before_start=_often) as banks:
        yield banks


def heads(holder: Bank, of: Bank) -> list[Json]:
    found_heads = found(holder.operate("GET", f"/v1/operator/peers/{of.ispb}/heads"))["heads"]
    assert isinstance(found_heads, list)
    return found_heads


def disputes(bank: Bank) -> list[tuple[str, str, int]]:
    told = found(bank.operate("GET", "/v1/operator/disputes"))["disputes"]
    return [(one["head"]["bank"], one["head"]["holder"], one["head"]["number"]) for one in told]


def test_a_bank_that_rewrites_its_history_is_caught_by_its_peers_copy(
    circle: Consortium, tmp_path: Path
) -> None:
    ipe, jatoba = circle.banks
    ana, bia = (Person([ipe], [ipe], 10_000) for _ in range(2))
    payment = settled(ana.at[ipe].pay(ana.transfer(ipe, ipe, bia.account[ipe], 700)))
    forger = Forger(ipe.settings_file.with_name("bank.db"))
    (number,) = forger.ask("SELECT max(number) FROM folios")

    def held() -> None:
        assert heads(jatoba, ipe)[0]["number"] >= number

    eventually(held)
    assert disputes(jatoba) == []
    assert ciranda("audit", circle.folder, "--chain").returncode == 0, "while both banks run"

    ipe.kill()
    forger.do("UPDATE entries SET amount = amount / 7 WHERE payment = ?", payment["id"])
    forger.make_fit()
    ipe.restart()

    def caught() -> None:
        copy = (ipe.ispb, jatoba.ispb, heads(jatoba, ipe)[0]["number"])
        assert copy in disputes(jatoba)
        assert copy in disputes(ipe)

    eventually(caught)
    assert '"event": "history_disputed"' in jatoba.log.read_text()
    assert "OFF  history" in ciranda("doctor", jatoba.settings_file).stdout
    assert (
        "whose chain" in ciranda("peer", "disputes", "--bank", "jatoba", "--consortium", circle.folder).stdout
    )
    settled(ana.at[ipe].pay(ana.transfer(ipe, ipe, bia.account[ipe], 1)))

    alone = ciranda("audit", ipe.settings_file.parent, "--chain", "--json")
    exported = tmp_path / "heads.json"
    told = ciranda("peer", "heads", ipe.ispb, "--json", "--bank", "jatoba", "--consortium", circle.folder)
    exported.write_text(told.stdout)
    compared = ciranda("audit", ipe.settings_file.parent, "--chain", "--heads", exported, "--json")
    assert compared.returncode == 1, compared.stdout + compared.stderr
    assert {one["holder"] for one in json.loads(compared.stdout)["proofs"][0]["found"]} == {jatoba.ispb}
    # Of what its own file says of itself only the dispute contradicts it, which its peer's question has left there.
    assert {one["what"] for one in json.loads(alone.stdout)["proofs"][0]["found"]} == {"head"}
