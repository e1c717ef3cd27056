"""Every link in a document leads somewhere, and every document is found from the README."""

from pathlib import Path

import pytest

from ciranda.identity import check_digit
from tests.docs import pages


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in pages.anchors(target)):
            broken.append(link)
    assert not broken


def test_every_document_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [pages.ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in pages.links(page)]
    assert set(pages.PAGES) == reached


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_account_in_an_example_has_its_check_digit(page: Path) -> None:
    for _, branch, number in pages.addresses(page):
        assert check_digit(branch, number[:-1]) == number[-1], f"{branch}.{number}"
