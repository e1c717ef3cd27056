"""TLS, as a bank serves it and asks for it: contexts made of the files that its settings name.

Nothing under TLS 1.2 is spoken. A context stays the same for as long as the bank runs, since the listeners hold it:
`renew` reads its files again, and each connection that is made from then on gets the new certificate. An authority
that was added is trusted from then on; one that was taken away is trusted until the next start.
"""

import ssl
from pathlib import Path

from ciranda.settings import BankSettings, PeerTls, SettingsError, Tls


class Contexts:
    """A bank's three: for its customers, for its peers, and for its own calls to its peers."""

    def __init__(self, settings: BankSettings) -> None:
        """Raises SettingsError."""
        peer = settings.peer_tls
        self.public = None if settings.tls is None else _listening(settings.tls)
        self.peers = None if peer is None or peer.own is None else _listening(peer.own)
        self.calls = calling(None if peer is None else peer.authority)
        if self.peers is not None and peer is not None and peer.mutual:
            self.peers.verify_mode = ssl.CERT_REQUIRED
        self._trust(peer)

    def renew(self, settings: BankSettings) -> None:
        """Reads certificates and keys again. Raises SettingsError, and then some may be new and some old."""
        if self.public is not None and settings.tls is not None:
            _show(self.public, settings.tls)
        peer = settings.peer_tls
        if self.peers is not None and peer is not None and peer.own is not None:
            _show(self.peers, peer.own)
        self._trust(peer)

    def _trust(self, peer: PeerTls | None) -> None:
        if peer is None:
            return
        if peer.own is not None:
            _show(self.calls, peer.own)
        if peer.authority is not None:
            for context in (self.peers, self.calls):
                if context is not None:
                    _load(context, peer.authority)


def calling(authority: Path | None) -> ssl.SSLContext:
    """For calls to whom the authority vouches for; None: to whom this machine trusts. Raises SettingsError."""
    context = ssl.create_default_context() if authority is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is not None:
        _load(context, authority)
    return context


def _listening(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, tls)
    return context


def _show(context: ssl.SSLContext, tls: Tls) -> None:
    # Tried on another one first: a certificate without its key would leave half of each in the context.
    for one in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
        try:
            one.load_cert_chain(tls.certificate, tls.key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise SettingsError(
                f"{tls.certificate}: this is not a certificate that {tls.key} is the key of: {error}."
            ) from error


def _no_password() -> str:
    """A bank starts without a person at its side."""
    raise ValueError("the key is encrypted")


def _load(context: ssl.SSLContext, authority: Path) -> None:
    try:
        context.load_verify_locations(authority)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"{authority}: these are no certificates: {error}.") from error
