"""What schemathesis finds at banks that run: `make schemathesis EXAMPLES=1000`.

It reads the bank's own OpenAPI document and calls every route with what the document allows and with what it rules
out: as nobody, as a customer with money, as the operator. `schemathesis.toml` says which checks it makes: all.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.system.consortium import Bank, consortium

ROOT = Path(__file__).parents[2]
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CALLERS = ("nobody", "customer", "operator")
SIGN_OUT = "DELETE /v1/sessions/current"
"""After it a customer is nobody, so it is called as nobody only."""


class Callers(NamedTuple):
    """Who calls the bank, and the accounts that they call about."""

    bank: Bank
    tokens: dict[str, str]
    accounts: list[str]


def callers_of(bank: Bank) -> Callers:
    ana, account = bank.someone("Ana Maria", 1_000_000_000)
    _, shop = bank.someone("Padaria", 1_000_000_000)
    return Callers(bank, {"customer": ana.token, "operator": bank.operator}, [account, shop])


def conformance(callers: Callers, who: str, *options: str) -> subprocess.CompletedProcess[str]:
    """One run to its end. Exit code 0: nothing was found."""
    token = callers.tokens.get(who)
    auth = () if token is None else ("--header", f"Authorization: Bearer {token}", "--exclude-name", SIGN_OUT)
    return subprocess.run(
        [
            SCHEMATHESIS,
            *("--config-file", str(ROOT / "schemathesis.toml")),
            "run",
            *(f"{callers.bank.public_url}/openapi.json", "--no-color"),
            *("--continue-on-failure", "--warnings", "off"),
            *auth,
            *options,
        ],
        cwd=ROOT,
        env={**os.environ, "ACCOUNTS": " ".join(callers.accounts)},
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description="All callers, one after another, at two banks that run.")
    arguments.add_argument("--examples", type=int, default=200, help="of each route, for each caller")
    arguments.add_argument("--seed", type=int, help="the run that was printed with this one")
    given = arguments.parse_args()
    seed = () if given.seed is None else ("--seed", str(given.seed))
    failed = []
    with (
        tempfile.TemporaryDirectory(prefix="ciranda-openapi-") as folder,
        consortium(Path(folder) / "banks", banks=2) as circle,
    ):
        for who in CALLERS:
            print(f"As {who}:", flush=True)
            run = conformance(
                callers_of(circle.banks[0]),
                who,
                *("--max-examples", str(given.examples), "--generation-database", "none"),
                *seed,
            )
            print(run.stdout + run.stderr, flush=True)
            failed += [who] if run.returncode else []
    sys.exit(f"Something was found as {', '.join(failed)}." if failed else 0)


if __name__ == "__main__":
    main()
