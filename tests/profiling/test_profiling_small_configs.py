"""Small configs of the coverage table: few layers, but every kind, and lists as long as the layers."""

from typing import Any

from benchmarks.coverage_configs import every_kind


def small(**fields: Any) -> dict[str, Any]:
    return every_kind(fields, {"hidden_size": 64})


def test_layers_are_as_many_as_hold_every_kind() -> None:
    kinds = ["linear", "linear", "linear", "full"] * 12
    fields = small(num_hidden_layers=48, layer_types=kinds, mlp_layer_types=["dense"] + ["sparse"] * 47)
    assert fields["num_hidden_layers"] == 4
    assert fields["layer_types"] == kinds[:4]
    assert fields["mlp_layer_types"] == ["dense", "sparse", "sparse", "sparse"]


def test_what_is_no_list_of_layers_stays() -> None:
    fields = small(num_hidden_layers=12, image_sizes=[224, 448], hidden_size=768, eos_token_id=50000)
    assert fields == {"num_hidden_layers": 2, "image_sizes": [224, 448], "hidden_size": 64, "eos_token_id": 3}


def test_features_come_from_stages_that_are_left() -> None:
    stages = ["stem", *(f"stage{layer}" for layer in range(1, 13))]
    features = ["stage3", "stage6", "stage9", "stage12"]
    fields = small(num_hidden_layers=12, stage_names=stages, out_features=features, out_indices=[3, 6, 9, 12])
    assert fields["num_hidden_layers"] == 4
    assert fields["out_features"] == ["stage1", "stage2", "stage3", "stage4"]
    assert fields.keys() == {"num_hidden_layers", "out_features"}


def test_parts_of_a_config_have_layers_of_their_own() -> None:
    text = {
        "num_hidden_layers": 6,
        "layer_types": ["a", "a", "b"] * 2,
        "per_layer_config": {"2": {}, "5": {}},
    }
    fields = small(num_hidden_layers=2, text_config=text)
    assert fields["text_config"] == {
        "num_hidden_layers": 3, "layer_types": ["a", "a", "b"], "per_layer_config": {"2": {}},
    }  # fmt: skip
