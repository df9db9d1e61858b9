import json
from pathlib import Path

from grape_bench.record.migrate import STEPS, migrated
from grape_bench.record.record import SCHEMA, read_record
from grape_bench.record.typed_json import encode

RECORDED = Path(__file__).parent / "recorded" / "schema-1.json"


def test_a_record_of_schema_1_is_read_as_one_of_today() -> None:
    before = RECORDED.read_bytes()
    old = json.loads(before)
    record = read_record(RECORDED)
    assert old["schema"] == 1 and "flops" not in old["profile"] and "declared_bp_fraction" not in old["credit"]
    assert record.to_dict()["schema"] == SCHEMA
    assert record.profile.flops is None and record.credit.declared_bp_fraction is None
    assert record.profile.split is None and record.profile.pipeline is None
    assert record.profile.step_ratio == old["profile"]["step_ratio"] and encode(record.result) == old["result"]
    assert RECORDED.read_bytes() == before


def test_missing_measurements_stay_missing() -> None:
    record = migrated({"schema": 1, "profile": None, "credit": None}, SCHEMA)
    assert record == {"schema": SCHEMA, "profile": None, "credit": None, "diagnostics": None}


def test_every_older_schema_has_a_migration() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA))
