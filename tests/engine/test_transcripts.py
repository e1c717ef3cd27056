"""The stories in `transcripts/`, each told again by the engine."""

from pathlib import Path

import pytest

from tests.engine.transcript import Transcript

STORIES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("file", STORIES, ids=lambda file: file.stem)
def test_the_banks_do_as_the_story_tells(file: Path) -> None:
    Transcript(file).play()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("A: ana has 2", "ana@A"),
        ("A: ana orders P1: ana@A -> bia@A 1", "settled"),
        ("A: ana orders P1: ana@A -> bia@A 1\n  = prepared", "settled"),
        ("A: something happens", "nobody knows"),
    ],
)
def test_a_story_that_is_not_true_is_caught(tmp_path: Path, line: str, why: str) -> None:
    story = tmp_path / "untrue.txt"
    story.write_text(f"banks A B\nA: deposit 1 to ana\n{line}\n")
    with pytest.raises(AssertionError, match=why):
        Transcript(story).play()
