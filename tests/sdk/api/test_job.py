"""Mirrors sdk/lamella/api/job.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor, nn
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from lamella.api import job as module
from lamella.api.job import Job, apart, load_job, named, traced
from lamella.errors import CalibrationError, InputError

SPEC = """
import torch
from torch import nn

NAME, LICENCE = "toy", "MIT"

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

def example_inputs():
    return torch.zeros(2, 4)

def calibration():
    return [torch.full((2, 4), float(at)) for at in range(8)]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "toy.py"
    path.write_text(SPEC)
    return path


def extended(path: Path, text: str) -> str:
    path.write_text(SPEC + text)
    return str(path)


def test_without_evaluation_the_last_quarter_is_held_out_and_said_so(spec: Path) -> None:
    found = load_job(str(spec))
    assert [float(batch["input"][0, 0]) for batch in found.calibration] == [0, 1, 2, 3]
    assert [float(batch["input"][0, 0]) for batch in found.sensing] == [4, 5]
    assert [float(batch["input"][0, 0]) for batch in found.evaluation] == [6, 7]
    assert found.notes == ("no evaluation() in toy.py: held out 2 calibration batches",)
    assert (found.model.name, found.model.licence, found.metric) == ("toy", "MIT", "relative")


def test_one_batch_cannot_be_split(spec: Path) -> None:
    text = extended(spec, "calibration = lambda: [torch.zeros(2, 4)]\n")
    with pytest.raises(CalibrationError, match=r"gave one batch; add evaluation\(\)"):
        load_job(text)


def test_optional_names_are_read(spec: Path) -> None:
    text = extended(
        spec,
        "METRIC, GENERATION = 'kl', {'eos_token_ids': [7]}\n"
        "evaluation = lambda: [torch.ones(1, 4)]\n"
        "attachments = lambda: {'notes.txt': b'hello'}\n"
        "evaluate = lambda predict: float(predict({'input': torch.zeros(1, 4)}).sum())\n",
    )
    found = load_job(text)
    assert (found.metric, found.notes, len(found.evaluation)) == ("kl", (), 1)
    assert found.model.attachments == {"notes.txt": b"hello"}
    assert found.generation["eos_token_ids"] == [7]
    assert found.evaluate is not None
    assert found.evaluate(lambda batch: batch["input"] + 1) == 4.0
    assert (len(found.source), found.decides) == (64, "score")


def test_a_spec_may_import_what_lies_beside_it_even_late(spec: Path) -> None:
    (spec.parent / "beside_the_spec.py").write_text("VALUE = 3.0\n")
    late = "def calibration():\n    import beside_the_spec\n    return [torch.ones(1, 4)] * 4\n"
    found = load_job(extended(spec, late))
    assert len(found.calibration) + len(found.sensing) == 3


@pytest.mark.parametrize(("count", "fitted"), [(2, 1), (3, 2), (4, 2), (9, 7)])
def test_single_layers_are_measured_on_batches_that_no_solver_sees(count: int, fitted: int) -> None:
    batches = list(range(count))
    assert apart(batches) == (batches[:fitted], batches[fitted:])


def test_a_single_batch_is_fitted_and_measured_and_said_so(spec: Path) -> None:
    once = "calibration = lambda: [torch.ones(2, 4)]\nevaluation = lambda: [torch.zeros(1, 4)]\n"
    found = load_job(extended(spec, once))
    assert len(found.calibration) == len(found.sensing) == 1
    assert found.notes == (
        "one calibration batch: single layers are measured on what they were fitted to",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = 3\n", r"no function model\(\)"),
        ("model = lambda: 3\n", r"model\(\) returned int, not a torch module"),
        ("raise SystemExit(4)\n", "SystemExit: 4"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def example_inputs(): return [][0]\n", r"example_inputs\(\) failed: IndexError"),
        ("METRIC = 'beauty'\n", "unknown metric 'beauty'"),
        ("METRIC = 'perplexity'\n", "perplexity needs batches with input_ids"),
    ],
)
def test_what_a_spec_gets_wrong_is_named(spec: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_job(extended(spec, text))


def test_batches_get_the_names_of_the_arguments() -> None:
    class Pair(nn.Module):
        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return left + right

    one, two = torch.zeros(1), torch.ones(1)
    assert named(Pair(), (one, two)) == {"left": one, "right": two}
    assert named(Pair(), [one]) == {"left": one}
    assert named(Pair(), one) == {"left": one}
    assert named(Pair(), {"right": two}) == {"right": two}
    with pytest.raises(CalibrationError, match="3 inputs, but Pair takes 2: left, right"):
        named(Pair(), (one, two, one))


def tokenizer() -> bytes:
    words = {f"w{at}": at for at in range(60)}
    found = Tokenizer(WordLevel({**words, "[UNK]": 60}, unk_token="[UNK]"))
    found.pre_tokenizer = Whitespace()
    return found.to_str().encode()


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A Hugging Face folder with a small decoder or encoder."""
    size = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24, "vocab_size": 64}
    torch.manual_seed(0)
    net: nn.Module
    if request.param == "decoder":
        net = LlamaForCausalLM(LlamaConfig(num_attention_heads=2, **size))
    else:
        net = BertModel(BertConfig(num_attention_heads=2, **size))
    path = tmp_path / "folder"
    net.save_pretrained(path)
    (path / "tokenizer.json").write_bytes(tokenizer())
    return path


@pytest.fixture
def prose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "WINDOW", 8)
    path = tmp_path / "prose.txt"
    path.write_text(" ".join(f"w{at % 60}" for at in range(45)))
    return path


@pytest.mark.parametrize("folder", ["decoder"], indirect=True)
def test_a_decoder_is_judged_by_perplexity_on_the_second_half_of_the_text(
    folder: Path, prose: Path
) -> None:
    found = load_job(str(folder), prose)
    assert found.metric == "perplexity"
    starts = [
        [int(batch["input_ids"][0, 0]) for batch in part]
        for part in (found.calibration, found.sensing, found.evaluation)
    ]
    # 45 tokens are five windows of 8; what is left over is not used.
    assert starts == [[0], [8], [16, 24, 32]]
    assert all(batch["input_ids"].shape == (1, 8) for batch in found.calibration)


@pytest.mark.parametrize("folder", ["encoder"], indirect=True)
def test_an_encoder_is_judged_by_cosine_and_gets_a_mask(folder: Path, prose: Path) -> None:
    found = load_job(str(folder), prose)
    assert found.metric == "cosine"
    assert all(bool((batch["attention_mask"] == 1).all()) for batch in found.calibration)


@pytest.mark.parametrize("folder", ["encoder"], indirect=True)
def test_text_that_cannot_be_used_is_refused(folder: Path, prose: Path) -> None:
    prose.write_text("w1 w2 w3")
    with pytest.raises(CalibrationError, match="3 tokens; give at least 16"):
        load_job(str(folder), prose)
    prose.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text in UTF-8"):
        load_job(str(folder), prose)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json beside the model"):
        load_job(str(folder), prose)
    assert traced(str(folder)).layers


def test_jobs_can_be_made_in_python(job: Job) -> None:
    assert job.metric == "relative"
    assert (job.evaluate, job.source, job.notes) == (None, "", ())
