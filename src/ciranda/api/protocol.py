"""What is no HTTP at all is answered like everything else: with a problem."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ciranda.api.answers import PROBLEM_MEDIA, encode
from ciranda.wire.problem import FieldError, problem


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, but for the words it finds for a request that it cannot read."""

    def send_400_response(self, msg: str) -> None:
        fault = FieldError(field="", message=msg or "no valid HTTP")
        body = encode(problem("bad_request", errors=(fault,)))
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_MEDIA}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        transport: Any = self.transport
        transport.write(head.encode() + body)
        transport.close()
