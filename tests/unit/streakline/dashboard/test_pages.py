"""Names that someone may have meant."""

from streakline.dashboard.pages import near_matches


def test_those_that_hold_what_was_asked_for_come_first() -> None:
    names = [*(f"other-{number}" for number in range(100)), "team/sft-7", "sft-8"]
    assert near_matches("SFT-7", names)[0] == "team/sft-7"
    assert "sft-8" in near_matches("sft-7", names)
    assert near_matches("zzzz", names) == []
    assert len(near_matches("other", names)) == 5
