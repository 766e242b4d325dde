"""`python -m harness.landscape RUN...`: validation accuracy around the alphas of a search (figure 1 of the paper)."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from harness.cli import OneLineParser, add_checkpoints, draw_for, positive_number, run_command, whole_number
from harness.records.journal import is_there, journal
from harness.records.run_folder import LANDSCAPE
from harness.revisit.each import conditions, revisit_each

if TYPE_CHECKING:
    from harness.revisit.search import Measured, Revisited

POINTS = 21
RADIUS = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute what is not there yet, then draw it beside what other methods have at the same epoch.

    Raises:
        UserError: no run has a landscape, or no checkpoint of the epoch.
        RunFolderError: there is no run, or one cannot be read.
    """
    options = _parser().parse_args(arguments)
    done = revisit_each(
        options.runs,
        options.epoch,
        lambda then: compute(then, options.points, options.radius),
        bench=options.bench,
        device=options.device,
        optimizer=options.optimizer,
        space=options.space,
    )

    from plots.figures import landscape

    draw_for(done, options.out, landscape.write)
    return 0


def compute(then: Revisited, points: int = POINTS, radius: float = RADIUS) -> None:
    """Measure the accuracy on a grid and write `landscape/epoch<e>.json`, row by row; what is there stays.

    Raises:
        UserError: the method has no landscape.
        ResultError: a landscape of another extent is there, or another process is at it.
    """
    from harness.revisit.surface import Surface, check_suitable, coordinates

    check_suitable(then)
    result = then.folder.result(LANDSCAPE, then.epoch)
    asked = {"points": points, "radius": radius, "checkpoint_sha256": then.checkpoint_sha256}
    if is_there(result, asked):
        print(f"{result}: there already")
        return
    surface = Surface(then)
    steps = coordinates(radius, points)
    given = {**conditions(then), **asked}
    with journal(result, given) as rows:
        rest = steps[len(rows.parts) :]
        label = f"{given['method']} seed {given['seed']} epoch {then.epoch}"
        for y in tqdm(rest, label, points, initial=points - len(rest), unit="row", disable=None, dynamic_ncols=True):
            rows.append({"y": y, **_columns(surface.row(steps, y))})
        accuracy = [row["accuracy"] for row in rows.parts]
        loss = [row["loss"] for row in rows.parts]
        rows.finish(
            {
                **given,
                "x": steps,
                "y": steps,
                "accuracy": accuracy,
                "loss": loss,
                "centre": {"accuracy": accuracy[points // 2][points // 2], "loss": loss[points // 2][points // 2]},
                "recorded": {
                    "accuracy": then.line["supernet_valid_accuracy"],
                    "loss": then.line["supernet_valid_loss"],
                },
                "directions": {
                    "x": "gradient of the validation loss by the alphas, of length 1",
                    "y": "random, orthogonal to x, of length 1",
                },
                "gradient_norm": surface.gradient_norm,
                "x_direction": [part.tolist() for part in surface.x],
                "y_direction": [part.tolist() for part in surface.y],
            }
        )
    _tell(result, accuracy, then)


def _columns(measured: Sequence[Measured]) -> dict[str, Any]:
    loss = [point.loss if math.isfinite(point.loss) else None for point in measured]
    return {"accuracy": [point.accuracy for point in measured], "loss": loss}


def _tell(result: Path, accuracy: Sequence[Sequence[float]], then: Revisited) -> None:
    """What came out, in a line."""
    values = [value for row in accuracy for value in row]
    centre = accuracy[len(accuracy) // 2][len(accuracy) // 2]
    print(
        f"{result}: accuracy {100 * centre:.2f} % at the alphas, {100 * sum(values) / len(values):.2f} % on average, "
        f"{100 * min(values):.2f} to {100 * max(values):.2f} %"
    )
    if centre != then.line["supernet_valid_accuracy"]:
        print(
            f"note: {result}: recorded was {100 * then.line['supernet_valid_accuracy']:.2f} %; the device, or a "
            "version, is another than the search's (env.json)",
            file=sys.stderr,
        )


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.landscape",
        description="Measure the supernet's validation accuracy on a plane through the alphas of a search, weights "
        "fixed: x is the gradient of the validation loss, y a random direction orthogonal to it. Writes "
        "landscape/epoch<E>.json into the run folder, goes on where it was stopped, and draws the figure with every "
        "method that has a landscape at that epoch.",
    )
    add_checkpoints(parser)
    parser.add_argument(
        "--points", type=_odd, default=POINTS, metavar="N", help=f"points along each direction, odd (default: {POINTS})"
    )
    parser.add_argument(
        "--radius",
        type=positive_number(),
        default=RADIUS,
        metavar="R",
        help=f"how far it reaches, as a distance between alphas (default: {RADIUS:g})",
    )
    return parser


def _odd(text: str) -> int:
    number = whole_number(0)(text)
    if number < 3 or number % 2 == 0:
        raise argparse.ArgumentTypeError(f"expected an odd number of 3 or more, so that one is the centre, got {text}")
    return number


if __name__ == "__main__":
    sys.exit(run_command(main))
