"""`python -m harness.transfer`: train the network of a searched cell on large images, as the paper does on ImageNet."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, parse_overrides, run_command
from harness.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and record an epoch at a time; a training that was stopped goes on.

    Returns:
        0.

    Raises:
        UserError: the architecture, the images, a setting or the folder cannot be used as asked.
    """
    options = _parser().parse_args(arguments)
    if (options.run is None) == (options.architecture is None):
        raise UserError("expected either --run, or --space and --architecture")
    from harness.imagenet.images import ImageFolders
    from harness.imagenet.recipe import ImagenetRecipe
    from harness.imagenet.training import Transfer
    from harness.records.run_folder import RunFolder
    from harness.search.setup import known_device, known_space
    from harness.search.values import converted
    from spaces.base import Unsupported

    changed = {}
    for key, text in parse_overrides(options.set).items():
        kind = {"int": int, "float": float}.get(str(ImagenetRecipe.__annotations__.get(key)))
        if kind is None:
            raise UserError(f"unknown setting {key!r}; known: {', '.join(ImagenetRecipe.__annotations__)}")
        changed[key] = converted(key, text, kind)
    recipe = ImagenetRecipe(**changed)
    try:
        if options.run is not None:
            folder = RunFolder(options.run)
            space = known_space(folder.config()["space"])
            lines = folder.epochs()
            if not lines:
                raise UserError(f"{options.run}: no epoch is recorded")
            architecture = space.read(lines[-1]["architecture"])
        else:
            space = known_space(options.space)
            architecture = space.parse(options.architecture)
    except (Unsupported, ValueError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"no architecture to transfer: {error}") from None
    images = ImageFolders(options.images, recipe.side, options.readers)
    device = known_device(options.device)
    Transfer(space, architecture, recipe, images, options.out, options.seed, device).run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.transfer",
        description="Train the network of a searched cell on a folder of large images by the paper's recipe for "
        "ImageNet (table 2): 48 channels, 14 cells, 250 epochs. It takes GPU weeks in full.",
    )
    add = parser.add_argument
    add("--run", type=Path, metavar="DIR", help="run folder of a search, whose last architecture is trained")
    add("--space", default="darts", metavar="NAME", help="space of --architecture (default: darts)")
    add("--architecture", metavar="TEXT", help="as papers and logs write it, such as Genotype(normal=[...], ...)")
    add("--images", type=Path, required=True, metavar="DIR", help="folder of train/CLASS/IMAGE and val/CLASS/IMAGE")
    add("--out", type=Path, required=True, metavar="DIR", help="where the training records")
    add("--seed", type=int, default=0, metavar="N", help="of weights and images (default: 0)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: cuda where there is one")
    add("--readers", type=int, default=0, metavar="N", help="processes that read images (default: this one alone)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the recipe, as cells=8")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
