"""How an echo is started and stopped: one process of uvicorn."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench.peers.peers import Running, Site, address_of, between, listen, uvicorn, wait_until_it_answers
from ciranda.api.payments import Payment
from ciranda.api.show import PaymentView, TransferView


def view_of(payment: Payment) -> PaymentView:
    """What every echo answers: the payment as if it were settled, as long as Ciranda's own answer."""
    return PaymentView(
        id="E10000001202601010000AbCdEfGhIjK",
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


@contextmanager
def start(name: str, site: Site) -> Iterator[Running]:
    """The echo of the folder with this name."""
    listener = listen()
    address = address_of(listener)
    with uvicorn(f"bench.peers.{name}.echo:app", listener, site.folder(name) / "echo.log") as pid:
        wait_until_it_answers(address)
        yield Running(
            addresses=(address,),
            pids=(pid,),
            request=partial(between, accounts=site.accounts),
            money=lambda: 0,
        )
