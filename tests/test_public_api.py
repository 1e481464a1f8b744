"""The public names, pinned: a change here is a change for users, and belongs in the CHANGELOG."""

from __future__ import annotations

import edgecnn
from edgecnn.cli.main import VERBS, parser_for

PUBLIC = {
    "Artifact", "Classifications", "Dataset", "EdgecnnError", "Head", "InputSpec", "ModelSpec", "Pipeline",
    "QuantParams", "RECIPES", "Recipe", "TensorInfo", "load_data", "open_artifact", "open_runtime", "read_picture",
}  # fmt: skip
VERB_NAMES = [
    "demo", "models", "train", "export", "debug", "reference", "bench", "choose", "compare", "report",
    "predict", "info", "doctor",
]  # fmt: skip


def test_public_names() -> None:
    assert set(edgecnn.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(edgecnn, name).__name__ == name if name != "RECIPES" else edgecnn.RECIPES


def test_verbs_resolve_and_are_documented() -> None:
    assert list(VERBS) == VERB_NAMES
    for verb in VERBS:
        parser, module = parser_for(verb)
        assert callable(module.run)
        for action in parser._actions:
            assert action.help, f"{verb} {action.option_strings} has no help"
