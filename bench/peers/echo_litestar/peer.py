from functools import partial

from bench.peers.echo import start
from bench.peers.peers import Peer

PEER = Peer(
    name="echo_litestar", what="an echo through Litestar on uvicorn", start=partial(start, "echo_litestar")
)
