"""SQL behind one door: the bank's database, SQLite or PostgreSQL."""

from ciranda.storage.migration import SchemaMismatch, check_schema, migrate
from ciranda.storage.opening import make_store
from ciranda.storage.sqlite import DatabaseTaken
from ciranda.storage.store import WrongBank

__all__ = ["DatabaseTaken", "SchemaMismatch", "WrongBank", "check_schema", "make_store", "migrate"]
