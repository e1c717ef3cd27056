"""What the doctor says of a PostgreSQL that may lose what it has committed."""

from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from ciranda import settings
from ciranda.cli import checkup
from ciranda.cli.demo import free_base_port
from ciranda.cli.init import found


@pytest.fixture
def bank(tmp_path: Path, postgresql_url: str) -> checkup.Bank:
    found(tmp_path / "circle", banks=1, base_port=free_base_port(), database=None)
    own = settings.load(tmp_path / "circle" / "ipe" / "bank.toml")
    return checkup.Bank(settings=_at(own, postgresql_url), written={})


def _at(own: settings.BankSettings, url: str) -> settings.BankSettings:
    return replace(own, database=url)


def off(bank: checkup.Bank) -> str | None:
    return next(off for check, off in checkup.examine(bank) if check.name == "durability")


def test_a_server_that_does_not_flush_is_told(bank: checkup.Bank) -> None:
    """As the server of these tests, where nobody pulls the plug."""
    assert off(bank) == "fsync is off"


def test_a_database_with_weaker_commits_is_told_and_one_without_is_not(
    bank: checkup.Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "FLUSHES", ("full_page_writes",))
    assert off(bank) is None
    with psycopg.connect(bank.settings.database, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off")
    assert off(bank) == "synchronous_commit is weaker than on"


def test_a_server_that_is_away_is_off(bank: checkup.Bank, tmp_path: Path) -> None:
    away = checkup.Bank(settings=_at(bank.settings, f"postgresql://nobody@/none?host={tmp_path}"), written={})
    assert str(off(away)).startswith("it could not be found out")
