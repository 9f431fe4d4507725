import re

import pytest
from msgspec.structs import replace

from producers.events import DiffCompleted
from streakline.cli.diff_figures import Calibration, Figures, Layer, Score
from streakline.cli.diff_table import print_figures

SHA = "ab" * 8
FIGURES = Figures(
    event=DiffCompleted(run_id="sft-7", ts=1.0, diff_id=SHA, base_sha=SHA, ft_sha=SHA, probes_sha=SHA),
    base_model="/models/base",
    checkpoint="/runs/\x1b[2J",
    parameters=134_515_008,
    n_probes=341,
    scores=(
        Score(
            score="suppression",
            n=36,
            base=0.5,
            fine_tuned=0.25,
            delta=-0.25,
            ci_low=-0.5,
            ci_high=0.125,
            higher_is_better=False,
            verdict="unchanged",
        ),
    ),
    layers=tuple(
        Layer(
            layer=layer,
            n_alive=2000,
            n_changed=500,
            changed_share=0.25,
            mean_abs_delta=0.0123,
            top_feature=17,
            top_feature_label=" Paris",
            fvu_alarm=layer == 3,
        )
        for layer in (3, *range(10, 30))
    ),
    calibration=(
        Calibration(
            eval_split="held_out",
            n=54,
            base_ece=0.2,
            base_null_floor=0.15,
            fine_tuned_ece=0.4,
            fine_tuned_null_floor=0.16,
        ),
    ),
    low_confidence_rows=12,
    lake="/lake",
    file="v=1/project=default/dt=1970-01-01/sft-7-x",
)


def printed(found: Figures, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_figures(found)
    return capsys.readouterr().out.splitlines()


def test_a_diff_is_shown_with_all_that_there_is_to_judge_it_by(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(FIGURES, capsys)
    assert lines[0] == r"sft-7: /runs/\x1b[2J against /models/base"
    assert lines[1] == f"134,515,008 parameters, 341 probes, diff {SHA}"
    assert re.split(" {2,}", lines[4]) == [
        *("suppression (lower is better)", "0.500", "0.250", "-0.250", "-0.500 to +0.125", "36", "unchanged")
    ]
    assert lines[7].split() == ["held-out", "probes", "0.200", "0.400", "0.160", "54"]
    assert lines[10].split() == [
        *"3 500 2,000 25.0% 0.0123 17".split(),
        "Paris",
        *"in doubt: the SAE no longer fits".split(),
    ]
    assert len(lines) == 9 + 1 + 8 + 1 + 4
    assert lines[-4] == "tables   /lake/*/v=1/project=default/dt=1970-01-01/sft-7-x.parquet"
    sql = f"FROM model_diff WHERE run_id = 'sft-7' AND diff_id = '{SHA}'"
    assert lines[-3] == f'as SQL   streakline query "{sql}" --lake /lake'


def test_what_was_not_measured_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(replace(FIGURES, layers=(), calibration=(), low_confidence_rows=0), capsys)
    assert not any(line.startswith(("calibration", "layer", "dataset")) for line in lines)
    assert lines[-1].startswith("next     --sae DIR")
