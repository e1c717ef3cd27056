"""`/v1/payments/batches`: many payments in one request, each atomic by itself."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from msgspec import UNSET, Meta, UnsetType

from ciranda.api import body, shape
from ciranda.api.answers import bad_request, describe, ok
from ciranda.api.caller import customer_only, document_of, node_of
from ciranda.api.code import code_of
from ciranda.api.once import check_key, once
from ciranda.api.payments import Payment, TransferOrder, order_of
from ciranda.api.show import RefusalView, refusal_view
from ciranda.engine.record import Record
from ciranda.engine.reply import Denied
from ciranda.payment import TRANSFERS_MAX
from ciranda.wire.problem import DETAIL

PAYMENTS_MAX = 5_000
BATCH_TRANSFERS_MAX = 10_000
BODY_MAX = 8 * 1024 * 1024


class KeyedPayment(body.Body, frozen=True, kw_only=True):
    key: shape.Key
    transfers: Annotated[list[TransferOrder], Meta(min_length=1, max_length=TRANSFERS_MAX)]
    description: shape.Description | None = None
    reference: shape.Reference | None = None


class Batch(body.Body, frozen=True, kw_only=True):
    payments: Annotated[list[KeyedPayment], Meta(min_length=1, max_length=PAYMENTS_MAX)]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    id: str | None
    """Null if the key was used before with another body."""
    status: str
    refusal: RefusalView | UnsetType = UNSET


class Results(msgspec.Struct, frozen=True, kw_only=True):
    results: list[Result]


_batch = msgspec.json.Decoder(Batch)


@post(
    "/v1/payments/batches",
    status_code=200,
    guards=[customer_only],
    request_max_body_size=BODY_MAX,
    opt=describe(body=Batch, answers={200: Results}, problems=(429,), code=True),
)
async def pay_batch(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Pays many payments; each result stands where its payment stood."""
    batch = await body.parse(request, _batch)
    if sum(len(payment.transfers) for payment in batch.payments) > BATCH_TRANSFERS_MAX:
        bad_request("payments", f"at most {BATCH_TRANSFERS_MAX} transfers in all")
    node, caller, code = node_of(request), document_of(request), code_of(request)
    orders = []
    for place, keyed in enumerate(batch.payments):
        within = f"payments[{place}]."
        payment = Payment(transfers=keyed.transfers, description=keyed.description, reference=keyed.reference)
        key = check_key(f"{within}key", keyed.key)
        orders.append(order_of(payment, once(key, "payments", payment), caller, code, within))
    outcomes = await node.pay_all(orders)
    results = [
        _result(keyed.key, outcome, node.bank.ispb)
        for keyed, outcome in zip(batch.payments, outcomes, strict=True)
    ]
    return ok(Results(results=results))


def _result(key: str, outcome: Record | Denied, bank: str) -> Result:
    if isinstance(outcome, Denied):
        code = outcome.code.value
        refusal = RefusalView(code=code, iso="", detail=DETAIL[code], bank=bank)
        return Result(key=key, id=None, status="refused", refusal=refusal)
    return Result(
        key=key,
        id=outcome.id,
        status=outcome.status.value,
        refusal=UNSET if outcome.refusal is None else refusal_view(outcome.refusal),
    )
