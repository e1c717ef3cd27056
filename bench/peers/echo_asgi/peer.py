from functools import partial

from bench.peers.echo import start
from bench.peers.peers import Peer

PEER = Peer(
    name="echo_asgi", what="an echo as a bare ASGI handler on uvicorn", start=partial(start, "echo_asgi")
)
