"""The README's commands do what it says: they exist, and its tour is walked from end to end."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ciranda.cli.demo import free_base_port
from tests.docs import pages

BIN = Path(sys.executable).parent
READY_S = 60
TOUR_S = 120


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_make_target_in_a_document_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", pages.text("Makefile"), re.MULTILINE))
    used = {
        target for block in pages.shell(page) for target in re.findall(r"^make ([a-z]+)", block, re.MULTILINE)
    }
    assert used <= targets


def test_every_file_that_the_architecture_names_exists_with_its_functions() -> None:
    source = pages.ROOT / "src" / "ciranda"
    for row in pages.rows(pages.section("ARCHITECTURE.md", "## The way of one payment")):
        for path, functions in re.findall(r"`([a-z_]+/[a-z_]+\.py)`((?: `[A-Za-z_.]+`,?(?: or)?)*)", row[1]):
            code = (source / path).read_text()
            for function in re.findall(r"`([A-Za-z_.]+)`", functions):
                for part in function.split("."):
                    assert re.search(rf"\b(def|class) {part}\b|^{part}\b", code, re.MULTILINE), (
                        f"{path}: {function}"
                    )


def test_the_tour_is_walked(tmp_path: Path) -> None:
    base = free_base_port()
    blocks = [_on_ports(block, base) for block in pages.shell(pages.ROOT / "README.md")]
    first = next(number for number, block in enumerate(blocks) if "ciranda init" in block)
    last = next(number for number, block in enumerate(blocks) if "ciranda audit" in block)
    made = blocks[first].splitlines()[0] + f" --base-port {base}"
    subprocess.run(["bash", "-euc", made], cwd=tmp_path, check=True, capture_output=True, timeout=READY_S)
    with _up(tmp_path, base):
        walked = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", "\n".join(blocks[first + 1 : last + 1])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TOUR_S,
        )
    assert walked.returncode == 0, walked.stderr
    answers = re.findall(r'"status":("?\w+"?)', walked.stdout)
    assert answers == ['"settled"', '"settled"', '"settled"', '"open"', "422"], walked.stdout
    assert '"code":"mandate_exceeded"' in walked.stdout
    assert "All holds" in walked.stdout


def _on_ports(block: str, base: int) -> str:
    """The block as it stands, but with the banks on other ports, and this installation's `ciranda`."""
    block = re.sub(r"127\.0\.0\.1:81(\d\d)", lambda match: f"127.0.0.1:{base + int(match[1])}", block)
    return block.replace(".venv/bin/ciranda", str(BIN / "ciranda"))


@contextmanager
def _up(folder: Path, base: int) -> Iterator[None]:
    with (folder / "up.log").open("wb") as log:
        banks = subprocess.Popen(
            [BIN / "ciranda", "up", "./circle"], cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        patience_ends = time.monotonic() + READY_S
        while not all(_ready(base + bank) for bank in range(1, 5)):
            assert banks.poll() is None, (folder / "up.log").read_text()
            assert time.monotonic() < patience_ends, (folder / "up.log").read_text()
            time.sleep(0.1)
        yield
    finally:
        banks.send_signal(signal.SIGTERM)
        banks.wait(READY_S)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
