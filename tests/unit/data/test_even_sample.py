import numpy as np
import pytest

from histsearch.data.even_sample import even_sample


def sizes(sizes_of_classes: list[int], most: int, seed: int = 0) -> list[int]:
    labels_N = np.repeat(np.arange(len(sizes_of_classes)), sizes_of_classes)
    labels_N = np.random.default_rng(7).permutation(labels_N)
    sample_S = even_sample(labels_N, most, seed)
    assert sorted(set(sample_S.tolist())) == sample_S.tolist()
    taken = labels_N[sample_S].tolist()
    return [taken.count(label) for label in range(len(sizes_of_classes))]


def test_a_class_gives_as_many_images_as_the_others_or_all_it_has() -> None:
    assert sizes([50, 2, 30, 9], most=23) in ([8, 2, 7, 6], [7, 2, 8, 6], [7, 2, 7, 7])
    assert sizes([50, 2, 30, 9], most=23)[1] == 2


@pytest.mark.parametrize(("most", "expected"), [(91, [50, 2, 30, 9]), (500, [50, 2, 30, 9])])
def test_where_all_images_fit_all_are_taken(most: int, expected: list[int]) -> None:
    assert sizes([50, 2, 30, 9], most) == expected


def test_of_more_classes_than_images_no_class_comes_twice() -> None:
    assert sorted(sizes([3] * 100, most=20)) == [0] * 80 + [1] * 20


def test_the_seed_fixes_the_sample_and_another_gives_another() -> None:
    labels_N = np.arange(600) % 6
    first = even_sample(labels_N, 60, 1).tolist()
    assert even_sample(labels_N, 60, 1).tolist() == first
    assert even_sample(labels_N, 60, 2).tolist() != first
