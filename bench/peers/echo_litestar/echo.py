"""An echo of a payment through Litestar: a body parsed into Ciranda's own shape, answered in Ciranda's own shape.

Written as Ciranda's own routes are. To let Litestar parse and encode (`data: Payment`) is a tenth slower.
"""

from typing import Any

import msgspec
from litestar import Litestar, Request, Response, post

from bench.peers.echo import view_of
from ciranda.api.payments import Payment

_decoder = msgspec.json.Decoder(Payment)
_encoder = msgspec.json.Encoder()


@post("/v1/payments")
async def echo(request: Request[Any, Any, Any]) -> Response[bytes]:
    answer = _encoder.encode(view_of(_decoder.decode(await request.body())))
    return Response(answer, status_code=201, media_type="application/json")


app = Litestar([echo], openapi_config=None, logging_config=None)
