"""A closed loop: so many connections, each sends its next payment when the last one is answered.

    python bench/load.py inside  [--seconds 10] [--connections 64] [--accounts 1000] [--database URL-TEMPLATE] [--workers N]
    python bench/load.py between

Starts its own banks on free ports of 127.0.0.1 in a temporary folder, and ends them. One transfer a request; durable
commits; the load generator shares the machine, and says how much of it it used. `inside`: random pairs of accounts of
one bank. `between`: from accounts of one bank to accounts of another.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import psutil

CIRANDA = str(Path(sys.executable).parent / "ciranda")


class Connection:
    """HTTP/1.1 with keep-alive, and no more of it than a load generator needs."""

    def __init__(self, url: str) -> None:
        self.host, port = url.removeprefix("http://").split(":")
        self.port = int(port)

    async def open(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def call(
        self, method: str, path: str, token: str, body: object, key: str = ""
    ) -> tuple[int, bytes]:
        data = json.dumps(body).encode()
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {token}\r\n"
            f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)


def cpf(number: int) -> str:
    digits = [int(digit) for digit in f"{number:09d}"]
    for _ in range(2):
        rest = (
            sum(digit * weight for digit, weight in zip(digits, range(len(digits) + 1, 1, -1), strict=True))
            % 11
        )
        digits.append(0 if rest < 2 else 11 - rest)
    return "".join(map(str, digits))


def free_base() -> int:
    while True:
        base = random.randrange(20_000, 55_000)
        try:
            for port in [base + i for i in range(1, 5)] + [base + 100 + i for i in range(1, 5)]:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base


class Bank:
    def __init__(self, folder: Path, slug: str, url: str, workers: int) -> None:
        self.url = url
        self.operator = (folder / slug / "operator.token").read_text().strip()
        self.process = subprocess.Popen(
            [CIRANDA, "serve", str(folder / slug / "bank.toml"), "--workers", str(workers)],
            stderr=(folder / f"{slug}.log").open("w"),
        )

    async def ready(self) -> None:
        for _ in range(300):
            try:
                connection = await Connection(self.url).open()
                status, _body = await connection.call("GET", "/health/ready", "", {})
                if status == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.1)
        raise SystemExit(f"{self.url} does not come up")

    async def customer(self, number: int, accounts: int) -> tuple[str, list[str]]:
        connection = await Connection(self.url).open()
        document, partner = cpf(number), cpf(number + 1)
        for one in (document, partner):
            await connection.call(
                "POST",
                "/v1/customers",
                "",
                {"document": one, "name": "Load", "password": "correct horse battery"},
            )
        _, answer = await connection.call(
            "POST", "/v1/sessions", "", {"document": document, "password": "correct horse battery"}
        )
        token = json.loads(answer)["token"]
        addresses: list[str] = []
        opener = [await Connection(self.url).open() for _ in range(32)]

        async def open_some(one: Connection, count: int) -> None:
            for _ in range(count):
                status, made = await one.call(
                    "POST",
                    "/v1/accounts",
                    token,
                    {"kind": "joint", "holders": [document, partner]},
                    f"a{random.getrandbits(60)}",
                )
                assert status == 201, made
                address = json.loads(made)["address"]
                status, made = await one.call(
                    "POST",
                    "/v1/deposits",
                    self.operator,
                    {"account": address, "amount": 10**9},
                    f"d{address}",
                )
                assert status == 201, made
                addresses.append(address)

        await asyncio.gather(*(open_some(one, accounts // 32) for one in opener))
        return token, addresses

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    base = free_base()
    command = [CIRANDA, "init", str(folder), "--banks", "2", "--base-port", str(base)]
    if options.database:
        command += ["--database", options.database]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    roster = tomllib.loads((folder / "consortium.toml").read_text())["bank"]
    banks = [Bank(folder, member["slug"], member["public_url"], options.workers) for member in roster]
    try:
        for bank in banks:
            await bank.ready()
        token, sources = await banks[0].customer(100_000_001, options.accounts)
        targets = sources
        if options.workload == "between":
            _, targets = await banks[1].customer(200_000_001, options.accounts)
        latencies: list[float] = []
        refused = 0
        run = f"{random.getrandbits(40):x}"

        async def client(number: int, until: float) -> None:
            nonlocal refused
            connection = await Connection(banks[0].url).open()
            count = 0
            while (start := time.perf_counter()) < until:
                count += 1
                source, target = random.choice(sources), random.choice(targets)
                if source == target:
                    continue
                body = {"transfers": [{"source": source, "target": target, "amount": 1}]}
                status, answer = await connection.call(
                    "POST", "/v1/payments", token, body, f"{run}-{number}-{count}"
                )
                if status == 201:
                    latencies.append(time.perf_counter() - start)
                else:
                    refused += 1
                    if refused < 4:
                        print(status, answer, file=sys.stderr)

        async def wave(seconds: float) -> None:
            until = time.perf_counter() + seconds
            await asyncio.gather(*(client(number, until) for number in range(options.connections)))

        await wave(2)
        latencies.clear()
        run += "x"
        cpu_before, own_before = [bank.cpu() for bank in banks], time.process_time()
        start = time.perf_counter()
        await wave(options.seconds)
        wall = time.perf_counter() - start
        count = len(latencies)
        ordered = sorted(latencies)
        return {
            "workload": options.workload,
            "database": "postgresql" if options.database else "sqlite",
            "workers": options.workers,
            "connections": options.connections,
            "accounts": len(sources),
            "payments_per_s": round(count / wall),
            "not_settled": refused,
            "p50_ms": round(statistics.median(ordered) * 1000, 1),
            "p99_ms": round(ordered[int(count * 0.99)] * 1000, 1),
            "max_ms": round(ordered[-1] * 1000, 1),
            "cpu_us_per_payment": [
                round((bank.cpu() - before) / count * 1e6)
                for bank, before in zip(banks, cpu_before, strict=True)
            ],
            "load_generator_us_per_payment": round((time.process_time() - own_before) / count * 1e6),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        }
    finally:
        for bank in banks:
            bank.process.terminate()
        for bank in banks:
            bank.process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workload", choices=["inside", "between"])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--database", help="as for `ciranda init`; default SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(measure(options, Path(folder) / "consortium")), indent=2))


if __name__ == "__main__":
    main()
