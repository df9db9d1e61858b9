from grape_bench.record.profile import Profile
from grape_bench.record.typed_json import decode
from grape_bench.report.run import _settings, costs
from tests.job.jobs import job

JSON = {
    "step_ratio": 1.04,
    "low": 1.0,
    "high": 1.1,
    "bp_step_s": 0.01,
    "rounds": 40,
    "split": {"data": 0.001, "forward": 0.004, "tangents": 0.001, "credit": 0.003, "update": 0.001},
    "holders": {"weights": 2**20, "feedback": 2**19, "gradients": 2**20, "optimizer": 2**21, "activations": 2**22},
    "flops": {"forward": 1e9, "credit": 2e9, "tangents": 0, "total": 3e9, "bp": 3e9, "critical": 1.5e9},
    "speedup": 2.0,
    "pipeline": {
        "micro_batches": 8,
        "4": {"speedup": 3.9, "bubble": 0.01, "bp_speedup": 2.9, "bp_bubble": 0.27},
    },
    "energy": {"step_j": 2.0, "bp_step_j": 4.0},
}
PROFILE = decode(Profile, JSON)


def test_every_cost_has_a_line() -> None:
    found = costs(PROFILE, 2**23)
    assert found["step"] == (
        "1.04 of BP's (1.00 to 1.10), 10 ms: forward 40 %, tangents 10 %, backward 30 %, update 10 %, data 10 %"
    )
    assert found["peak"] == (
        "8 MiB on top of 1 MiB of weights: activations 4, gradients 1, optimizer 2, feedback 0.5, the rest 0.5"
    )
    assert found["FLOPs"].startswith("3 G, 1.00 of BP's; 0.50 of BP's on the longest chain of dependent blocks")
    assert "4 devices: 3.90 times as fast, idle 1 % (BP 2.90, 27 %)" in found["pipeline"]
    assert found["energy"] == "2 J per step, 0.50 of BP's"


def test_settings_show_the_cuts_where_the_suite_sets_them() -> None:
    assert "cuts" not in _settings(job("dfa"))
    assert _settings(job("dfa", blocks=["layers.*"], granularity="layer"))["cuts"] == "at layers.*, granularity layer"
    assert _settings(job("dfa", cuts="time"))["cuts"] == "between calls"


def test_parts_missing_from_older_records_are_left_out() -> None:
    unknown = dict.fromkeys(("split", "holders", "flops", "speedup", "pipeline", "energy"))
    assert costs(decode(Profile, JSON | unknown), 2**23) == {"step": "1.04 of BP's (1.00 to 1.10)"}
    assert "pipeline" not in costs(decode(Profile, JSON | {"pipeline": {"micro_batches": 8}}), None)


def test_settings_show_the_training_options_that_a_suite_sets() -> None:
    assert "options" not in _settings(job())
    found = _settings(job(epochs=None, steps=50, clip=1.0, select="best", objective_args={"label_smoothing": 0.1}))
    assert found["budget"].startswith("50 steps, ") and found["options"] == "select = best, clip = 1.0"
    assert found["objective"] == "label_smoothing = 0.1"
