"""The house stands as it is drawn: imports point down, and the pure half is pure. The checkers are checked too."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = ["engine", "ledger", "agreement", "payment", "roster", "money", "identity", "instant", "refusal"]
CHECKER = Path(sys.executable).parent / "lint-imports"


def check_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CHECKER, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_all_imports_point_down() -> None:
    done = check_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("engine/decide.py", "import time", "read no clock"),
        ("ledger/account.py", "from random import random", "read no clock"),
        ("agreement/header.py", "import secrets", "read no clock"),
        ("money.py", "import pathlib", "read no clock"),
        ("identity.py", "import logging", "read no clock"),
        ("ledger/entry.py", "from ciranda.agreement.header import Header", "Imports point down"),
        ("engine/view.py", "from ciranda.ports import Store", "Imports point down"),
        ("node/node.py", "from ciranda.assembly import serve", "Imports point down"),
        ("money.py", "from ciranda.identity import Ispb", "Imports point down"),
    ],
)
def test_an_import_that_points_up_or_out_is_caught(
    scratch: Path, module: str, line: str, broken: str
) -> None:
    file = scratch / "src" / "ciranda" / module
    file.write_text(f"{file.read_text()}\n{line}\n")
    done = check_imports(scratch)
    assert done.returncode == 1, done.stdout
    words = " ".join(done.stdout.split())
    assert re.search(rf"{broken}[^:]* BROKEN", words), words


def test_every_module_has_its_place_in_the_drawing() -> None:
    """What is in no layer, no contract looks at."""
    drawing = (ROOT / "pyproject.toml").read_text()
    here = {
        path.stem if path.suffix == ".py" else path.name
        for path in (ROOT / "src" / "ciranda").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    missing = {name for name in here if f"ciranda.{name}" not in drawing} - {"__init__", "__main__"}
    assert missing == set()


# Time, randomness, identity: the three holes through which purity leaks.


def impurities(source: str) -> list[str]:
    """The calls of one module whose answer depends on more than what they were given."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(
                    id="hash" | "id" | "open" | "input" | "print" | "globals" | "__import__" as name
                ):
                    found.append(f"{name}() in line {node.lineno}")
                case ast.Attribute(attr="now" | "utcnow" | "today" | "fromtimestamp" as name):
                    found.append(f".{name}() in line {node.lineno}")
    return found


def pure_files() -> list[Path]:
    house = ROOT / "src" / "ciranda"
    return sorted(
        file
        for name in PURE
        for file in (
            [house / f"{name}.py"] if (house / f"{name}.py").exists() else (house / name).rglob("*.py")
        )
    )


@pytest.mark.parametrize(
    "file", pure_files(), ids=lambda file: str(file.relative_to(ROOT / "src" / "ciranda"))
)
def test_the_pure_half_asks_nothing_of_the_world(file: Path) -> None:
    assert impurities(file.read_text()) == []


@pytest.mark.parametrize(
    "line", ["hash(x)", "id(x)", "datetime.now(UTC)", "date.today()", "x = f(datetime.utcnow())", "open('x')"]
)
def test_what_is_impure_is_seen(line: str) -> None:
    assert len(impurities(line)) == 1


def test_an_argument_that_is_called_id_is_nothing_impure() -> None:
    assert impurities("def f(id, now): return (record.id, g(id=id), now)") == []


WITNESSED = """
from ciranda.agreement.header import choose_witnesses
from ciranda.identity import EndToEndId
banks = {f"1000000{n}" for n in range(9)}
print(choose_witnesses(EndToEndId("E10000001202611230514abcDEF12345"), "10000001", banks, banks, banks, frozenset(), 5))
"""


def test_the_order_of_a_set_never_shows() -> None:
    """Sets of text are walked in another order in each process: every answer must be the same in all of them."""
    said = {
        subprocess.run(
            [sys.executable, "-c", WITNESSED],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in range(3)
    }
    assert len(said) == 1
