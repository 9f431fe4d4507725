"""The text that the demo's trainers learn: a river station's log, written by a small grammar."""

import random
from functools import cache

CORPUS_CHARACTERS = 100_000

_HOURS = "first light|sunrise|eight bells|noon|the turn of the tide|dusk|midnight".split("|")
_PLACES = "the old lock|the north quay|the weir|the iron bridge|the ferry steps|the sandbank|the mill race".split("|")
_VESSELS = "barge|tug|lugger|pilot cutter|dredger|ketch|coal boat|ferry".split("|")
_NAMES = "Morning Star|Patience|Gudrun|Blue Heron|Anna Maria|Second Wind|Old Tom|Perseverance".split("|")
_CARGOES = "timber|gravel|salt|barley|empty crates|slate|lamp oil|wool".split("|")
_WINDS = "north|north-east|east|south-east|south|south-west|west|north-west".split("|")
_SKIES = "clear|overcast|thick with mist|broken cloud|raining steadily|pale and cold".split("|")
_BIRDS = "herons|cormorants|terns|two swans|a kingfisher|no birds at all".split("|")
_DEEDS = (
    "passed {place} at {hour}|lay moored below {place} until {hour}|asked for the lock and was let through|"
    "went aground near {place} and came off with the tide|waited for water at {place}|turned back before {place}"
).split("|")
_REMARKS = (
    "The water is {colour} and smells of {smell}.|We saw {birds} near {place}.|"
    "Nothing moved on the river until {hour}.|"
    "The keeper counted {count} boats between {place} and the sea.|The lamp at {place} was lit at {hour}.|"
    "It will rain before {hour}, the keeper says."
).split("|")
_COLOURS = "brown|green|the colour of tea|grey|black under the bank".split("|")
_SMELLS = "peat|tar|cut grass|rain|iron|nothing".split("|")


@cache
def corpus(seed: int = 1) -> str:
    """100,000 characters of English, the same for the same seed: entries in prose, and quiet nights."""
    rng = random.Random(seed)  # noqa: S311 - the same each time
    entries: list[str] = []
    size = 0
    while size < CORPUS_CHARACTERS:
        entries.append(_night_watch(rng) if rng.random() < 0.2 else _entry(rng))
        size += len(entries[-1])
    return "".join(entries)[:CORPUS_CHARACTERS]


def _entry(rng: random.Random) -> str:
    sentences = [
        f"At {rng.choice(_HOURS)} the sky was {rng.choice(_SKIES)}, the wind {rng.choice(_WINDS)}.",
        *(_passage(rng) for _ in range(rng.randint(1, 3))),
        *(_filled(rng, rng.choice(_REMARKS)) for _ in range(rng.randint(1, 2))),
    ]
    return " ".join(sentences) + "\n\n"


def _passage(rng: random.Random) -> str:
    vessel = f"The {rng.choice(_VESSELS)} {rng.choice(_NAMES)}"
    load = f", loaded with {rng.choice(_CARGOES)}," if rng.random() < 0.6 else ""
    return f"{vessel}{load} {_filled(rng, rng.choice(_DEEDS))}."


def _filled(rng: random.Random, sentence: str) -> str:
    return sentence.format(
        place=rng.choice(_PLACES),
        hour=rng.choice(_HOURS),
        birds=rng.choice(_BIRDS),
        colour=rng.choice(_COLOURS),
        smell=rng.choice(_SMELLS),
        count=rng.randint(2, 40),
    )


def _night_watch(rng: random.Random) -> str:
    """A quiet night: easily learned, where an entry is not, which makes batches differ."""
    place = rng.choice(_PLACES)
    rows = [f"{hour % 24:02d}:00 {'. ' * 16}\n" for hour in range(20, 30)]
    return f"Quiet night at {place}.\n{''.join(rows)}\n"
