"""Money: integers in minor units (centavos). Never a float.

The bounds keep every sum inside a signed 64-bit column: an amount, a customer's balance, and the
balance of a bank's own accounts, which add up many customers.
"""

from typing import NewType

Amount = NewType("Amount", int)

AMOUNT_MAX = 10**15
BALANCE_MAX = 9 * 10**15
OWN_BALANCE_MAX = 9 * 10**18


def spell(amount: int, currency: str = "BRL") -> str:
    """An amount as a Brazilian writes it: `R$ 1.234,56`, `-R$ 0,05`."""
    sign = "-" if amount < 0 else ""
    units, cents = divmod(abs(amount), 100)
    symbol = "R$" if currency == "BRL" else currency
    return f"{sign}{symbol} {units:,}".replace(",", ".") + f",{cents:02d}"
