"""Known vulnerabilities of what `requirements.lock` pins: `make advisories`.

pip-audit asks a service of advisories, and ends well also where it learned nothing: what it could not look up it skips.
Here that is told apart. Exit code 0: all were looked up and none is known to be vulnerable; 1: some are; 2: some or all
were not looked up.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[2] / "requirements.lock"


def verdict(report: dict[str, Any]) -> tuple[int, str]:
    """The exit code, and what is said. `report`: as pip-audit writes it in JSON."""
    packages = report["dependencies"]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    vulnerable = [
        f"{one['name']} {one['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for one in packages
        for found in one.get("vulns", ())
    ]
    if vulnerable:
        return 1, "\n".join(["Known to be vulnerable:", *vulnerable])
    if skipped and len(skipped) == len(packages):
        return (
            2,
            f"No service of advisories could be asked here: none of {len(packages)} packages was audited.",
        )
    if skipped:
        return 2, f"Not audited, because the service does not know them: {', '.join(skipped)}."
    return 0, f"{len(packages)} packages were looked up; none is known to be vulnerable."


def main() -> int:
    """`pip-audit`, with its path as the first argument, and more options after it."""
    run = subprocess.run(
        [
            *sys.argv[1:],
            *("--requirement", str(LOCK), "--require-hashes", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        code, words = verdict(json.loads(run.stdout))
    except ValueError:
        code, words = (
            2,
            f"No service of advisories could be asked here: nothing was audited.\n{run.stderr[-500:]}",
        )
    print(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
