"""The teacher: a network whose weights are the moving average of those that are trained."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from alseg.data.label_space import IGNORE
from alseg.distributed.ranks import gather_tensor
from alseg.models import Prediction, Segmenter


class Teacher(nn.Module):
    """An exponential moving average of a network, and how far it agrees with the answers so far.

    It is always in evaluation mode and has no gradient. Under mixed precision its weights are those
    of the network, float32. On several processes the parameters are equal, since those of the
    network are; its buffers are sent from the first process like all others.

    Args:
        network: The network that is trained, which the teacher starts from.
        num_classes: Number of classes C.
        decay: Largest decay d. After t updates it is ``min(1 - 1 / (t + 1), d)``: the teacher is
            the plain mean of the first networks before it becomes a moving one.

    Attributes:
        network: The teacher's own network.

    Source:
        Tarvainen and Valpola, NeurIPS 2017 (arXiv 1703.01780); the decay is that of U2PL's
        published program (arXiv 2203.03884).
    """

    updates: Tensor
    agreed: Tensor
    predicted: Tensor

    def __init__(self, network: Segmenter, num_classes: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.network = deepcopy(network).requires_grad_(False).eval()
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.register_buffer("agreed", torch.zeros(num_classes))
        self.register_buffer("predicted", torch.zeros(num_classes))

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode."""
        del mode
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, images: Tensor) -> Prediction:
        """Return the prediction of B×C×H×W images, without gradients."""
        prediction: Prediction = self.network(images)
        return prediction

    @torch.no_grad()
    def restart(self, network: Segmenter) -> None:
        """Take the weights of a network over, as if nothing had been averaged yet."""
        self.network.load_state_dict(network.state_dict())
        for count in (self.updates, self.agreed, self.predicted):
            count.zero_()

    @torch.no_grad()
    def follow(self, network: Segmenter) -> None:
        """Average the weights and buffers of the network after an optimiser step in."""
        self.updates += 1
        self.average(network, self.network)

    @torch.no_grad()
    def average(self, fast: nn.Module, slow: nn.Module) -> None:
        """Average the weights and buffers of a part of the training into those of its slow copy."""
        # As a tensor, since an accelerator would wait for the number.
        weight = (1 / (self.updates + 1)).clamp(min=1 - self.decay)
        there = fast.state_dict()
        for name, own in slow.state_dict().items():
            if own.is_floating_point():
                own.lerp_(there[name].to(own.dtype), weight.to(own.dtype))
            else:
                own.copy_(there[name])

    @torch.no_grad()
    def compare(self, logits: Tensor, answers: Tensor) -> None:
        """Count how often the teacher's class is that of an answer, on all processes.

        Earlier counts fade as earlier weights do.

        Args:
            logits: B×C×h×w of the teacher.
            answers: B×h×w train ids; 255 where nobody answered.
        """
        answered = answers != IGNORE
        found, right = logits.argmax(1)[answered], answers[answered]
        classes = len(self.agreed)
        mine = [torch.bincount(of, minlength=classes) for of in (found, found[found == right])]
        predicted, agreed = torch.stack(gather_tensor(torch.stack(mine))).sum(0)
        self.predicted.mul_(self.decay).add_(predicted)
        self.agreed.mul_(self.decay).add_(agreed)

    def trusts(self, least: float) -> Tensor:
        """Return of which classes the teacher's predictions count, C bool.

        Args:
            least: Of the answered pixels that it gives a class to, the share that has to have that
                class. A class that no answer was compared with counts.
        """
        return self.agreed >= least * self.predicted
