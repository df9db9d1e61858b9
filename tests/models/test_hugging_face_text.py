"""Language models, sentence classifiers and encoder-decoders of transformers, from a configuration or a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.models import build
from tests.job.jobs import job
from tests.models.hub_cache import store
from tests.models.sets import load_set

GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2}
BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
LLAMA = {**BERT, "num_key_value_heads": 2}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2}
BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
BART |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
OPT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 16, "word_embed_proj_dim": 16}

TASKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("text", "hf:gpt2", GPT2),
    "llama": ("text", "hf:llama", LLAMA),
    "opt": ("text", "hf:opt", OPT),
    "bert": ("sentences", "hf:bert", BERT),
    "distilbert": ("sentences", "hf:distilbert", {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 16}),
    "bert of pairs": ("pairs", "hf:bert", BERT),
    "gpt2 as classifier": ("order", "hf:gpt2", GPT2),
    "t5": ("translation", "hf:t5", T5),
    "bart": ("translation", "hf:bart", BART),
}
WORDS = ["<pad>", "<unk>", "the", "cat", "sat", "on", "mat", "good", "fine", "bad", "sad"]


def make(sets: dict[str, dict[str, Any]], name: str, model: str, args: dict[str, Any], **options: Any) -> nn.Module:
    task = sets[name]
    data = load_set({**task, "dataset_args": {**task.get("dataset_args", {}), **options}})
    return build(model, shape=data.shape, classes=data.classes, args=args, data=data)


@pytest.mark.parametrize(
    "rule", ["dfa", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("grape", "head-only"))]
)
@pytest.mark.parametrize("task", TASKS)
def test_it_trains_an_epoch(task: str, rule: str, sets: dict[str, dict[str, Any]]) -> None:
    name, model, args = TASKS[task]
    data = {"dataset_args": {}, **sets[name]}
    settings = {"epochs": 1, "batch_size": 16, "deterministic": False, "profile": rule == "grape"}
    spec = job(rule, model=model, model_args=args, **settings, **data)
    training.check(spec)
    found = training.run(spec, lambda row: None)
    assert found["status"] == "finished"
    assert len(found["network"]["blocks"]) >= 2


@pytest.mark.parametrize(("name", "model", "args"), [TASKS["gpt2"], TASKS["llama"], TASKS["opt"]])
def test_a_language_model_has_the_vocabulary_of_the_data_and_trains_every_token(
    name: str, model: str, args: dict[str, Any], sets: dict[str, dict[str, Any]]
) -> None:
    data = load_set(sets[name])
    made = make(sets, name, model, args)
    embedding = made.get_input_embeddings()  # type: ignore[operator]
    assert embedding.num_embeddings == data.vocabulary
    made(input_ids=torch.arange(data.vocabulary)[None]).logits.sum().backward()
    assert (embedding.weight.grad.abs().sum(1) > 0).all()


def test_a_classifier_reads_the_last_token_even_if_its_id_is_zero(sets: dict[str, dict[str, Any]]) -> None:
    made = make(sets, "order", "hf:gpt2", GPT2).eval()
    ids = torch.tensor([[1, 2, 3, 0], [1, 2, 3, 0]])
    with torch.no_grad():
        changed = made(input_ids=torch.tensor([[1, 2, 0, 0], [1, 2, 3, 1]])).logits
        assert not torch.isclose(made(input_ids=ids).logits, changed).any()


def test_bert_as_a_language_model_does_not_see_the_next_token(sets: dict[str, dict[str, Any]]) -> None:
    assert make(sets, "text", "hf:bert", BERT).config.is_decoder is True
    with pytest.raises(UserError, match="sees the tokens that it must predict"):
        make(sets, "text", "hf:bert", {**BERT, "is_decoder": False})


def test_positions_grow_to_the_length_of_the_data(sets: dict[str, dict[str, Any]]) -> None:
    assert make(sets, "text", "hf:gpt2", GPT2, block=1100).config.n_positions == 1100
    with pytest.raises(UserError, match=r"sequences of 12 tokens, and the model has 8 positions"):
        make(sets, "text", "hf:gpt2", {**GPT2, "n_positions": 8})


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("text", "hf:t5", "no causal language model"),
        ("translation", "hf:gpt2", "no encoder-decoder"),
        ("graph", "hf:bert", 'needs tokens or sequences with `decoder_input_ids`, not a graph\n  try: model = "gcn"'),
        ("points", "hf:bert", 'not numbers\n  try: model = "mlp"'),
    ],
)
def test_data_that_does_not_fit_is_refused(name: str, model: str, said: str, sets: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(UserError, match=said):
        make(sets, name, model, {})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 of words and its tokenizer, as the Hub has them. Its vocabulary has unused rows."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=16, n_positions=16, **GPT2)
    GPT2LMHeadModel(config).bfloat16().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape", "head-only"])
def test_a_pretrained_language_model_is_fine_tuned(
    rule: str, checkpoint: Path, sets: dict[str, dict[str, Any]]
) -> None:
    args = {"tokenizer": str(checkpoint), "block": 8, "kind": "text"}
    task = {"dataset": sets["text"]["dataset"], "dataset_args": args, "model": f"hf:{checkpoint}"}
    spec = job(rule, **task, model_args={"pretrained": True}, epochs=1, batch_size=8, deterministic=False)
    training.check(spec)
    assert training.run(spec, lambda row: None)["status"] == "finished"


def test_a_checkpoint_keeps_its_weights_in_single_precision(checkpoint: Path, sets: dict[str, dict[str, Any]]) -> None:
    saved = GPT2LMHeadModel.from_pretrained(checkpoint, dtype=torch.float32).state_dict()
    made = make(
        sets, "text", f"hf:{checkpoint}", {"pretrained": True}, tokens="words", tokenizer=str(checkpoint)
    ).state_dict()
    weight = "transformer.h.0.attn.c_attn.weight"
    assert made[weight].dtype == torch.float32
    assert torch.equal(made[weight], saved[weight])
    assert torch.equal(made["transformer.wte.weight"], saved["transformer.wte.weight"][: len(WORDS)])


def test_a_pretrained_model_becomes_a_classifier_of_sentences(
    checkpoint: Path, sets: dict[str, dict[str, Any]]
) -> None:
    made = make(sets, "sentences", f"hf:{checkpoint}", {"pretrained": True}, tokenizer=str(checkpoint))
    assert type(made).__name__ == "GPT2ForSequenceClassification"
    assert made.config.pad_token_id == 0


def test_tokens_and_positions_of_a_checkpoint_are_checked(checkpoint: Path, sets: dict[str, dict[str, Any]]) -> None:
    model, args = f"hf:{checkpoint}", {"pretrained": True}
    with pytest.raises(UserError, match=r"not those of the checkpoint\n  try: dataset_args = { tokenizer ="):
        make(sets, "sentences", model, args)
    with pytest.raises(UserError, match="sequences of 20 tokens, and the model has 16 positions"):
        make(sets, "text", model, args, tokenizer=str(checkpoint), block=20)


def test_a_checkpoint_comes_from_the_cache_of_the_hub(
    checkpoint: Path, sets: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(checkpoint, tmp_path, "owner/tiny")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    made = make(sets, "text", "hf:owner/tiny", {"pretrained": True}, tokenizer=str(checkpoint), block=8)
    saved = GPT2LMHeadModel.from_pretrained(checkpoint, dtype=torch.float32)
    assert torch.equal(made.state_dict()["transformer.wpe.weight"], saved.state_dict()["transformer.wpe.weight"])
    with pytest.raises(UserError, match="the download failed"):
        make(sets, "text", "hf:owner/other", {"pretrained": True}, tokenizer=str(checkpoint))
