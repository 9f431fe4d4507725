"""The wire contract: every event that travels on a Streakline topic, as a typed struct.

JSON has no NaN, so a non-finite number travels as the string ``"NaN"``, ``"Infinity"`` or
``"-Infinity"`` (the rule of protobuf's JSON mapping). In Python it is an ordinary float: the structs
turn the strings back as they are built, `producers.codec` spells them on the way out.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeGuard, get_args

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import force_setattr

if TYPE_CHECKING:
    Number = float
else:
    Number = float | Literal["NaN", "Infinity", "-Infinity"]

MAX_INTEGER = 2**63 - 1
MAX_LAYERS = 16_384
DEFAULT_PROJECT = "default"
EVENT_VERSION = 1
"""raised where an earlier release would misread an event; what it may ignore is a new field, and raises nothing"""

# Python's $ also matches before a closing newline, JSON Schema's does not: the lookahead makes them agree.
PYTHON_END = r"(?!\n)"
IDENTIFIER = r"^[A-Za-z0-9._:/@-]{1,128}$" + PYTHON_END

RunId = Annotated[
    str, Meta(pattern=IDENTIFIER, description="1-128 characters of A-Z a-z 0-9 . _ : / @ -; the Kafka key")
]
Project = Annotated[str, Meta(pattern=IDENTIFIER, description="the project a run belongs to")]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Seconds = Annotated[float, Meta(description="Unix seconds")]
Text = Annotated[str, Meta(max_length=4096)]
LayerName = Annotated[str, Meta(max_length=512)]
Version = Annotated[
    int,
    Meta(ge=1, le=EVENT_VERSION, description="1 where it is left out; a reader refuses an event of a later version"),
]
DiffId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$" + PYTHON_END)]
Sha = Annotated[str, Meta(pattern=r"^[0-9a-f]{16,64}$" + PYTHON_END, description="hexadecimal digits of a SHA-256")]

DetectorType = Literal[
    "non_finite",
    "loss_diverging",
    "gradient_spike",
    "attention_head_dead",
    "dead_layers",
    "loss_plateau",
]
"""what a run's steps can show, of ours"""
SIGNAL_TYPES: tuple[str, ...] = (*get_args(DetectorType), "category_regressed")
"""and what the comparison of its checkpoint can"""

OWN_TYPE = r"[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,31}"
"""The type of an installed package's detector. The dot keeps it apart from ours, those to come included."""

STEP_SIGNAL_TYPE = f"^({'|'.join(get_args(DetectorType))}|{OWN_TYPE})$" + PYTHON_END
SIGNAL_TYPE = f"^({'|'.join(SIGNAL_TYPES)}|{OWN_TYPE})$" + PYTHON_END

StepSignalType = Annotated[
    str, Meta(pattern=STEP_SIGNAL_TYPE, description="of a detector; with a dot it is an installed package's own")
]
SignalType = Annotated[
    str, Meta(pattern=SIGNAL_TYPE, description="what fired; with a dot it is an installed package's own detector")
]
DiffFailure = Literal[
    "missing",
    "outside_roots",
    "unsafe_format",
    "checkpoint_invalid",
    "models_differ",
    "probes_invalid",
    "sae_unsupported",
    "sae_invalid",
    "sae_mismatch",
    "out_of_memory",
    "unavailable",
    "worker_died",
    "internal",
]
Verdict = Literal["improved", "regressed", "unchanged"]
Severity = Literal["info", "warning", "critical"]
LayerKind = Literal["attention", "other"]


def is_spelled(value: object) -> TypeGuard[str]:
    """Whether a number is still the string it travelled as."""
    return type(value) is str


class StepEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One optimizer step, as the trainer measured it. Norms are taken before clipping."""

    run_id: RunId
    step: Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="optimizer step index")]
    ts: Annotated[float, Meta(description="Unix seconds at which the trainer measured the step")]
    loss: Annotated[Number, Meta(description="training loss")]
    attempt: Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="grows every time the run is restarted")] = 0
    learning_rate: Number | None = None
    max_grad: Annotated[Number, Meta(description="largest per-parameter gradient norm, before clipping")] | None = (
        field(name="maxGrad", default=None)
    )
    grad_norms: (
        Annotated[
            dict[LayerName, Number | None],
            Meta(max_length=MAX_LAYERS, description="gradient norm of each layer; null is: not measured"),
        ]
        | None
    ) = field(name="gradNorms", default=None)
    dead_layers: (
        Annotated[list[LayerName], Meta(max_length=MAX_LAYERS, description="layers the producer itself counts as dead")]
        | None
    ) = field(name="deadLayers", default=None)
    epoch: Number | None = None
    version: Version = field(name="v", default=1)

    # A step is the event without a tag.
    type: ClassVar[UnsetType] = UNSET

    def __post_init__(self) -> None:
        # This runs for every event there is, and a number is seldom spelled.
        types: tuple[type, ...] = (type(self.loss), type(self.learning_rate), type(self.max_grad), type(self.epoch))
        if str in types:
            for name in ("loss", "learning_rate", "max_grad", "epoch"):
                if is_spelled(value := getattr(self, name)):
                    force_setattr(self, name, float(value))
        norms = self.grad_norms
        if norms and str in set(map(type, norms.values())):
            floats = {layer: float(norm) if is_spelled(norm) else norm for layer, norm in norms.items()}
            force_setattr(self, "grad_norms", floats)


class RunStarted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="run_started"):
    """A run, or a new attempt of it, begins; carries what its signals need to know of it."""

    run_id: RunId
    ts: Seconds
    attempt: Count = 0
    project: Project = DEFAULT_PROJECT
    base_model: Text | None = None
    early_stop: Annotated[
        tuple[StepSignalType, ...], Meta(description="signal types on which this run asks to be stopped")
    ] = ()
    layer_kinds: (
        Annotated[
            dict[LayerName, LayerKind],
            Meta(max_length=MAX_LAYERS, description="overrides recognition by name for the layers it lists"),
        ]
        | None
    ) = None
    config: Annotated[dict[Text, Text], Meta(max_length=1024)] = {}
    version: Version = field(name="v", default=1)


class RunCompleted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="run_completed"):
    """A run ended well; asks for the model diff when it names a checkpoint."""

    run_id: RunId
    ts: Seconds
    steps: Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="optimizer steps taken")]
    attempt: Count = 0
    project: Project = DEFAULT_PROJECT
    base_model: Text | None = None
    checkpoint: Annotated[Text, Meta(description="folder of safetensors")] | None = None
    eval_set: Text | None = None
    saes: Annotated[tuple[Text, ...], Meta(max_length=1024)] | None = None
    tokenizer: Text | None = None
    version: Version = field(name="v", default=1)


class RunFailed(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="run_failed"):
    """A run ended with an error."""

    run_id: RunId
    ts: Seconds
    error: Annotated[str, Meta(max_length=65_536)]
    attempt: Count = 0
    project: Project = DEFAULT_PROJECT
    base_model: Text | None = None
    version: Version = field(name="v", default=1)


class CategoryScore(Struct, frozen=True, kw_only=True):
    """The share of a category's probes that a checkpoint answers rightly."""

    category: Annotated[str, Meta(max_length=128)]
    score: Annotated[float, Meta(ge=0, le=1)]
    n: Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
    standard_error: Annotated[float, Meta(ge=0)]


class ScoreChange(Struct, frozen=True, kw_only=True):
    """One behavioural score of both models."""

    score: Annotated[str, Meta(max_length=128)]
    base: float
    fine_tuned: float
    verdict: Verdict


class DiffCompleted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="diff_completed"):
    """A model diff is in the lake, whole. Sent again after a crash; the same `diff_id` is the same diff."""

    run_id: RunId
    ts: Annotated[float, Meta(description="Unix seconds at which the run completed")]
    diff_id: DiffId
    base_sha: Sha
    ft_sha: Sha
    probes_sha: Sha
    attempt: Count = 0
    project: Project = DEFAULT_PROJECT
    scores: Annotated[tuple[ScoreChange, ...], Meta(max_length=64)] = ()
    categories: Annotated[tuple[CategoryScore, ...], Meta(max_length=256)] = ()
    heaviest_layers: Annotated[tuple[Count, ...], Meta(max_length=1024)] = ()
    version: Version = field(name="v", default=1)


class DiffFailed(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="diff_failed"):
    """A model diff could not be made; trying it again is up to people."""

    run_id: RunId
    ts: Annotated[float, Meta(description="Unix seconds at which the run completed")]
    reason: DiffFailure
    error: Annotated[str, Meta(max_length=4096, description="a sentence with the remedy")]
    attempt: Count = 0
    project: Project = DEFAULT_PROJECT
    version: Version = field(name="v", default=1)


class CategoryRegression(Struct, frozen=True, kw_only=True):
    """How far a run's checkpoint fell behind the run before it in one category."""

    category: Annotated[str, Meta(max_length=128)]
    diff_id: DiffId
    base_sha: Sha
    ft_sha: Sha
    prior_run_id: RunId
    prior_score: float
    drop_basis_points: int
    n: Count
    prior_n: Count
    standard_error: Annotated[float, Meta(description="of the difference")]
    significant: bool


class Signal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is to say about one step of one run, or about its checkpoint.

    `signal_id` is ``run_id/attempt/step/type`` (and ``/category`` for a regression): a replay after a crash makes
    the same id, so readers can drop duplicates.
    """

    signal_id: str
    run_id: RunId
    project: Project
    attempt: Count
    step: Count
    ts: Annotated[float, Meta(description="the ts of the event that fired it, never the clock's")]
    type: SignalType
    severity: Severity
    metric: Annotated[str, Meta(description="what was judged: loss, max_grad, grad_norms.<layer>")]
    value: Number
    threshold: Annotated[Number, Meta(description="the bound that value crossed; null for non_finite")] | None
    layers: dict[str, int] | None
    epoch: Number | None
    message: str
    action: Annotated[Literal["stop"], Meta(description="stop when the run asked for it on this type")] | None
    regression: CategoryRegression | None = None
    """of a `category_regressed` only"""
    version: Version = field(name="v", default=1)

    def __post_init__(self) -> None:
        for name in ("value", "threshold", "epoch"):
            value = getattr(self, name)
            if is_spelled(value):
                force_setattr(self, name, float(value))


Lifecycle = RunStarted | RunCompleted | RunFailed
TrainerEvent = StepEvent | Lifecycle
DiffEvent = DiffCompleted | DiffFailed
Event = TrainerEvent | Signal | DiffEvent
