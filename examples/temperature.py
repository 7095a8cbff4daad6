"""Tomorrow's lowest temperature: a GRU forecasts a daily series one step ahead, in seconds once it is compiled.

    python examples/temperature.py --csv daily-min-temperatures.csv

The file has two columns under a headline, dates and degrees Celsius: the lowest temperature of every day in Melbourne
from 1981 to 1990, by the Australian Bureau of Meteorology. It comes from the Time Series Data Library; the repository
"jbrownlee/Datasets" on GitHub has a copy. (It lacks the last days of 1984 and 1988: "the day before" the first of the
next January is two days before.)

The network reads three weeks, a day after the other: the temperature, and the season as sine and cosine of the day of
the year; then it tells the day after. The last two years are held out. Layers, learning rate and epochs were chosen by
the two years before them, learning from what is older; even the mean and the deviation that temperatures are scaled by
are those of the years that are learnt from. Beside it stand two forecasts without a network: persistence, which says
that tomorrow is as today, and a linear regression on the same three weeks.
"""

import argparse
import sys
import time
from pathlib import Path

import hotloop
import numpy as np
import options
from hotloop import nn, optim, train
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DAYS = 21  # that are looked back
HIDDEN = 16
LEARNING_RATE = 1e-2
BATCH_SIZE = 32


def read(path):
    """The two columns of the file: dates (N,) and temperatures (N,)."""
    if not path.is_file():
        sys.exit(f"--csv: no file {path}")
    try:
        table = np.loadtxt(path, dtype=str, delimiter=",", quotechar='"', skiprows=1, ndmin=2)
        return table[:, 0].astype("datetime64[D]"), table[:, 1].astype(float)
    except (IndexError, ValueError):
        sys.exit(f"{path}: expected a headline, then lines of a date and a temperature")


def windows(dates, temperatures):
    """What can be known on the eve of each day from the DAYS-th on: (N, DAYS, 3)."""
    season = 2 * np.pi * (dates - dates.astype("datetime64[Y]")).astype(int) / 365.25
    # beside each temperature the season of the day after it: in the end, of the day that is asked for
    known = np.stack([temperatures[:-1], np.sin(season[1:]), np.cos(season[1:])], axis=1)
    return np.lib.stride_tricks.sliding_window_view(known, DAYS, axis=0).swapaxes(1, 2)


class Forecaster(nn.Module):
    """A GRU reads a window; what it remembers at its end becomes one number."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, window):
        _, state = self.gru(window)  # (1, N, HIDDEN)
        return self.head(state[-1])


def learn(seed, epochs, inputs, targets):
    hotloop.manual_seed(seed)
    model = Forecaster()
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)
    data = train.DataLoader((inputs, targets), BATCH_SIZE, shuffle=True, seed=seed)
    schedule = train.Schedule(optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(data)), "batch")
    train.fit(model, nn.MSELoss(), optimizer, data, epochs, callbacks=schedule, verbose=False)
    return model


def regress(inputs, targets, held_out):
    """Least squares: from the temperatures of a window, and the season at its end."""
    known, asked = (np.c_[np.ones(len(a)), a[:, :, 0], a[:, -1, 1:]] for a in (inputs, held_out))
    return asked @ np.linalg.lstsq(known, targets, rcond=None)[0]


def errors(forecast, truth):
    """RMSE and MAE."""
    return np.sqrt(np.mean((forecast - truth) ** 2)), np.mean(np.abs(forecast - truth))


def draw(path, dates, truth, forecast, title):
    """Both held-out years, and a hundred days of them with what persistence says."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    whole, part = figure.subplots(2, 1)
    whole.plot(dates, truth, color="0.6", linewidth=0.8, label="measured")
    whole.plot(dates, forecast, color="C3", linewidth=1.2, label="GRU, from the days before")
    some = slice(len(dates) // 2, len(dates) // 2 + 100)
    part.plot(dates[some], truth[some], color="0.4", marker=".", linewidth=0.8, label="measured")
    part.plot(dates[some], np.roll(truth, 1)[some], color="C0", linewidth=0.8, linestyle=":", label="persistence")
    part.plot(dates[some], forecast[some], color="C3", linewidth=1.8, label="GRU")
    for axes in (whole, part):
        axes.set_ylabel("lowest temperature of the day, °C")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right", ncols=3)
        axes.margins(x=0.01)
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, required=True, help="the series: dates and temperatures")
    parser.add_argument("--epochs", type=options.positive, default=20, help="default 20")
    parser.add_argument("--seeds", type=options.positive, default=5, metavar="N", help="trainings; default 5")
    parser.add_argument("--plot", type=Path, default=Path("temperature.png"), help="where the picture goes")
    args = parser.parse_args()
    options.writable("--plot", args.plot)
    dates, temperatures = read(args.csv)

    # from the first of January of the last year but one
    count = len(dates) - np.searchsorted(dates, dates[-1].astype("datetime64[Y]") - 1)
    if len(dates) < count + 2 * DAYS:
        sys.exit(f"{args.csv}: expected three years or more, got {len(dates)} days")
    mean, deviation = temperatures[:-count].mean(), temperatures[:-count].std()
    scaled = ((temperatures - mean) / deviation).astype(np.float32)
    inputs, targets = windows(dates, scaled).astype(np.float32), scaled[DAYS:, None]
    truth, known = temperatures[-count:], (inputs[:-count], targets[:-count])
    print(f"{len(inputs) - count} days to learn from, {count} held out, from {dates[-count]} to {dates[-1]}\n")

    def report(name, forecast):
        rmse, mae = errors(forecast, truth)
        print(f"{name:18} RMSE {rmse:.3f}  MAE {mae:.3f} degrees", flush=True)
        return rmse

    persistence = report("persistence", temperatures[-count - 1 : -1])
    report("linear regression", regress(*known, inputs[-count:])[:, 0] * deviation + mean)
    began = time.perf_counter()
    forecasts, scores = [], []
    for seed in range(args.seeds):
        model = learn(seed, args.epochs, *known)
        forecasts.append(train.predict(model, inputs[-count:])[:, 0] * deviation + mean)
        scores.append(report(f"GRU, seed {seed}", forecasts[-1]))

    middle = int(np.argsort(scores)[len(scores) // 2])
    title = f"One day ahead: RMSE {scores[middle]:.2f} degrees, persistence {persistence:.2f}"
    draw(args.plot, dates[-count:], truth, forecasts[middle], title)
    print(f"\n{args.seeds} trainings took {time.perf_counter() - began:.1f} s; measured and forecast: {args.plot}")
    print(f"RMSE of the GRU: {np.mean(scores):.3f} on average, from {min(scores):.3f} to {max(scores):.3f} by seed")
    print(f"less than persistence: {100 * (1 - np.mean(scores) / persistence):.1f} %")


if __name__ == "__main__":
    main()
