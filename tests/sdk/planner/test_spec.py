"""Mirrors sdk/lamella/planner/spec.py and document.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamella import formats
from lamella.errors import PlanError
from lamella.planner import document
from lamella.planner.spec import Budget, Choice, Plan, Rule, Settings, parse_size

PLAN = Plan(
    rules=(
        Rule(name="blocks.*", role="mlp.*", format="W4A16"),
        Rule(re=r"blocks\.\d+\.attn\.q", options=("w8", "w4g32"), optional=True),
        Rule(depth="0-3", format="w8"),
        Rule(depth=-1, format="w8"),
    ),
    choices=(
        Choice("0", "Q4_0", "name: *", 12, 4.5, 1e-5, "kernel"),
        Choice("head", "f32", "skip: head", 400, 32.0, None),
    ),
    settings=Settings(solver="rtn", seed=3, damping=0.05),
    promised={"size_bytes": 412, "drop": 0.25, "metric": "kl"},
    skip=("head",),
    share_input_groups=True,
    target="onnx",
)


def written(folder: Path, text: str, name: str = "plan.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_saved_plan_loads_as_the_same_value_and_the_same_bytes(tmp_path: Path) -> None:
    PLAN.save(tmp_path / "a.yaml")
    loaded = Plan.load(tmp_path / "a.yaml")
    assert loaded == PLAN
    loaded.save(tmp_path / "b.yaml")
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()


printable = st.characters(categories=["L", "N", "P", "S", "Zs"])
names = st.text(printable, min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            Choice,
            layer=names,
            format=st.sampled_from(["w4g32", "w8a8", "f16", "w4g32@2:4"]),
            rule=names,
            nbytes=st.integers(0, 2**40),
            bits=st.floats(0, 33),
            loss=st.none() | st.floats(0, 1e9),
        ),
        unique_by=lambda choice: choice.layer,
        max_size=4,
    )
)
def test_any_layer_name_survives_yaml(tmp_path_factory: pytest.TempPathFactory, choices) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    plan = Plan(choices=tuple(choices))
    plan.save(path)
    assert Plan.load(path) == plan


def test_a_layer_is_one_line_so_that_plans_diff() -> None:
    lines = PLAN.to_yaml().decode().splitlines()
    expected = (
        "- {id: '0', format: w4g32, rule: 'name: *', bytes: 12, bits: 4.5, loss: 1.0e-05, "
        "support: kernel}"
    )
    assert expected in lines


def test_aliases_in_layers_become_canonical() -> None:
    assert Choice("a", "W4A16").format == "w4g128"
    assert Rule(name="*", format="8da4w").formats == (formats.parse("w4g32a8d"),)


def test_a_layer_edited_by_hand_is_what_the_plan_says(tmp_path: Path) -> None:
    text = PLAN.to_yaml().decode().replace("id: head, format: f32", "id: head, format: Q8_0")
    edited = Plan.load(written(tmp_path, text))
    assert edited.choice("head").format == "w8g32"
    assert edited.formats["head"] == formats.parse("w8g32")
    assert edited.hash != PLAN.hash


def test_the_hash_covers_what_compression_reads_and_nothing_else() -> None:
    plan = Plan(choices=(Choice("a", "w8", "x", 5), Choice("b", "w8")))
    same = Plan(choices=(Choice("b", "w8"), Choice("a", "w8", "y", 9)), promised={"drop": 1.0})
    assert plan.hash == same.hash
    assert plan.hash != Plan(choices=(Choice("a", "w8"), Choice("b", "f16"))).hash
    assert plan.hash != Plan(choices=plan.choices, settings=Settings(seed=1)).hash


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(PlanError, match="nothing about the layer 'tail'"):
        PLAN.choice("tail")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n- {name: a, format: w9}", r"plan.yaml: rules\[0\]: format 'w9': weights of 9"),
        ("rules:\n- {name: a, format: q}", r"rules\[0\]: unknown format 'q'"),
        ("rules:\n- {name: a, options: [w8, q]}", r"rules\[0\]: unknown format 'q'"),
        ("rules:\n- {name: a, frmat: w8}", r"rules\[0\].frmat: unknown key"),
        ("rules:\n- {name: 3, format: w8}", r"rules\[0\].name: .*valid string, not 3"),
        ("rules:\n- {format: w8}", r"rules\[0\]: a rule needs one of name, re, type"),
        ("rules:\n- {name: a}", r"rules\[0\]: the rule 'name: a' needs either format or options"),
        ("rules:\n- {re: '(', format: w8}", r"rules\[0\]: the regular expression '\(' is wrong"),
        ("rules:\n- {depth: x, format: w8}", r"rules\[0\]: depth 'x'; write for example"),
        ("rules:\n- {type: lstm, format: w8}", r"rules\[0\].type: .*'lstm'"),
        ("layers:\n- {id: a, format: w7}", r"layers\[0\]: format 'w7': weights of 7 bits"),
        ("layers:\n- {id: a, format: w8}\n- {id: a, format: w8}", "lists the layer 'a' twice"),
        ("layers:\n- {id: a, format: w8, bytes: -1}", r"layers\[0\].bytes: .*, not -1"),
        ("settings: {solver: magic}", r"settings.solver: .*'magic'"),
        ("settings: {damping: 2.0}", r"settings: damping must lie in \[0, 1\)"),
        ("settings: {seed: true}", r"settings.seed: .*valid integer, not True"),
        ("version: 2", "version: "),
        ("rulez: []", "rulez: unknown key"),
        ("- a", r"plan.yaml must hold a mapping .*not \['a'\]"),
        ("", "plan.yaml must hold a mapping .*not None"),
        ("a: [", "plan.yaml is not YAML"),
        ("target: a\ntarget: b", "the key 'target' stands twice in the mapping at line 1"),
        ("$include: 3", r"\$include must be a file name or a list of them, not 3"),
        (
            "$include: nothing.yaml",
            "no plan or recipe 'nothing.yaml'.*shipped recipes are .*balanced",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(PlanError, match=message):
        Plan.load(written(tmp_path, text))


def test_a_missing_file_is_refused_with_the_shipped_recipes() -> None:
    with pytest.raises(
        PlanError, match=r"no plan or recipe 'nowhere'.*shipped recipes are .*balanced"
    ):
        Plan.load("nowhere")


def test_own_rules_come_before_included_ones_and_own_settings_win(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    below = "skip: [c]\nsettings: {seed: 1, solver: rtn}\nrules:\n- {name: b, format: w8}"
    written(tmp_path, f"$include: [deeper/last.yaml]\n{below}", "base.yaml")
    written(tmp_path / "deeper", "rules:\n- {name: c, format: f16}", "last.yaml")
    own = "skip: [d]\nsettings: {seed: 2}\nrules:\n- {name: a, format: w8}"
    plan = Plan.load(written(tmp_path, f"$include: base.yaml\n{own}"))
    assert [rule.name for rule in plan.rules] == ["a", "b", "c"]
    assert plan.skip == ("d", "c")
    assert plan.settings == Settings(seed=2, solver="rtn")


def test_including_oneself_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "$include: b.yaml", "a.yaml")
    written(tmp_path, "$include: a.yaml", "b.yaml")
    with pytest.raises(PlanError, match=r"includes itself: a.yaml -> b.yaml -> a.yaml"):
        Plan.load(tmp_path / "a.yaml")


def test_including_one_file_twice_is_no_cycle(tmp_path: Path) -> None:
    written(tmp_path, "skip: [x]", "base.yaml")
    plan = Plan.load(written(tmp_path, "$include: [base.yaml, base.yaml]"))
    assert plan.skip == ("x", "x")


RECIPES = sorted(Path(document.__file__).with_name("recipes").glob("*.yaml"))


@pytest.mark.parametrize("name", [path.stem for path in RECIPES])
def test_shipped_recipes_load_by_name(name: str) -> None:
    assert Plan.load(name).rules
    assert not Plan.load(name).choices


def test_budgets_cap_the_smaller_of_size_and_average_bits() -> None:
    assert Budget(size=1000).cap(100) == 1000
    assert Budget(size=1000, average_bits=4.5).cap(100) == 56
    assert Budget(size=50, average_bits=4.5).cap(100) == 50
    assert Budget(max_drop=0.1).cap(100) is None


@pytest.mark.parametrize(
    "wrong",
    [{}, {"size": -1}, {"max_drop": float("nan")}, {"size": 5, "integer_flops": 1.5}],
)
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PlanError):
        Budget(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size"),
    [("3MB", 3_000_000), ("2.5 MiB", 2_621_440), ("800kB", 800_000), ("12", 12), ("1GB", 10**9)],
)
def test_sizes_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-3MB", "3 mega", "3MB4"])
def test_a_size_without_meaning_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="write for example 3MB"):
        parse_size(text)
