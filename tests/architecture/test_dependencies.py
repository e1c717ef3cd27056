"""What is installed is what was locked: each package with its version and hash, from no place that a file names."""

import re
import tomllib
from typing import Any

import pytest

from tests.architecture.advisories import LOCK, verdict

PYPROJECT = LOCK.with_name("pyproject.toml")
PACKAGE = re.compile(
    r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)((?: ;[^\n\\]*)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.M
)


def test_every_package_is_pinned_with_its_hashes() -> None:
    lock = LOCK.read_text()
    pinned = {name for name, _, _ in PACKAGE.findall(lock)}
    assert pinned == {
        line.partition("==")[0].partition("[")[0] for line in lock.splitlines() if line[:1].isalnum()
    }
    declared = tomllib.loads(PYPROJECT.read_text())
    asked = [
        *declared["project"]["dependencies"],
        *declared["project"]["optional-dependencies"]["postgres"],
        *declared["dependency-groups"]["dev"],
        *declared["dependency-groups"]["bench"],
    ]
    names = [re.match(r"[A-Za-z0-9-]+", one) for one in asked]
    assert {name[0].lower() for name in names if name} <= pinned
    assert "://" not in lock


def test_nothing_is_installed_without_its_hash() -> None:
    installs = [
        line
        for line in LOCK.with_name("Makefile").read_text().splitlines()
        if "pip install" in line and "$(BIN)" in line
    ]
    assert len(installs) == 2
    assert "--require-hashes --requirement requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation --editable ." in installs[1]


FINE: dict[str, Any] = {"name": "fine", "version": "1.0", "vulns": []}
WORM: dict[str, Any] = {
    "name": "apple",
    "version": "1.0",
    "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}],
}
UNKNOWN: dict[str, Any] = {"name": "unknown", "skip_reason": "could not be audited"}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([FINE, FINE], 0, "2 packages were looked up"),
        ([FINE, WORM, UNKNOWN], 1, "apple 1.0: CVE-1, mended in 1.1"),
        ([FINE, UNKNOWN], 2, "Not audited, because the service does not know them: unknown"),
        ([UNKNOWN, UNKNOWN], 2, "none of 2 packages was audited"),
    ],
)
def test_what_was_not_audited_is_not_called_sound(packages: list[Any], code: int, says: str) -> None:
    told = verdict({"dependencies": packages})
    assert told[0] == code
    assert says in told[1]
