"""Settings: overrides, their errors, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from sr4.config import (
    NETWORKS,
    SAMPLERS,
    FastNetworkSettings,
    ModelConfig,
    ModelSettings,
    ObjectiveSettings,
    RunSettings,
    SamplingSettings,
    ScheduleSettings,
    SR3NetworkSettings,
    SR4NetworkSettings,
    TrainingSettings,
    parse_model_config,
)
from sr4.config.overrides import merge, override, parse_assignment, parse_assignments
from sr4.errors import ModelError, UsageError
from sr4.recipes import recipe


@pytest.fixture
def settings() -> RunSettings:
    return RunSettings(model=ModelSettings(recipe="test", network=FastNetworkSettings()))


def failure(settings: RunSettings, *assignments: str) -> str:
    """The message that refuses assignments."""
    changes = parse_assignments(assignments)
    with pytest.raises(UsageError) as caught:
        override(settings, changes)
    message = str(caught.value)
    assert "\n" not in message
    return message


def changed(settings: RunSettings, *assignments: str) -> RunSettings:
    return override(settings, parse_assignments(assignments))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1", 1),
        ("a.b=1e-4", 1e-4),
        ("a.b=1e6", 1e6),
        ("a.b=-.5", -0.5),
        ("a.b=true", True),
        ("a.b=null", None),
        ("a.b=", None),
        ("a.b=[1, 2]", [1, 2]),
        ("a.b=null-space", "null-space"),
        ("a.b='12'", 12.0),
        ("a.b=x=y", "x=y"),
        ("a.b={c: 1}", {"c": 1}),
    ],
)
def test_the_value_of_an_assignment_is_yaml(text: str, value: object) -> None:
    assert parse_assignment(text) == {"a": {"b": value}}


@pytest.mark.parametrize("text", ["training.seed", "=1", ".a=1", "a..b=1", "a.=1", ""])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"got {text!r}; expected key=value")):
        parse_assignment(text)


def test_a_value_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(UsageError, match="not valid YAML"):
        parse_assignment("training.betas=[0.9")


def test_merge_lays_mappings_over_each_other() -> None:
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    merged = merge(base, {"a": {"c": {"f": 4}}, "e": {"g": 5}})
    assert merged == {"a": {"b": 1, "c": {"d": 2, "f": 4}}, "e": {"g": 5}}
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_changes_reach_their_places(settings: RunSettings) -> None:
    new = changed(
        settings,
        "training.learning_rate=1e-3",
        "training.total_images=1e6",
        "training.betas=[0.8, 0.95]",
        "model.network.widths=[8, 16]",
        "model.network.blocks=[1, 1]",
        "model.objective.target=null-space",
        "data.rotation=15",
        "data.exclude=[302003.jpg, wall-*]",
    )
    assert new.training.learning_rate == 1e-3
    assert new.training.total_images == 1_000_000
    assert new.training.betas == (0.8, 0.95)
    assert new.model.network == FastNetworkSettings(widths=(8, 16), blocks=(1, 1))
    assert new.model.objective.target == "null-space"
    assert new.data.rotation == 15
    assert new.data.exclude == ("302003.jpg", "wall-*")
    assert new.model.schedule == settings.model.schedule
    assert settings.training == TrainingSettings()  # the old ones are as they were


def test_the_settings_that_scripts_rely_on(settings: RunSettings) -> None:
    """The names of the command line's contract."""
    new = changed(
        settings,
        "training.total_images=7",
        "training.batch_size=2",
        "training.learning_rate=0.5",
        "training.precision=float32",
        "training.save_every_images=3",
        "training.seed=11",
        "data.workers=0",
        "sampling.steps=9",
        "sampling.sampler=dpmpp",
        "model.sampling.temperature=0.5",
    )
    training = new.training
    assert (training.total_images, training.batch_size, training.learning_rate) == (7, 2, 0.5)
    assert (training.precision, training.save_every_images, training.seed) == ("float32", 3, 11)
    assert new.data.workers == 0
    assert new.model.sampling == SamplingSettings(steps=9, sampler="dpmpp", temperature=0.5)


def test_a_network_of_another_kind_brings_its_own_defaults(settings: RunSettings) -> None:
    new = changed(settings, "model.network.kind=sr3")
    assert new.model.network == SR3NetworkSettings()
    new = changed(new, "model.network.inner=32", "model.network.kind=sr4")
    assert new.model.network == SR4NetworkSettings(inner=32)
    new = changed(new, "model.network.kind=sr4", "model.network.heads=2")  # no other kind
    assert new.model.network == SR4NetworkSettings(inner=32, heads=2)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.bach_size=8", "unknown setting 'training.bach_size': did you mean 'training.b"),
        (
            f"training.{'w' * 40}=8",
            f"'training.{'w' * 40}': known: training.batch_size, training.be",
        ),
        ("qqq=8", "unknown setting 'qqq': known: data, distillation, model, training"),
        ("batch_size=8", "unknown setting 'batch_size': did you mean 'training.batch_size'?"),
        ("model.network.width=8", "'model.network.width': did you mean 'model.network.widths'?"),
        ("model.network.inner=8", "unknown setting 'model.network.inner': "),
        ("model.network.kind=fst", "unknown model.network.kind 'fst': did you mean 'fast'?"),
        ("sampling.sampler=dim", "setting 'model.sampling.sampler': got 'dim'; "),
        ("training.batch_size=0", "setting 'training.batch_size': got '0'; input should be gr"),
        ("training.seed=x", "setting 'training.seed': got 'x'; input should be a valid integer"),
        ("training.learning_rate=nan", "setting 'training.learning_rate': got 'nan'; "),
        ("training.learning_rate=.inf", "setting 'training.learning_rate': got 'inf'; "),
        ("training.betas=[0.9, 1.5]", "setting 'training.betas.1': got '1.5'; input should be l"),
        ("model.network=3", "setting 'model.network': got '3'; "),
        ("model=3", "setting 'model': got '3'; "),
        ("sampling=3", "setting 'model.sampling': got '3'; "),
        ("model.network.widths=[8, 0]", "setting 'model.network.widths.1': got '0'; input "),
        ("model.schedule.kind=sine", "setting 'model.schedule.kind': got 'sine'; input should be"),
        ("model.network.widths=[8]", "setting 'model.network': got widths (8,) and blocks (3, 3"),
    ],
)
def test_a_bad_setting_is_named(settings: RunSettings, assignment: str, message: str) -> None:
    got = failure(settings, assignment)
    assert message in got
    assert "fast." not in got


def test_the_nearest_key_is_one_of_the_network_asked_for(settings: RunSettings) -> None:
    message = failure(settings, "model.network.kind=sr4", "model.network.multiplier=[1]")
    assert "unknown setting 'model.network.multiplier'" in message
    assert "did you mean 'model.network.multipliers'?" in message
    message = failure(settings, "model.network.kind=sr4", "model.network.path=large")
    assert (
        "setting 'model.network.path': got 'large'; input should be 'convolutions', 'l" in message
    )
    message = failure(settings, "model.network.multipliers=[1]")
    assert "did you mean 'model.network.multipliers'?" not in message


def test_more_failures_are_counted(settings: RunSettings) -> None:
    message = failure(settings, "training.seed=-1", "training.batch_size=0", "data.workers=-1")
    assert message.endswith("(and 2 more)")


def test_a_learned_variance_needs_outputs_and_a_table(settings: RunSettings) -> None:
    learned = "model.objective.variance=learned"
    assert "network.kind sr3, attention-input or sr4" in failure(settings, learned)
    message = failure(settings, learned, "model.network.kind=sr3")
    assert message.startswith("setting 'model': got a learned variance")
    assert "schedule.kind linear or cosine-table" in message
    able = (learned, "model.network.kind=sr3", "model.schedule.kind=linear")
    bound = "model.objective.vlb_weight=0.001"
    assert changed(settings, *able, bound).model.objective.variance == "learned"
    assert "expected a weight above 0 for a learned variance" in failure(settings, *able)
    assert "got model.objective.variance small" in failure(settings, bound)
    for other in ("target=residual", "target_scale=0.1"):
        message = failure(settings, *able, bound, f"model.objective.{other}")
        assert "expected target picture and target_scale 1" in message


def test_a_table_has_no_more_steps_than_its_own() -> None:
    for kind in ("linear", "cosine-table"):
        with pytest.raises(ValidationError, match=r"got sampling\.steps 50 for a schedule of 49"):
            ModelSettings(
                recipe="test",
                network=FastNetworkSettings(),
                schedule=ScheduleSettings(kind=kind, steps=49),
            )
    ModelSettings(recipe="test", network=FastNetworkSettings(), schedule=ScheduleSettings(steps=49))


REGRESSION = {
    "model.schedule.kind": "none",
    "model.objective.prediction": "x0",
    "sampling.steps": "1",
    "sampling.temperature": "0",
}


def test_a_regression_is_one_step_from_nothing(settings: RunSettings) -> None:
    good = [f"{key}={value}" for key, value in REGRESSION.items()]
    assert changed(settings, *good).model.schedule.kind == "none"
    for bad, message in (
        ("model.objective.prediction=eps", "got schedule.kind none with objective.prediction eps"),
        ("model.objective.prediction=v", "expected x0, as there is no noise: set objective.pred"),
        ("sampling.temperature=1.0", "got schedule.kind none with sampling.temperature 1.0; exp"),
        ("sampling.steps=2", "got sampling.steps 2 for a schedule of 1 steps"),
    ):
        assert message in failure(settings, *good, bad)
    message = failure(settings, *good, "model.network.kind=sr3", "model.objective.variance=learned")
    assert "got a learned variance with the schedule 'none'" in message


def test_settings_are_immutable(settings: RunSettings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings.training.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.model.network.kind = "sr3"  # type: ignore[misc]


def test_a_student_learns_from_whole_batches(settings: RunSettings) -> None:
    assert override(settings, {"training": {"microbatch": 2}}).training.microbatch == 2
    with pytest.raises(UsageError, match=r"got training\.microbatch 2 with a distillation"):
        override(settings, {"training": {"microbatch": 2}, "distillation": {}})


def test_noise_does_not_tell_a_mean(settings: RunSettings) -> None:
    share = "model.objective.mean_share=0.2"
    assert "mean_share 0.2 with model.objective.prediction eps" in failure(settings, share)
    assert changed(settings, share, "model.objective.prediction=v").model.objective.mean_share > 0


def test_the_registries_name_what_the_settings_accept() -> None:
    assert {NETWORKS[kind].model_fields["kind"].default for kind in NETWORKS} == set(NETWORKS)
    for kind in NETWORKS:
        model = ModelSettings.model_validate({"recipe": "test", "network": {"kind": kind}})
        assert type(model.network) is NETWORKS[kind]
    for sampler in SAMPLERS:
        assert SamplingSettings(sampler=sampler).sampler == sampler


class TestModelConfig:
    """`config.json` of a model folder."""

    @pytest.fixture
    def config(self) -> ModelConfig:
        return ModelConfig(
            recipe="test",
            network=SR4NetworkSettings(inner=32),
            objective=ObjectiveSettings(prediction="v", target="residual"),
            scale=8,
            size_multiple=16,
            scores={"psnr": {"value": 26.5}},
            sha256={"model.onnx": "00"},
        )

    def test_survives_json(self, config: ModelConfig) -> None:
        text = json.dumps(config.model_dump(mode="json"))
        assert parse_model_config(text, "config.json", ModelError) == config

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"scal": 8}, "unknown setting 'scal': did you mean 'scale'?"),
            ({"scale": None}, "setting 'scale': got 'None'; "),
            ({"network": {"kind": "sr4", "innr": 8}}, "unknown setting 'network.innr': did you "),
            (
                {"network": {"kind": "vit"}},
                f"unknown network.kind 'vit': known: {', '.join(sorted(NETWORKS))}",
            ),
            ({"network": {"inner": 8}}, "setting 'network': got \"{'inner': 8}\"; unable to"),
            ({"format": 2}, "setting 'format': got '2'; input should be 1"),
        ],
    )
    def test_a_bad_one_is_named(
        self, config: ModelConfig, change: dict[str, Any], message: str
    ) -> None:
        text = json.dumps(config.model_dump(mode="json") | change)
        with pytest.raises(ModelError, match=re.escape(f"m/config.json: {message}")):
            parse_model_config(text, "m/config.json", ModelError)

    def test_what_is_missing_is_named(self, config: ModelConfig) -> None:
        values = config.model_dump(mode="json")
        del values["scale"]
        with pytest.raises(ModelError, match=r"setting 'scale': is missing; expected a value$"):
            parse_model_config(json.dumps(values), "m/config.json", ModelError)

    @pytest.mark.parametrize("text", ["", "{", "[]", "\x80PK\x03\n\n", "null"])
    def test_what_is_no_object_is_refused_in_one_line(self, text: str) -> None:
        with pytest.raises(ModelError, match=r"^m/config\.json: got [^\n]*$"):
            parse_model_config(text, "m/config.json", ModelError)


def test_a_corruption_asks_for_rgb() -> None:
    photo = recipe("photo-x4")
    with pytest.raises(UsageError, match=r"photo with model\.channels 4; expected 3"):
        override(photo, {"model": {"channels": 4}})
    clean = override(photo, {"model": {"channels": 4}, "data": {"corruption": "none"}})
    assert clean.model.channels == 4


def test_unused_settings_of_older_versions_go() -> None:
    old = recipe("sr3").model_dump(mode="json")
    old["data"] |= {"artefacts": None, "artefact_time": 0.4}
    assert RunSettings.model_validate(old) == recipe("sr3")
    old["data"]["artefacts"] = "*q50*"
    with pytest.raises(ValidationError, match="artefacts"):
        RunSettings.model_validate(old)


def test_a_network_answers_for_itself() -> None:
    sr3, sr4 = SR3NetworkSettings(), SR4NetworkSettings()
    fast = FastNetworkSettings(degradation_aware=True)
    assert (sr3.is_degradation_aware, fast.is_degradation_aware) == (False, True)
    assert (fast.has_mean_output, fast.with_mean_output().has_mean_output) == (False, True)
    assert sr3.with_mean_output() is sr3  # it has no such output
    assert fast.shrunk(4, 2) is None
    assert sr3.shrunk(4, 2) == SR3NetworkSettings(inner=16, groups=8, attention_resolutions=(8,))
    small = SR4NetworkSettings(
        inner=16, groups=8, attention_resolutions=(4,), path_resolution=8, path_width=8
    )
    assert sr4.shrunk(4, 2) == small


@pytest.mark.parametrize(
    ("schedule", "title", "most"),
    [
        (ScheduleSettings(kind="linear", steps=500), "linear to 0.01,\nT = 500", 500),
        (ScheduleSettings(kind="cosine-table", steps=2000), "cosine,\nT = 2,000", 2000),
        (ScheduleSettings(kind="cosine"), "cosine", float("inf")),
        (ScheduleSettings(kind="none", steps=500), "none", 1),
    ],
)
def test_a_schedule_answers_for_itself(schedule: ScheduleSettings, title: str, most: float) -> None:
    assert (schedule.title, schedule.most_steps) == (title, most)
    assert schedule.has_table == schedule.title.startswith(("linear to", "cosine,"))
    assert schedule.is_diffusion == (schedule.kind != "none")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["model.data_range=[1,0]"], "setting 'model': got data_range from 1 to 0; expected"),
        (["model.data_range=[1,1]"], "got data_range from 1 to 1; expected the value of black"),
        (["model.data_range=[0,.inf]"], "setting 'model.data_range.1': got 'inf'"),
        (["model.data_range=5"], "setting 'model.data_range'"),
        (
            ["data.corruption=photo", "model.channels=4", "model.objective.target=picture"],
            "got data.corruption photo with model.channels 4; expected 3 channels: set",
        ),
        (
            ["data.corruption=photo", "model.data_range=[0,9]", "model.objective.target=picture"],
            "got data.corruption photo with a model.data_range; expected pictures of 8 bits: set",
        ),
    ],
)
def test_what_pictures_cannot_be_is_refused(
    settings: RunSettings, assignments: list[str], message: str
) -> None:
    assert message in failure(settings, *assignments)


def test_a_range_of_values_is_part_of_the_model(settings: RunSettings) -> None:
    assert settings.model.data_range is None
    assert changed(settings, "model.data_range=[0,10000]").model.data_range == (0, 10_000)
    values = ModelConfig(
        **dict(recipe("photo-x4").model), scale=4, size_multiple=8, corruption="photo"
    ).model_dump(mode="json")
    old = {key: value for key, value in values.items() if key != "data_range"}
    assert parse_model_config(json.dumps(old), "config.json", ModelError).data_range is None
    with pytest.raises(ModelError, match=r"got data\.corruption photo with model\.channels 4"):
        parse_model_config(json.dumps(values | {"channels": 4}), "config.json", ModelError)
