"""Language models: word_language_model and language_translation of PyTorch's `examples`, and nanoGPT."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.zoo.entry import Entry, classes

VOCABULARY = 14


class Recurrent(nn.Module):
    """A fused LSTM of two layers, time-first, with logits of shape (T N, V) and the state as a second output."""

    def __init__(self, width=10):
        super().__init__()
        self.drop, self.encoder = nn.Dropout(0.2), nn.Embedding(VOCABULARY, width)
        self.rnn, self.decoder = nn.LSTM(width, width, 2, dropout=0.2), nn.Linear(width, VOCABULARY)

    def forward(self, tokens, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(tokens)), hidden)
        decoded = self.decoder(self.drop(output)).view(-1, VOCABULARY)
        return F.log_softmax(decoded, dim=1), hidden


class Positions(nn.Module):
    """Sines and cosines added to embeddings (T, N, C)."""

    def __init__(self, width, most=20):
        super().__init__()
        angle = torch.arange(most).unsqueeze(1) * torch.exp(torch.arange(0, width, 2) * (-math.log(1e4) / width))
        table = torch.stack([angle.sin(), angle.cos()], -1).flatten(1).unsqueeze(1)
        self.register_buffer("table", table)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.dropout(x + self.table[: len(x)])


class Encoders(nn.Transformer):
    """`nn.Transformer` of which only the encoder runs; its decoder is a linear layer. Time-first: (T, N, V)."""

    def __init__(self, width=8):
        super().__init__(d_model=width, nhead=2, dim_feedforward=12, num_encoder_layers=2, dropout=0.1)
        self.pos_encoder, self.input_emb = Positions(width), nn.Embedding(VOCABULARY, width)
        self.width, self.decoder = width, nn.Linear(width, VOCABULARY)

    def forward(self, tokens):
        mask = torch.log(torch.tril(torch.ones(len(tokens), len(tokens))))
        x = self.pos_encoder(self.input_emb(tokens) * math.sqrt(self.width))
        return F.log_softmax(self.decoder(self.encoder(x, mask=mask)), dim=-1)


class Translation(nn.Module):
    """`nn.Transformer` as an encoder-decoder, time-first."""

    def __init__(self, width=8):
        super().__init__()
        self.transformer = nn.Transformer(width, 2, 2, 2, dim_feedforward=12, dropout=0.1)
        self.generator = nn.Linear(width, VOCABULARY)
        self.src_tok_emb, self.tgt_tok_emb = nn.Embedding(VOCABULARY, width), nn.Embedding(VOCABULARY, width)
        self.positional_encoding, self.width = Positions(width), width

    def forward(self, source, target, target_mask, source_padding, target_padding):
        source = self.positional_encoding(self.src_tok_emb(source) * math.sqrt(self.width))
        target = self.positional_encoding(self.tgt_tok_emb(target) * math.sqrt(self.width))
        made = self.transformer(
            source,
            target,
            tgt_mask=target_mask,
            src_key_padding_mask=source_padding,
            tgt_key_padding_mask=target_padding,
            memory_key_padding_mask=source_padding,
        )
        return self.generator(made)


def translation():
    """Source (S, N) and target (T, N), with a causal mask and no padding."""
    source, target = torch.randint(VOCABULARY, (7, 4)), torch.randint(VOCABULARY, (5, 4))
    causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    return source, target, causal, torch.zeros(4, 7, dtype=torch.bool), torch.zeros(4, 5, dtype=torch.bool)


class SelfAttention(nn.Module):
    """One projection for queries, keys and values; causal attention; a projection back."""

    def __init__(self, width):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.resid_dropout = nn.Dropout(0.1)

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (part.view(n, t, 2, width // 2).transpose(1, 2) for part in self.c_attn(x).split(width, dim=2))
        made = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1 if self.training else 0, is_causal=True)
        return self.resid_dropout(self.c_proj(made.transpose(1, 2).contiguous().view(n, t, width)))


class Layer(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(width), SelfAttention(width), nn.LayerNorm(width)
        self.c_fc, self.c_proj = nn.Linear(width, 2 * width, bias=False), nn.Linear(2 * width, width, bias=False)
        self.gelu, self.dropout = nn.GELU(), nn.Dropout(0.1)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.dropout(self.c_proj(self.gelu(self.c_fc(self.ln_2(x)))))


class NanoGpt(nn.Module):
    """A decoder with tied embeddings. It computes its loss itself when it gets targets."""

    def __init__(self, width=8):
        super().__init__()
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(VOCABULARY, width),
                wpe=nn.Embedding(10, width),
                drop=nn.Dropout(0.1),
                h=nn.ModuleList(Layer(width) for _ in range(2)),
                ln_f=nn.LayerNorm(width),
            )
        )
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)
        self.transformer.wte.weight = self.lm_head.weight

    def forward(self, tokens, targets=None):
        positions = torch.arange(tokens.shape[1])
        x = self.transformer.drop(self.transformer.wte(tokens) + self.transformer.wpe(positions))
        for layer in self.transformer.h:
            x = layer(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        loss = None if targets is None else F.cross_entropy(logits.view(-1, VOCABULARY), targets.view(-1))
        return logits, loss


def tokens(*shape: int):
    return torch.randint(VOCABULARY, shape)


def next_word(logits):
    logits = logits.reshape(-1, VOCABULARY)
    return F.cross_entropy(logits, classes(len(logits), VOCABULARY))


def next_word_of_logs(output):
    output = output.view(-1, VOCABULARY)
    return F.nll_loss(output, classes(len(output), VOCABULARY))


ENTRIES = [
    Entry(
        "word_language_model",
        Recurrent,
        lambda: (tokens(6, 4), (torch.zeros(2, 4, 10), torch.zeros(2, 4, 10))),
        lambda output: next_word_of_logs(output[0]),
        ("encoder.weight", "rnn.weight_*"),
        ("decoder.weight",),
        (4, 6),
        {"output": 0},
    ),
    Entry(
        "word_language_model_transformer",
        Encoders,
        lambda: tokens(6, 4),
        next_word_of_logs,
        ("input_emb.weight", "encoder.layers.*_proj_weight", "encoder.layers.*.weight"),
        ("decoder.weight",),
        (4, 6),
    ),
    Entry(
        "language_translation",
        Translation,
        translation,
        next_word,
        ("???_tok_emb.*weight", "transformer.*coder.layers.*weight"),
        ("generator.weight",),
        (4, 5),
    ),
    Entry(
        "nanogpt",
        NanoGpt,
        lambda: tokens(4, 6),
        lambda output: next_word(output[0]),
        ("transformer.h.*.weight", "transformer.wpe.weight"),
        (),
        (4, 6),
        mixed=("transformer.wte.weight",),
        family="nanoGPT",
    ),
    Entry(
        "nanogpt_with_targets",
        NanoGpt,
        lambda: (tokens(4, 6), tokens(4, 6)),
        lambda output: output[1],
        ("transformer.h.*.weight", "transformer.wpe.weight"),
        (),
        (4, 6),
        mixed=("transformer.wte.weight",),
        family="nanoGPT",
    ),
]
