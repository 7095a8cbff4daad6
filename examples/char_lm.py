"""A character model: two LSTM layers read Shakespeare and learn to go on, some minutes on two cores.

    python examples/char_lm.py --text tinyshakespeare.txt --save char_lm.safetensors
    python examples/char_lm.py --load char_lm.safetensors --temperature 0.7

FILE may be any plain text of some hundred thousand characters or more; tinyshakespeare.txt (1.1 MB) is from Andrej
Karpathy's repository "char-rnn" on GitHub. The last tenth of it is held out.

The text is cut into streams that lie side by side, and the network walks down all of them at once, some steps at a
time. What it remembers at the end of a walk is where the next one begins, but as plain numbers: gradients go back to
the beginning of their walk and no further ("truncated back-propagation through time").

A loss is what a character costs, the mean of -log p: in bits as it goes, in nats (a bit is 0.693 of them) beside it.
"""

import argparse
import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import hotloop
import numpy as np
import options
from hotloop import nn, optim
from hotloop.nn import functional as F

EMBEDDING = 64
REPORT = 100  # steps
LONGEST = 256  # steps at once where no gradient is wanted


class CharLM(nn.Module):
    """From characters (T, N), as places in the alphabet, to scores (T, N, alphabet) of those that follow."""

    def __init__(self, alphabet, hidden, dropout=0.0):
        super().__init__()
        # goes into the file with the weights, which mean nothing without it
        self.register_buffer("alphabet", hotloop.tensor(alphabet))
        self.embedding = nn.Embedding(len(alphabet), EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, hidden, num_layers=2, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, len(alphabet))

    def forward(self, characters, state=None):
        y, state = self.lstm(self.embedding(characters), state)
        return self.head(self.dropout(y)), state


def characters(text):
    """A string as code points, (len(text),)."""
    return np.frombuffer(text.encode("utf-32-le"), "<i4").astype(np.int64)


def streams(text, count):
    """`count` pieces of a text side by side, (length, count), and the characters that follow each."""
    length = (len(text) - 1) // count
    pieces = (text[begin:][: length * count].reshape(count, length).T for begin in (0, 1))
    return [np.ascontiguousarray(piece) for piece in pieces]


def walk(model, text, count, steps):
    """Scores and the characters that came, `steps` steps of all streams at a time; the state goes along."""
    inputs, targets = streams(text, count)
    state = None
    for begin in range(0, len(inputs), steps):
        scores, state = model(hotloop.tensor(inputs[begin : begin + steps]), state)
        state = tuple(s.detach() for s in state)
        yield scores.flatten(0, 1), hotloop.tensor(targets[begin : begin + steps].reshape(-1))


def evaluate(model, text):
    """The mean loss over a text that is read from its beginning to its end."""
    model.eval()
    total = seen = 0
    with hotloop.no_grad():
        for scores, targets in walk(model, text, 1, LONGEST):
            total += F.cross_entropy(scores, targets, reduction="sum").item()
            seen += len(targets)
    model.train()
    return total / seen


def learn(model, text, held_out, args):
    """Train; the model is left with the weights that did best on the held-out text. Gives that loss."""
    rng = np.random.default_rng(args.seed)
    part = len(text) - args.steps
    walks = math.ceil((part - 1) // args.streams / args.steps)
    optimizer = optim.Adam(model.parameters(), lr=args.learning_rate, betas=(0.9, 0.99))
    # up for a fiftieth of the time, then down along half a cosine
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, args.learning_rate, total_steps=args.epochs * walks, pct_start=0.02, cycle_momentum=False
    )
    best, kept, began = math.inf, {}, time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        where, losses = f"epoch {epoch}/{args.epochs}", []
        # streams and walks are cut elsewhere every time
        begin = rng.integers(args.steps + 1)
        for scores, targets in walk(model, text[begin : begin + part], args.streams, args.steps):
            loss = F.cross_entropy(scores, targets)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) % REPORT == 0:
                print(f"{where}  step {len(losses)}/{walks}  {bits(np.mean(losses[-REPORT:]))}", flush=True)
        value, seconds = evaluate(model, held_out), time.perf_counter() - began
        print(f"{where}  held out: {bits(value)}, {value:.4f} nats  ({seconds:.0f} s)", flush=True)
        if not math.isfinite(value):
            sys.exit("the loss is no number any more: try a lower --learning-rate")
        if value < best:
            best, kept = value, {name: tensor.clone() for name, tensor in model.state_dict().items()}
            if args.save:
                hotloop.save(model, args.save)
    model.load_state_dict(kept)
    return best


def bits(nats):
    return f"{nats / math.log(2):.3f} bits a character"


def sample(model, prompt, length, temperature):
    """A prompt, as places, and `length` characters after it. The lower the temperature, the less is risked."""
    unread = hotloop.tensor(prompt)
    written, state = unread.tolist(), None
    model.eval()
    with hotloop.no_grad():
        for _ in range(length):
            scores, state = model(unread[:, None], state)
            unread = F.softmax(scores[-1, 0] / temperature, dim=0).multinomial(1)
            written.append(unread.item())
    return "".join(map(chr, model.alphabet.numpy()[written]))


def places(prompt, alphabet):
    """A prompt as places in the alphabet."""
    codes = characters(prompt)
    if not len(codes) or not np.isin(codes, alphabet).all():
        sys.exit(f"--prompt: expected characters of the text that was learnt, got {prompt!r}")
    return np.searchsorted(alphabet, codes)


def read(path, args):
    """The alphabet, the text to learn and the one held out, as places in the alphabet."""
    try:
        alphabet, text = np.unique(characters(path.read_text(encoding="utf-8")), return_inverse=True)
    except UnicodeDecodeError:
        sys.exit(f"{path}: not a text in UTF-8")
    begin = len(text) - len(text) // 10
    if begin < args.streams + args.steps + 1 or begin == len(text):
        sys.exit(f"{path}: expected a longer text, got {len(text)} characters")
    # the first character that is held out follows the last that is learnt
    return alphabet, text[:begin], text[begin - 1 :]


def load(path):
    try:
        weights = hotloop.load(path)
        model = CharLM(weights["alphabet"].numpy(), hidden=weights["lstm.weight_hh_l0"].shape[1])
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
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the best weights there (.safetensors)")
    parser.add_argument("--load", type=Path, metavar="FILE", help="learn nothing: write with the weights kept there")
    parser.add_argument("--epochs", default=8, help="default 8", **whole)
    parser.add_argument("--hidden", default=256, help="width of each layer; default 256", **whole)
    parser.add_argument("--streams", default=32, help="side by side; default 32", **whole)
    parser.add_argument("--steps", default=64, help="characters of a walk; default 64", **whole)
    parser.add_argument("--learning-rate", default=3e-3, help="the highest; default 0.003", **real)
    parser.add_argument("--dropout", type=options.probability, default=0.2, metavar="P", help="default 0.2")
    parser.add_argument("--seed", type=options.seed, default=0, metavar="N", help="of everything drawn; default 0")
    parser.add_argument("--length", default=1000, help="characters to write in the end; default 1000", **whole)
    parser.add_argument("--prompt", default="\n", metavar="TEXT", help="what they follow; default: a new line")
    parser.add_argument("--temperature", default=0.8, help="default 0.8", **real)
    args = parser.parse_args()
    if (args.text is None) == (args.load is None):
        parser.error("expected --text FILE, to learn from it, or --load FILE")
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
        prompt = places(args.prompt, model.alphabet.numpy())
    else:
        alphabet, text, held_out = read(args.text, args)
        # before minutes are spent
        prompt = places(args.prompt, alphabet)
        chances = np.unique(text, return_counts=True)[1] / len(text)
        print(f"{len(text)} characters to learn from, {len(held_out) - 1} held out, an alphabet of {len(alphabet)}")
        print(f"by their frequency alone: {bits(-np.sum(chances * np.log(chances)))}")
        model = CharLM(alphabet, args.hidden, args.dropout)
        best = learn(model, text, held_out, args)
        print(f"held-out loss: {best:.4f} nats, {bits(best)}")
    hotloop.manual_seed(args.seed)
    print(sample(model, prompt, args.length, args.temperature))


if __name__ == "__main__":
    main()
