"""The production checklist is what the doctor looks at, and the table of rights is the code's."""

from ciranda.cli.checkup import CHECKS
from ciranda.cli.doctor import SETTINGS
from ciranda.engine.operator import RIGHTS, ROOT_OF_TWO, Right
from tests.docs import pages

PRODUCTION, API = "docs/PRODUCTION.md", "docs/API.md"


def test_the_checklist_has_the_doctors_checks_in_their_order_with_why_and_how() -> None:
    told = pages.rows(pages.section(PRODUCTION, "## What is looked at"))
    assert told[0][0] == f"`{SETTINGS}`"
    assert [(row[0], row[2], row[3]) for row in told[1:]] == [
        (f"`{check.name}`", check.why, check.how) for check in CHECKS
    ]
    assert all(row[1] for row in told)


def test_the_table_of_rights_is_the_codes() -> None:
    rights = [*RIGHTS.values(), ROOT_OF_TWO]
    told = pages.rows(pages.section(API, "## The operators'"))[: len(Right)]
    assert [row[0].partition(":")[0] for row in told] == [f"`{right.value}`" for right in Right]
    assert [[cell == "yes" for cell in row[1:]] for row in told] == [
        [right in its_rights for its_rights in rights] for right in Right
    ]
