"""Events of every kind, with everything in them that an archive could lose."""

from hypothesis import strategies as st

from producers.events import (
    MAX_INTEGER,
    CategoryRegression,
    RunCompleted,
    RunFailed,
    RunStarted,
    Signal,
    StepEvent,
)

names = st.text(st.characters(codec="utf-8"), max_size=10)
numbers = st.floats()
counts = st.integers(0, MAX_INTEGER)
run_ids = st.sampled_from(("a", "team/sft:1", "z@-."))
times = st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 4e9)
_shared = {"run_id": run_ids, "attempt": counts, "ts": times, "project": run_ids}

steps = st.builds(
    StepEvent,
    run_id=run_ids,
    attempt=counts,
    step=counts,
    ts=times,
    loss=numbers,
    learning_rate=st.none() | numbers,
    max_grad=st.none() | numbers,
    grad_norms=st.none() | st.dictionaries(names, st.none() | numbers, max_size=4),
    dead_layers=st.none() | st.lists(names, max_size=3),
    epoch=st.none() | numbers,
)
lifecycle = st.one_of(
    st.builds(
        RunStarted,
        **_shared,
        base_model=st.none() | names,
        early_stop=st.sampled_from(((), ("loss_plateau",), ("non_finite", "dead_layers"))),
        layer_kinds=st.none() | st.dictionaries(names, st.sampled_from(("attention", "other")), max_size=3),
        config=st.dictionaries(names, names, max_size=3),
    ),
    st.builds(
        RunCompleted,
        **_shared,
        steps=counts,
        checkpoint=st.none() | names,
        saes=st.none() | st.lists(names, max_size=2).map(tuple),
        tokenizer=st.none() | names,
    ),
    st.builds(RunFailed, **_shared, error=names),
)
regressions = st.builds(
    CategoryRegression,
    diff_id=st.just("0" * 16),
    base_sha=st.just("ab" * 8),
    ft_sha=st.just("cd" * 8),
    prior_run_id=run_ids,
    drop_basis_points=st.integers(-MAX_INTEGER, MAX_INTEGER),
    n=counts,
    prior_n=counts,
)
signals = st.builds(
    Signal,
    **_shared,
    step=counts,
    value=numbers,
    threshold=st.none() | numbers,
    layers=st.none() | st.dictionaries(names, counts, max_size=3),
    epoch=st.none() | numbers,
    regression=st.none() | regressions,
)
