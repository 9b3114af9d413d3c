"""Language models, built from the configurations of `transformers`: random weights, no download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fusekit.bench.models.sizes import Built, Size

__all__ = ["FirstResult", "bert", "gpt2", "llama", "mamba", "t5"]


class FirstResult(torch.nn.Module):
    """A model of `transformers` that returns one tensor instead of a record."""

    def __init__(self, model: torch.nn.Module, result: str) -> None:
        super().__init__()
        self.model = model
        self.result = result

    def forward(self, **inputs: torch.Tensor) -> Any:
        """The field of the record."""
        return getattr(self.model(**inputs), self.result)


def _tokens(size: Size, *names: str) -> Callable[[int], dict[str, Any]]:
    def inputs(batch: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(batch)
        shape = (batch, size.length)
        return {
            name: torch.randint(0, size.vocabulary, shape, generator=generator) for name in names
        }

    return inputs


def _padded(size: Size) -> Callable[[int], dict[str, Any]]:
    """Tokens, and a mask that hides the last ones of every other sequence."""
    tokens = _tokens(size, "input_ids")

    def inputs(batch: int) -> dict[str, Any]:
        mask = torch.ones(batch, size.length, dtype=torch.int64)
        mask[1::2, -2:] = 0
        return {**tokens(batch), "attention_mask": mask}

    return inputs


def gpt2(size: Size) -> Built:
    """GPT-2: learned positions, tanh GELU, pre-norm."""
    from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415  optional

    config = GPT2Config(
        vocab_size=size.vocabulary,
        n_positions=size.length,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        resid_pdrop=size.dropout,
        embd_pdrop=size.dropout,
        attn_pdrop=size.dropout,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    return Built(FirstResult(GPT2LMHeadModel(config), "logits"), _tokens(size, "input_ids"))


def llama(size: Size) -> Built:
    """Llama: rotary positions, RMS norm, SwiGLU, grouped queries."""
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415  optional

    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=3 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads // 2,
        max_position_embeddings=size.length,
        attention_dropout=size.dropout,
        use_cache=False,
    )
    return Built(FirstResult(LlamaForCausalLM(config), "logits"), _padded(size))


def bert(size: Size) -> Built:
    """BERT: post-norm, erf GELU, a padding mask."""
    from transformers import BertConfig, BertForMaskedLM  # noqa: PLC0415  optional

    config = BertConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=size.length,
        hidden_dropout_prob=size.dropout,
        attention_probs_dropout_prob=size.dropout,
    )
    return Built(FirstResult(BertForMaskedLM(config), "logits"), _padded(size))


def t5(size: Size) -> Built:
    """T5: encoder and decoder, relative position buckets, attention written out."""
    from transformers import T5Config, T5ForConditionalGeneration  # noqa: PLC0415  optional

    config = T5Config(
        vocab_size=size.vocabulary,
        d_model=size.width,
        d_kv=size.width // size.heads,
        d_ff=4 * size.width,
        num_layers=size.layers,
        num_heads=size.heads,
        dropout_rate=size.dropout,
        use_cache=False,
    )
    inputs = _tokens(size, "input_ids", "decoder_input_ids")
    return Built(FirstResult(T5ForConditionalGeneration(config), "logits"), inputs)


def mamba(size: Size) -> Built:
    """Mamba: a selective state space, scanned step by step in Python."""
    from transformers import MambaConfig, MambaForCausalLM  # noqa: PLC0415  optional

    config = MambaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        state_size=8,
        num_hidden_layers=size.layers,
        use_cache=False,
    )
    return Built(FirstResult(MambaForCausalLM(config), "logits"), _tokens(size, "input_ids"))
