"""A payment as the bytes of one HTTP request, and what its answer says: made of parts, for a generator must be light."""

import secrets
from collections.abc import Callable, Sequence

Transfer = bytes
"""One element of a request's `transfers`, in JSON."""


def transfer(source: bytes, target: bytes, amount: int, mandate: bytes | None = None) -> Transfer:
    if mandate is None:
        return b'{"source":"%b","target":"%b","amount":%d}' % (source, target, amount)
    return b'{"source":"%b","target":"%b","amount":%d,"mandate":"%b"}' % (source, target, amount, mandate)


class Sender:
    """Makes requests of one run: no key of it was ever used before."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4).encode()

    def payment(self, number: int, token: bytes, *transfers: Transfer) -> bytes:
        body = b'{"transfers":[%b]}' % b",".join(transfers)
        return (
            b"POST /v1/payments HTTP/1.1\r\nHost: bank\r\nAuthorization: Bearer %b\r\nIdempotency-Key: %b-%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (token, self._run, number, len(body), body)
        )

    def batch(self, number: int, token: bytes, transfers: Sequence[Transfer]) -> bytes:
        """One payment for each of the transfers."""
        payments = [
            b'{"key":"%b-%d-%d","transfers":[%b]}' % (self._run, number, place, one)
            for place, one in enumerate(transfers)
        ]
        body = b'{"payments":[%b]}' % b",".join(payments)
        return (
            b"POST /v1/payments/batches HTTP/1.1\r\nHost: bank\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (token, len(body), body)
        )


def outcome(status: int, body: bytes) -> str:
    """The status; for a payment that was refused, or a problem, also its code."""
    if status == 201:
        return "201"
    _, found, rest = body.partition(b'"code":"')
    code = rest.partition(b'"')[0].decode()
    return f"{status} {code}" if found else str(status)


def batch_outcome(size: int) -> Callable[[int, bytes], str]:
    """Whether all `size` payments of a batch were settled."""

    def told(status: int, body: bytes) -> str:
        settled = body.count(b'"status":"settled"')
        return outcome(status, body) if status != 200 or settled == size else "200 with refusals"

    return told
