"""The commands that run banks, as a newcomer meets them: real processes, and none of them is left behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ciranda.cli.demo import free_base_port

PATIENCE_S = 120.0
CIRANDA = [sys.executable, "-m", "ciranda.cli.main"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a consortium goes. Whatever a failed test leaves running in it is killed."""
    yield tmp_path / "circle"
    for process in banks_of(tmp_path):
        process.kill()


def ciranda(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*CIRANDA, *(str(word) for word in words)]
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@contextmanager
def started(*words: object, until: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that stays, from when it has said `until`, and what it had said."""
    command = [*CIRANDA, *(str(word) for word in words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if until in line:
                    break
            assert until in said, said
            yield process, said
        finally:
            process.kill()


def banks_of(folder: Path) -> list[psutil.Process]:
    """Every process that serves a bank of this folder, or a worker of one."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(
            word.startswith(str(folder)) and word.endswith("bank.toml") for word in words
        ):
            found.append(process)
    return found


def assert_no_bank_is_left(folder: Path) -> None:
    _, left = psutil.wait_procs(banks_of(folder), timeout=10)
    assert left == []


def wait_until_gone(folder: Path) -> None:
    patience_ends = time.monotonic() + PATIENCE_S
    while banks_of(folder) and time.monotonic() < patience_ends:
        psutil.wait_procs(banks_of(folder), timeout=1)
    assert banks_of(folder) == []


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = ciranda("demo", "--once", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("insufficient_funds", "kill -9", "is still dead", "same Idempotency-Key", "All holds"):
        assert said in done.stdout
    assert done.stdout.count("settled") > 4
    assert_no_bank_is_left(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_chaos_demo_ends_with_the_sum_of_money_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = ciranda("demo", "--chaos", "--minutes", 0.1, "--seed", 4, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("kill -9", "all decided", "✓ I4", "customers' money after", "whatever struck"):
        assert said in done.stdout
    assert_no_bank_is_left(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_chaos_demo_that_is_interrupted_leaves_no_bank_behind(folder: Path) -> None:
    words = ("demo", "--chaos", "--dir", folder, "--seed", 5)
    with started(*words, until="kill -") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
    assert_no_bank_is_left(folder)


def test_the_demo_stays_up_until_ctrl_c_and_ends_cleanly(folder: Path) -> None:
    with started("demo", "--dir", folder, until="Press Ctrl-C to stop") as (process, said):
        assert len(banks_of(folder)) == 4
        (url,) = re.findall(r"(http://127\.0\.0\.1:\d+)/v1/sessions", said)
        with urllib.request.urlopen(f"{url}/health/ready") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    assert_no_bank_is_left(folder)


def test_a_demo_that_is_interrupted_early_leaves_no_bank_behind(folder: Path) -> None:
    with started("demo", "--dir", folder, until="A payment that cannot be") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert_no_bank_is_left(folder)


def test_banks_die_with_a_demo_that_is_killed(folder: Path) -> None:
    with started("demo", "--dir", folder, until="kill -STOP") as (process, _):
        process.kill()
    wait_until_gone(folder)


def test_the_demo_refuses_a_folder_that_is_a_consortium(folder: Path) -> None:
    assert ciranda("init", folder).returncode == 0
    done = ciranda("demo", "--dir", folder, "--once")
    assert done.returncode == 2
    assert "is a consortium already" in done.stderr


@contextmanager
def consortium_up(folder: Path) -> Iterator[subprocess.Popen[str]]:
    assert ciranda("init", folder, "--base-port", free_base_port()).returncode == 0
    with started("up", folder, until="All banks are up") as (process, _):
        yield process


def test_up_runs_all_banks_until_it_is_told_to_end(folder: Path) -> None:
    with consortium_up(folder) as up:
        assert len(banks_of(folder)) == 4
        assert {process.ppid() for process in banks_of(folder)} == {up.pid}
        up.terminate()
        assert up.wait(PATIENCE_S) == 0
    assert_no_bank_is_left(folder)


def test_banks_die_with_an_up_that_is_killed(folder: Path) -> None:
    with consortium_up(folder) as up:
        up.kill()
        up.wait(PATIENCE_S)
        wait_until_gone(folder)


def test_up_fails_when_a_bank_cannot_start_and_leaves_none_running(folder: Path) -> None:
    base = free_base_port()
    assert ciranda("init", folder, "--base-port", base).returncode == 0
    with socket.socket() as taken:
        # As a server takes it: also while a connection of an earlier test still lingers there.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", base + 3))
        taken.listen()
        done = ciranda("up", folder)
    assert done.returncode == 2
    assert "Sumaúma ended before it was ready" in done.stderr
    assert_no_bank_is_left(folder)


def test_audit_asks_all_banks_and_says_so_when_one_is_gone(folder: Path) -> None:
    with consortium_up(folder):
        done = ciranda("audit", folder, "--json")
        assert done.returncode == 0, done.stdout
        assert json.loads(done.stdout)["checks"] == {"I1": True, "I2": True, "I4": True}
        banks_of(folder / "jatoba")[0].kill()
        done = ciranda("audit", folder)
        assert done.returncode == 2
        assert "Jatobá could not be asked" in done.stdout
