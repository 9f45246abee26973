"""A sample of images in which classes are represented as evenly as can be."""

# N = images, C = classes, S = images of the sample

import numpy as np
from numpy.typing import NDArray


def even_sample(labels_N: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Return (S,): which images are of the sample, in ascending order.

    The numbers of images of two classes differ by one at most, but where a class has no more. Of
    more classes than images, chance chooses.

    Args:
        labels_N: (N,) the class of each image.
        most: Most images of the sample, S.
        seed: Seed of the choice, 0 or above.
    """
    rng = np.random.default_rng(seed)
    order_N = rng.permutation(len(labels_N))
    shuffled_N = labels_N[order_N]
    _, size_C = np.unique(shuffled_N, return_counts=True)
    # How many images of its class come before each.
    turn_N = np.empty_like(shuffled_N)
    turn_N[np.argsort(shuffled_N, kind="stable")] = np.concatenate(list(map(np.arange, size_C)))
    return np.sort(order_N[np.argsort(turn_N, kind="stable")[:most]])
