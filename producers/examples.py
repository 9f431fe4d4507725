"""Examples of every event, valid and not, for whoever writes a trainer in another language."""

from typing import Literal, get_args

import msgspec
from msgspec import Struct

from producers.codec import Reason
from producers.events import (
    SIGNAL_TYPE,
    STEP_SIGNAL_TYPE,
    CategoryRegression,
    CategoryScore,
    DiffCompleted,
    DiffFailed,
    Event,
    RunCompleted,
    RunFailed,
    RunStarted,
    ScoreChange,
    Signal,
    StepEvent,
)

EventName = Literal["step", "run_started", "run_completed", "run_failed", "signal", "diff_completed", "diff_failed"]

EVENT_NAMES: tuple[EventName, ...] = get_args(EventName)


class InvalidExample(Struct, frozen=True):
    """Text that is no event, and what is said of it."""

    raw: str
    reason: Reason
    detail: str
    seen_by_schema: bool
    """False where JSON Schema cannot say it: the text is no JSON, is too long, or a number is written wrongly"""


_BASE_SHA = "3f2a" * 16
_FT_SHA = "9b1c" * 16

VALID: dict[EventName, Event] = {
    "step": StepEvent(
        run_id="sft/2026-01-01",
        attempt=1,
        step=120,
        ts=1767225720.25,
        loss=float("nan"),
        learning_rate=2e-5,
        max_grad=1.75,
        grad_norms={"layers.0.self_attn": 1.5, "layers.0.mlp": float("inf"), "lm_head": None},
        dead_layers=["layers.3.mlp"],
        epoch=0.4,
    ),
    "run_started": RunStarted(
        run_id="sft/2026-01-01",
        attempt=1,
        ts=1767225600.0,
        project="assistant",
        base_model="/models/base",
        early_stop=("loss_plateau", "team.learning_rate_zero"),
        layer_kinds={"blocks.0.mixer": "attention"},
        config={"optimizer": "adamw"},
    ),
    "run_completed": RunCompleted(
        run_id="sft/2026-01-01",
        attempt=1,
        ts=1767229200.0,
        project="assistant",
        base_model="/models/base",
        checkpoint="/checkpoints/sft",
        steps=3600,
        eval_set="/evals/default.jsonl",
        saes=("/saes/layer-8",),
        tokenizer="/models/base",
    ),
    "run_failed": RunFailed(
        run_id="sft/2026-01-01", attempt=1, ts=1767229200.0, project="assistant", error="RuntimeError: out of memory"
    ),
    "signal": Signal(
        signal_id="sft/2026-01-01/1/120/dead_layers",
        run_id="sft/2026-01-01",
        project="assistant",
        attempt=1,
        step=120,
        ts=1767225720.25,
        type="dead_layers",
        severity="warning",
        metric="grad_norms.layers.3.mlp",
        value=5.0,
        threshold=5.0,
        layers={"layers.3.mlp": 5},
        epoch=0.4,
        message="layers.3.mlp: gradient norm below 1e-06 for up to 5 consecutive steps at step 120",
        action=None,
    ),
    "diff_completed": DiffCompleted(
        run_id="sft/2026-01-01",
        attempt=1,
        ts=1767229200.0,
        project="assistant",
        diff_id="00112233445566ff",
        base_sha=_BASE_SHA,
        ft_sha=_FT_SHA,
        probes_sha="51de" * 4,
        scores=(ScoreChange(score="robustness", base=0.227, fine_tuned=0.917, verdict="improved"),),
        categories=(CategoryScore(category="reasoning", score=0.65, n=400, standard_error=0.0238),),
        heaviest_layers=(8, 3),
    ),
    "diff_failed": DiffFailed(
        run_id="sft/2026-01-01",
        attempt=1,
        ts=1767229200.0,
        project="assistant",
        reason="missing",
        error="/checkpoints/sft is not there: mount it where the worker runs",
    ),
}

REGRESSED = Signal(
    signal_id="sft/2026-01-01/1/0/category_regressed/reasoning",
    run_id="sft/2026-01-01",
    project="assistant",
    attempt=1,
    step=0,
    ts=1767229200.0,
    type="category_regressed",
    severity="warning",
    metric="score.reasoning",
    value=0.65,
    threshold=0.7,
    layers=None,
    epoch=None,
    message="reasoning: the checkpoint scores 65.00%, 10.00 points below the 75.00% of run sft/2025-12-31 before it",
    action=None,
    regression=CategoryRegression(
        category="reasoning",
        diff_id="00112233445566ff",
        base_sha=_BASE_SHA,
        ft_sha=_FT_SHA,
        prior_run_id="sft/2025-12-31",
        prior_score=0.75,
        drop_basis_points=1000,
        n=400,
        prior_n=400,
        standard_error=0.0322,
        significant=True,
    ),
)
"""a signal about a checkpoint; that of a step has no `regression`"""


def _invalid(raw: str, detail: str) -> InvalidExample:
    return InvalidExample(raw, "invalid", detail, seen_by_schema=True)


def _as_written(raw: str, detail: str) -> InvalidExample:
    return InvalidExample(raw, "invalid", detail, seen_by_schema=False)


def _not_json(raw: str, detail: str) -> InvalidExample:
    return InvalidExample(raw, "not_json", detail, seen_by_schema=False)


def _signal(**wrong: object) -> str:
    """The valid signal with some of its fields replaced."""
    return _replaced(VALID["signal"], wrong)


def _regression(**wrong: object) -> str:
    """The signal about a checkpoint with some of its regression's fields replaced."""
    return _replaced(REGRESSED, {"regression": {**msgspec.to_builtins(REGRESSED.regression), **wrong}})


def _diff(**wrong: object) -> str:
    """The valid diff with some of its fields replaced."""
    return _replaced(VALID["diff_completed"], wrong)


def _category(**wrong: object) -> str:
    """The same with a category in which some fields are replaced."""
    return _diff(categories=[{"category": "math", "score": 0.5, "n": 9, "standard_error": 0.1, **wrong}])


def _replaced(event: Event, wrong: dict[str, object]) -> str:
    return msgspec.json.encode({**msgspec.to_builtins(event), **wrong}).decode()


_STEP = '{"run_id":"a","step":1,"ts":1767225600.0,"loss":2.0'
_RUN_ID = r"Expected `str` matching regex '^[A-Za-z0-9._:/@-]{1,128}$(?!\\n)' - at `$.run_id`"

INVALID: dict[EventName, list[InvalidExample]] = {
    "step": [
        _not_json(
            '{"run_id":"a","step":1,"ts":1767225600.0,"loss":NaN}', "JSON is malformed: invalid character (byte 48)"
        ),
        _not_json(_STEP, "Input data was truncated"),
        _invalid('{"run_id":"a","step":1,"ts":1767225600.0}', "Object missing required field `loss`"),
        _invalid(
            '{"run_id":"a","step":1,"ts":1767225600.0,"loss":null}', "Expected `float | str`, got `null` - at `$.loss`"
        ),
        _invalid('{"run_id":"a","step":1,"ts":1767225600.0,"loss":"2.0"}', "Invalid enum value '2.0' - at `$.loss`"),
        _invalid('{"run_id":"a","step":-1,"ts":1767225600.0,"loss":2.0}', "Expected `int` >= 0 - at `$.step`"),
        _invalid('{"run_id":"a","step":1.5,"ts":1767225600.0,"loss":2.0}', "Expected `int`, got `float` - at `$.step`"),
        # To JSON Schema 1.0 is an integer, and 1e400 a number like any other.
        _as_written(
            '{"run_id":"a","step":1.0,"ts":1767225600.0,"loss":2.0}', "Expected `int`, got `float` - at `$.step`"
        ),
        _as_written('{"run_id":"a","step":1,"ts":1767225600.0,"loss":1e400}', "Number out of range - at `$.loss`"),
        _invalid('{"run_id":"a","step":1,"ts":"Infinity","loss":2.0}', "Expected `float`, got `str` - at `$.ts`"),
        _invalid('{"run_id":"no spaces","step":1,"ts":1767225600.0,"loss":2.0}', _RUN_ID),
        _invalid(
            _STEP + ',"gradNorms":{"layers.0":{"mlp":1.0}}}',
            "Expected `float | str | null`, got `object` - at `$.gradNorms[...]`",
        ),
        _invalid(_STEP + ',"maxGrad":"1.5"}', "Invalid enum value '1.5' - at `$.maxGrad`"),
        _invalid(_STEP + ',"type":"step"}', "Invalid value 'step' - at `$.type`"),
        _invalid(_STEP + ',"deadLayers":"layers.0.mlp"}', "Expected `array | null`, got `str` - at `$.deadLayers`"),
        _invalid(_STEP + ',"v":2}', "it is of version 2, this release reads 1 at most: upgrade, then requeue it"),
        InvalidExample(
            _STEP + "}" + " " * (1 << 20),
            "too_large",
            "1,048,628 bytes; an event has at most 1,048,576",
            seen_by_schema=False,
        ),
    ],
    "run_started": [
        _invalid('{"type":"run_begun","run_id":"a","ts":1.0}', "Invalid value 'run_begun' - at `$.type`"),
        _invalid('{"type":"run_started","run_id":"a"}', "Object missing required field `ts`"),
        _invalid(
            '{"type":"run_started","run_id":"a","ts":1.0,"early_stop":["loss_rising"]}',
            f"Expected `str` matching regex {STEP_SIGNAL_TYPE!r} - at `$.early_stop[0]`",
        ),
        _invalid(
            '{"type":"run_started","run_id":"a","ts":1.0,"early_stop":["category_regressed"]}',
            f"Expected `str` matching regex {STEP_SIGNAL_TYPE!r} - at `$.early_stop[0]`",
        ),
        _invalid(
            '{"type":"run_started","run_id":"a","ts":1.0,"config":{"lr":0.1}}',
            "Expected `str`, got `float` - at `$.config[...]`",
        ),
        _invalid(
            '{"type":"run_started","run_id":"a","ts":1.0,"layer_kinds":{"blocks.0":"attn"}}',
            "Invalid enum value 'attn' - at `$.layer_kinds[...]`",
        ),
    ],
    "run_completed": [
        _invalid('{"type":"run_completed","run_id":"a","ts":1.0}', "Object missing required field `steps`"),
        _invalid(
            '{"type":"run_completed","run_id":"a","ts":1.0,"steps":3,"saes":"/saes/layer-8"}',
            "Expected `array | null`, got `str` - at `$.saes`",
        ),
        _invalid(
            '{"type":"run_completed","run_id":"a","ts":1.0,"steps":"3"}', "Expected `int`, got `str` - at `$.steps`"
        ),
    ],
    "run_failed": [
        _invalid('{"type":"run_failed","run_id":"a","ts":1.0}', "Object missing required field `error`"),
        _invalid('{"type":"run_failed","run_id":"","ts":1.0,"error":"x"}', _RUN_ID),
        _invalid(
            '{"type":"run_failed","run_id":"a","ts":1.0,"error":null}', "Expected `str`, got `null` - at `$.error`"
        ),
    ],
    "signal": [
        _invalid('{"signal_id":"a/0/1/dead_layers"}', "Object missing required field `run_id`"),
        _invalid(_signal(severity="fatal"), "Invalid enum value 'fatal' - at `$.severity`"),
        _invalid(_signal(value=None), "Expected `float | str`, got `null` - at `$.value`"),
        _invalid(_signal(layers={"layers.3.mlp": "5"}), "Expected `int`, got `str` - at `$.layers[...]`"),
        _invalid(_signal(action="pause"), "Invalid enum value 'pause' - at `$.action`"),
        _invalid(_signal(type="category_rose"), f"Expected `str` matching regex {SIGNAL_TYPE!r} - at `$.type`"),
        _invalid(_signal(type="Team.check"), f"Expected `str` matching regex {SIGNAL_TYPE!r} - at `$.type`"),
        _invalid(_signal(type="team.a.check"), f"Expected `str` matching regex {SIGNAL_TYPE!r} - at `$.type`"),
        _invalid(_regression(n=-1), "Expected `int` >= 0 - at `$.regression.n`"),
        _invalid(_regression(significant=None), "Expected `bool`, got `null` - at `$.regression.significant`"),
    ],
    "diff_completed": [
        _invalid('{"type":"diff_done","run_id":"a","ts":1.0}', "Invalid value 'diff_done' - at `$.type`"),
        _invalid('{"type":"diff_completed","run_id":"a","ts":1.0}', "Object missing required field `diff_id`"),
        _invalid(_diff(diff_id="0011"), r"Expected `str` matching regex '^[0-9a-f]{16}$(?!\\n)' - at `$.diff_id`"),
        _invalid(
            _diff(base_sha="3F2A" * 16),
            r"Expected `str` matching regex '^[0-9a-f]{16,64}$(?!\\n)' - at `$.base_sha`",
        ),
        _invalid(_category(score=1.5), "Expected `float` <= 1.0 - at `$.categories[0].score`"),
        _invalid(_category(score="NaN"), "Expected `float`, got `str` - at `$.categories[0].score`"),
        _invalid(_category(n=0), "Expected `int` >= 1 - at `$.categories[0].n`"),
        _invalid(
            _diff(scores=[{"score": "robustness", "base": 0.2, "fine_tuned": 0.9, "verdict": "better"}]),
            "Invalid enum value 'better' - at `$.scores[0].verdict`",
        ),
    ],
    "diff_failed": [
        _invalid('{"type":"diff_failed","run_id":"a","ts":1.0,"error":"x"}', "Object missing required field `reason`"),
        _invalid(
            '{"type":"diff_failed","run_id":"a","ts":1.0,"error":"x","reason":"bad_luck"}',
            "Invalid enum value 'bad_luck' - at `$.reason`",
        ),
        _invalid('{"type":"diff_failed","run_id":"no spaces","ts":1.0,"error":"x","reason":"missing"}', _RUN_ID),
    ],
}
