"""Read by Python before anything else when this folder is on its path: a bank that writes down all it is able to say."""

import logging
from typing import Any

_configure = logging.basicConfig


def _talk(**settings: Any) -> None:
    _configure(**{**settings, "level": logging.DEBUG})
    logging.getLogger("talkative").debug("everything is said")


logging.basicConfig = _talk
