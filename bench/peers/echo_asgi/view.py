"""What both echoes answer: the payment as if it were settled, as long as Ciranda's own answer."""

from ciranda.api.payments import Payment
from ciranda.api.show import PaymentView, TransferView


def view_of(payment: Payment) -> PaymentView:
    return PaymentView(
        id="E1000000120260101000012345678901",
        kind="payment",
        status="settled",
        transfers=[
            TransferView(source=transfer.source, target=transfer.target, amount=transfer.amount)
            for transfer in payment.transfers
        ],
        amount=sum(transfer.amount for transfer in payment.transfers),
        description=payment.description,
        reference=payment.reference,
        created_at="2026-01-01T00:00:12.345Z",
        decided_at="2026-01-01T00:00:12.345Z",
    )
