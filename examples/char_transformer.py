"""A causal transformer reads Shakespeare beside the LSTM of char_lm.py, each for the same time on the same cores.

    python examples/char_transformer.py --text tinyshakespeare.txt --save char_transformer.safetensors
    python examples/char_transformer.py --load char_transformer.safetensors --temperature 0.7

FILE and what is held out of it are as in char_lm.py. The transformer sees pieces of the text cut at random, and every
character of a piece is guessed from those before it; where a character stands turns the queries and keys that look for
each other (rotary positions). Learning rates go up for a short while, then down along half a cosine, by the time that
has passed: whatever the machine, both networks come to the end of their schedules. The clock starts when the kernels
are compiled.

The LSTM hears the whole text before a character that it guesses. The transformer looks back `--context` characters: on
the text held out it guesses with at least half of them in sight.
"""

import argparse
import math
import sys
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import char_lm
import hotloop
import numpy as np
import options
from char_lm import bits
from hotloop import nn, optim
from hotloop.nn import functional as F

REPORT = 100  # steps
WARM_UP = 0.02  # of the time
PIECES = 64  # at once where no gradient is wanted


class CharTransformer(nn.Module):
    """From characters (N, T), as places in the alphabet, to scores (N, T, alphabet) of those that follow."""

    def __init__(self, alphabet, context, width, layers, heads, dropout=0.0):
        super().__init__()
        # these go into the file with the weights, which mean nothing without them
        self.register_buffer("alphabet", hotloop.tensor(alphabet))
        self.register_buffer("sizes", hotloop.tensor(np.array([context, width, layers, heads])))
        self.context = context
        self.embedding = nn.Embedding(len(alphabet), width)
        rotary = nn.RotaryEmbedding(width // heads, context)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, batch_first=True, norm_first=True, rotary=rotary
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width))
        self.head = nn.Linear(width, len(alphabet))
        # the layers are copies of one: each begins with numbers of its own
        for parameter in self.encoder.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, characters):
        return self.head(self.encoder(self.embedding(characters), is_causal=True))


def pieces(text, begins, length):
    """Pieces of a text, (len(begins), length), and the characters that follow each character, flat."""
    places = np.asarray(begins)[:, None] + np.arange(length)
    return hotloop.tensor(text[places]), hotloop.tensor(text[places + 1].reshape(-1))


def transformer_losses(model, text, args, rng):
    while True:
        inputs, targets = pieces(text, rng.integers(len(text) - args.context, size=args.batch), args.context)
        yield F.cross_entropy(model(inputs).flatten(0, 1), targets)


def lstm_losses(model, text, args, rng):
    """As char_lm.py learns."""
    part = len(text) - args.steps
    while True:
        begin = rng.integers(args.steps + 1)
        for scores, targets in char_lm.walk(model, text[begin : begin + part], args.streams, args.steps):
            yield F.cross_entropy(scores, targets)


def learn(name, model, losses, optimizer, seconds):
    """Train for some seconds; gives how many steps that were."""
    passed = 0.0
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda _: rate(passed / seconds))
    began, seen = None, []
    while passed < seconds:
        loss = next(losses)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen.append(loss.item())
        # the first step compiles, and changes nothing: its rate is 0
        began = began or time.perf_counter()
        passed = time.perf_counter() - began
        schedule.step()
        if len(seen) % REPORT == 0:
            print(f"{name}  step {len(seen)}  {passed:.0f} s  {bits(np.mean(seen[-REPORT:]))}", flush=True)
        if not math.isfinite(seen[-1]):
            sys.exit("the loss is no number any more: try a lower --learning-rate")
    return len(seen)


def rate(share):
    """Of the highest learning rate, after a share of the time."""
    return min(share / WARM_UP, (1 + math.cos(math.pi * min(share, 1.0))) / 2)


def evaluate(model, text):
    """The mean loss over a text, in pieces that overlap by half: each character counts once, with most before it."""
    model.eval()
    count = len(text) - 1
    length = min(model.context, count)
    begins = [*range(0, count - length, max(1, length // 2)), count - length]
    # where in its piece the first character stands that no piece before had
    fresh = np.array([0, *(a + length - b for a, b in pairwise(begins))])
    total = 0.0
    with hotloop.no_grad():
        for at in range(0, len(begins), PIECES):
            inputs, targets = pieces(text, begins[at : at + PIECES], length)
            losses = F.cross_entropy(model(inputs).flatten(0, 1), targets, reduction="none").numpy()
            total += losses.reshape(-1, length)[np.arange(length) >= fresh[at : at + PIECES, None]].sum(dtype=float)
    model.train()
    return total / count


def sample(model, prompt, length, temperature):
    """A prompt, as places, and `length` characters after it. The lower the temperature, the less is risked."""
    written = list(prompt)
    model.eval()
    with hotloop.no_grad():
        for _ in range(length):
            scores = model(hotloop.tensor(np.array([written[-model.context :]])))[0, -1]
            written.append(F.softmax(scores / temperature, dim=0).multinomial(1).item())
    return "".join(map(chr, model.alphabet.numpy()[written]))


def compare(alphabet, text, held_out, args):
    """Both networks learn; prints how well. Gives the transformer."""
    model = CharTransformer(alphabet, args.context, args.width, args.layers, args.heads, args.dropout)
    lstm = char_lm.CharLM(alphabet, args.hidden, args.lstm_dropout)
    vectors, matrices = ([p for p in model.parameters() if (p.ndim > 1) == large] for large in (False, True))
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    adamw = optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.99), weight_decay=0.1)
    adam = optim.Adam(lstm.parameters(), lr=args.lstm_learning_rate, betas=(0.9, 0.99))
    contest = [
        ("transformer", model, transformer_losses, adamw, evaluate, args.batch * args.context),
        ("LSTM", lstm, lstm_losses, adam, char_lm.evaluate, args.streams * args.steps),
    ]
    lines = []
    for name, network, losses, optimizer, judge, size in contest:
        rng = np.random.default_rng(args.seed)
        steps = learn(name, network, losses(network, text, args, rng), optimizer, args.seconds)
        if network is model and args.save:
            hotloop.save(model, args.save)
        value, count = judge(network, held_out), sum(p.numel() for p in network.parameters())
        how = f"{count} parameters, {steps * size} characters in {args.seconds:g} s"
        lines.append(f"{name:11}  held-out loss: {value:.4f} nats, {bits(value)}  ({how})")
        print(lines[-1], flush=True)
    print("\n".join(["", *lines]))
    return model


def load(path):
    try:
        weights = hotloop.load(path)
        model = CharTransformer(weights["alphabet"].numpy(), *weights["sizes"].tolist())
        model.load_state_dict(weights)
    except ValueError as error:
        sys.exit(str(error))
    except (KeyError, RuntimeError):
        sys.exit(f"{path}: not kept by this program")
    return model


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whole, real = dict(type=options.positive, metavar="N"), dict(type=options.above_zero, metavar="X")
    parser.add_argument("--text", type=Path, metavar="FILE", help="learn from this text")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the transformer there (.safetensors)")
    parser.add_argument("--load", type=Path, metavar="FILE", help="learn nothing: write with the weights kept there")
    parser.add_argument("--seconds", default=280.0, help="of each network's training; default 280", **real)
    parser.add_argument("--width", default=128, help="of the transformer; default 128", **whole)
    parser.add_argument("--layers", default=4, help="default 4", **whole)
    parser.add_argument("--heads", default=4, help="default 4", **whole)
    parser.add_argument("--context", default=64, help="characters that are looked at; default 64", **whole)
    parser.add_argument("--batch", default=16, help="pieces of a step; default 16", **whole)
    parser.add_argument("--learning-rate", default=4e-3, help="the highest; default 0.004", **real)
    parser.add_argument("--dropout", type=options.probability, default=0.0, metavar="P", help="default 0")
    parser.add_argument("--hidden", default=256, help="width of the LSTM's layers; default 256", **whole)
    parser.add_argument("--seed", type=options.seed, default=0, metavar="N", help="of everything drawn; default 0")
    parser.add_argument("--length", default=1000, help="characters to write in the end; default 1000", **whole)
    parser.add_argument("--prompt", default="\n", metavar="TEXT", help="what they follow; default: a new line")
    parser.add_argument("--temperature", default=0.8, help="default 0.8", **real)
    # the rest of the LSTM is that of char_lm.py
    parser.set_defaults(streams=32, steps=64, lstm_learning_rate=3e-3, lstm_dropout=0.2)
    args = parser.parse_args()
    if (args.text is None) == (args.load is None):
        parser.error("expected --text FILE, to learn from it, or --load FILE")
    if args.width % (2 * args.heads):
        parser.error(f"expected --width as a multiple of twice --heads, got {args.width} and {args.heads}")
    if args.save:
        options.writable("--save", args.save)
    if (args.save or args.load) and not find_spec("safetensors"):
        sys.exit("--save and --load need the safetensors library: pip install 'hotloop[files]'")
    for option, path in (("--text", args.text), ("--load", args.load)):
        if path and not path.is_file():
            sys.exit(f"{option}: no file {path}")
    return args


def main():
    args = arguments()
    hotloop.manual_seed(args.seed)
    if args.load:
        model = load(args.load)
        prompt = char_lm.places(args.prompt, model.alphabet.numpy())
    else:
        alphabet, text, held_out = char_lm.read(args.text, args)
        if len(text) <= args.context:
            sys.exit(f"{args.text}: expected a longer text, got {len(text)} characters to learn from")
        # before minutes are spent
        prompt = char_lm.places(args.prompt, alphabet)
        chances = np.unique(text, return_counts=True)[1] / len(text)
        print(f"{len(text)} characters to learn from, {len(held_out) - 1} held out, an alphabet of {len(alphabet)}")
        print(f"by their frequency alone: {bits(-np.sum(chances * np.log(chances)))}")
        model = compare(alphabet, text, held_out, args)
    hotloop.manual_seed(args.seed)
    print(sample(model, prompt, args.length, args.temperature))


if __name__ == "__main__":
    main()
