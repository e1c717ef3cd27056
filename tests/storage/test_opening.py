"""What a database says when it fails goes to the log: it must not say of whom it was asked."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ciranda.storage.opening import _reader


def test_an_error_of_the_database_does_not_tell_what_it_was_asked_for(url: str) -> None:
    reader = _reader(url)
    try:
        with reader.connect() as connection, pytest.raises(DBAPIError) as raised:
            connection.execute(
                text("SELECT name FROM nowhere WHERE document = :document"), {"document": "52998224725"}
            )
        assert "nowhere" in str(raised.value)
        assert "52998224725" not in str(raised.value)
    finally:
        reader.dispose()
