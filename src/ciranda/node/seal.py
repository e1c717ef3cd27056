"""Sealing: what must be kept and read again, but not by whoever gets hold of a copy of the database.

AES-256-GCM under a secret of the bank, bound to what the text is for: it opens nowhere else.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ciranda.ports import Dice

_NONCE_BYTES = 12


class Seal:
    def __init__(self, key: bytes, dice: Dice) -> None:
        self._cipher = AESGCM(key)
        self._dice = dice

    def close(self, text: bytes, bound_to: str) -> bytes:
        nonce = self._dice.bits(8 * _NONCE_BYTES).to_bytes(_NONCE_BYTES, "big")
        return nonce + self._cipher.encrypt(nonce, text, bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> bytes | None:
        """None if the bank's secret has changed since, or if it was sealed for something else."""
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, text, bound_to.encode())
        except InvalidTag:
            return None
