"""Small damage that leaves a question's meaning alone. Seeded by the probe: both models get the same prompts.

A corruption gives None where the prompt has nothing for it to damage; line breaks and the end of the prompt, which
the answer goes on from, stay.
"""

import re
from collections.abc import Callable

from workers.behaviour.draws import Draws

_FILLERS = ("Um, ", "So, ", "Okay, ", "Well, ", "Right, ", "By the way, ", "Quick question: ")
_FUNCTION_WORDS = frozenset(
    "a an the of in on at to for from by with is are was were be been do does did has have had that which or".split()
)
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_WORD = re.compile(r"[^\W\d_]+")
_SPACE = re.compile(r"(?<=\S) (?=\S)")

WORDS_PER_TYPO = 6


def _typos(prompt: str, draws: Draws) -> str | None:
    """Swaps two neighbouring letters inside one word in six, and in one at least."""
    letters = list(prompt)
    places = [
        [at for at in range(word.start() + 1, word.end() - 1) if letters[at] != letters[at + 1]]
        for word in _LONG_WORD.finditer(prompt)
    ]
    damageable = [swaps for swaps in places if swaps]
    for swaps in draws.some(damageable, max(1, len(damageable) // WORDS_PER_TYPO)):
        at = draws.choice(swaps)
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters) if damageable else None


def _case(prompt: str, draws: Draws) -> str | None:
    """All small, all capitals or the two exchanged."""
    others = [other for other in (prompt.lower(), prompt.upper(), prompt.swapcase()) if other != prompt]
    return draws.choice(others) if others else None


def _filler(prompt: str, draws: Draws) -> str | None:
    """Something that people say before they ask."""
    return draws.choice(_FILLERS) + prompt


def _dropped_word(prompt: str, draws: Draws) -> str | None:
    """One function word less; never the last word, which the answer leans on."""
    words = [word for word in list(_WORD.finditer(prompt))[:-1] if word.group().lower() in _FUNCTION_WORDS]
    between_spaces = [word for word in words if prompt[word.end()] == " "]
    if not between_spaces:
        return None
    word = draws.choice(between_spaces)
    return prompt[: word.start()] + prompt[word.end() + 1 :]


def _doubled_spaces(prompt: str, draws: Draws) -> str | None:
    """Half of the single spaces between words, and one at least."""
    spaces = [space.start() for space in _SPACE.finditer(prompt)]
    doubled = frozenset(draws.some(spaces, max(1, len(spaces) // 2)))
    return "".join("  " if at in doubled else letter for at, letter in enumerate(prompt)) if spaces else None


CORRUPTIONS: dict[str, Callable[[str, Draws], str | None]] = {
    "typos": _typos,
    "case": _case,
    "filler": _filler,
    "dropped_word": _dropped_word,
    "doubled_spaces": _doubled_spaces,
}


def corrupted(prompt: str, probe_id: str) -> dict[str, str]:
    """Which corruption → the damaged prompt; those that apply.

    >>> corrupted("The capital of France is", "p1")["doubled_spaces"].count("  ")
    2
    """
    damaged = {name: corrupt(prompt, Draws(f"{probe_id}\0{name}")) for name, corrupt in CORRUPTIONS.items()}
    return {name: text for name, text in damaged.items() if text is not None and text != prompt}
