"""Training a transferred network on large images: a line an epoch, and a checkpoint to go on from.

The network is the one that the architecture's space derives for large images (`Space.derived_network`). It runs on one
device; the published batch of 1,024 images was spread over eight GPUs.
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.errors import UserError
from harness.imagenet.images import ImageFolders
from harness.imagenet.recipe import ImagenetRecipe
from harness.records.files import write_atomically
from optimizers.randomness import keyed_generator
from spaces.base import Architecture, DerivedSize, InputShape, Network, Pass, Weights
from spaces.registry import AnySpace

CONFIG, LINES, CHECKPOINT = "transfer.json", "transfer.jsonl", "checkpoint.pt"


class Transfer:
    """One training of one architecture.

    Args:
        space: of the architecture.
        architecture: what is trained.
        recipe: how.
        images: on what.
        folder: where it records; made if need be.
        seed: of weights, order and variation of the images.
        device: cpu or cuda.

    Raises:
        UserError: the space has no such network, or the folder holds another training.
    """

    def __init__(
        self,
        space: AnySpace,
        architecture: Architecture,
        recipe: ImagenetRecipe,
        images: ImageFolders,
        folder: Path,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.recipe, self.images, self.folder, self.seed = recipe, images, folder, seed
        self.device = torch.device(device)
        size = DerivedSize(recipe.channels, recipe.cells, recipe.auxiliary_weight > 0, large_images=True)
        try:
            network = space.derived_network(architecture, space.config_class(), InputShape(3, images.classes), size)
        except ValueError as error:
            raise UserError(f"{space.name}: {error}") from None
        if network is None:
            raise UserError(f"{space.name}: has no network for large images")
        self.network: Network = network
        self.mixture = space.mixture_of(architecture, torch.float32).map(lambda row: row.to(self.device))
        generator = keyed_generator(seed, "weights")
        self.weights: Weights = network.initial_weights(generator, torch.float32).to(self.device)
        self._optimizer = torch.optim.SGD(
            self.weights.parameters.values(),
            recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self.epoch = 0
        self._begin(space, architecture)

    @property
    def parameters(self) -> int:
        """Number of weights, those of the auxiliary head left out, as papers count."""
        tensors = self.weights.parameters.items()
        return sum(tensor.numel() for name, tensor in tensors if not name.startswith("auxiliary"))

    def run(self, epochs: int | None = None) -> None:
        """Train the epochs that are left, or so many of them, and record each."""
        last = self.recipe.epochs if epochs is None else min(self.recipe.epochs, self.epoch + epochs)
        while self.epoch < last:
            try:
                loss = self._train()
            except ValueError as error:
                raise UserError(str(error)) from None
            self.epoch += 1
            line = {"epoch": self.epoch, "train_loss": loss, **self.errors()}
            self._write_checkpoint(line)
            with (self.folder / LINES).open("a") as lines:
                lines.write(json.dumps(line) + "\n")
            print(f"epoch {self.epoch}/{self.recipe.epochs}: {100 * line['top1_error']:.2f} % top-1 error", flush=True)

    @torch.no_grad()
    def errors(self) -> dict[str, float]:
        """Shares of the validation images whose class is not the network's first, and none of its first five."""
        wrong, beyond, count = 0, 0, 0
        frozen, how = self.weights.frozen(), Pass()
        generator = keyed_generator(self.seed, "validation")
        for images, labels in self.images.batches("val", min(self.recipe.batch_size, 256), generator):
            logits: Tensor = self.network(frozen, self.mixture, images.to(self.device), how)
            first = logits.topk(min(5, logits.shape[1]), dim=1).indices.cpu()
            wrong += int((first[:, 0] != labels).sum())
            beyond += int((first != labels[:, None]).all(dim=1).sum())
            count += len(labels)
        return {"top1_error": wrong / count, "top5_error": beyond / count}

    def _train(self) -> float:
        """One epoch; the mean training loss of its steps, the auxiliary head's part left out."""
        recipe = self.recipe
        for group in self._optimizer.param_groups:
            group["lr"] = recipe.rate(self.epoch)
        generator = keyed_generator(self.seed, "images", self.epoch)
        keys = keyed_generator(self.seed, "noise", self.epoch)
        total, steps = 0.0, 0
        parameters = list(self.weights.parameters.values())
        for images, labels in self.images.batches("train", recipe.batch_size, generator):
            how = Pass(training=True, noise=torch.randint(2**62, (), generator=keys))
            outputs = self.network(self.weights, self.mixture, images.to(self.device), how)
            targets = labels.to(self.device)
            logits, auxiliary = outputs if isinstance(outputs, tuple) else (outputs, None)
            loss = objective = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
            if auxiliary is not None:
                more = F.cross_entropy(auxiliary, targets, label_smoothing=recipe.label_smoothing)
                objective = loss + recipe.auxiliary_weight * more
            self._optimizer.zero_grad()
            objective.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)
            self._optimizer.step()
            total, steps = total + float(loss.detach()), steps + 1
        return total / steps

    def _begin(self, space: AnySpace, architecture: Architecture) -> None:
        """Record what is trained, or go on from the checkpoint of the same training."""
        config = {
            "space": space.name,
            "architecture": architecture.to_json(),
            "recipe": dataclasses.asdict(self.recipe),
            "seed": self.seed,
            "classes": self.images.classes,
            "images": {split: self.images.count(split) for split in ("train", "val")},
            "parameters": self.parameters,
        }
        config = json.loads(json.dumps(config))
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / CONFIG
        if path.exists() and json.loads(path.read_text()) != config:
            raise UserError(f"{path}: is of another training; take another --out")
        if not path.exists():
            write_atomically(path, json.dumps(config, indent=1).encode())
        if (self.folder / CHECKPOINT).exists():
            self._restore()

    def _write_checkpoint(self, line: dict[str, Any]) -> None:
        content = io.BytesIO()
        saved = {
            "epoch": self.epoch,
            "line": line,
            "parameters": {name: tensor.detach() for name, tensor in self.weights.parameters.items()},
            "buffers": self.weights.buffers,
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(saved, content)
        write_atomically(self.folder / CHECKPOINT, content.getvalue())

    def _restore(self) -> None:
        path = self.folder / CHECKPOINT
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            with torch.no_grad():
                for part in ("parameters", "buffers"):
                    for name, tensor in getattr(self.weights, part).items():
                        tensor.copy_(saved[part][name])
            self._optimizer.load_state_dict(saved["optimizer"])
            self.epoch, line = int(saved["epoch"]), dict(saved["line"])
        except (RuntimeError, KeyError, ValueError, EOFError, OSError) as error:
            raise UserError(f"{path}: not a checkpoint of this training ({type(error).__name__})") from None
        lines = self.folder / LINES
        recorded = lines.read_text().splitlines() if lines.exists() else []
        # The checkpoint is written before the line: what was cut off between the two is mended here.
        whole = [text for text in recorded[: self.epoch - 1] if text]
        write_atomically(lines, "".join(f"{text}\n" for text in [*whole, json.dumps(line)]).encode())
