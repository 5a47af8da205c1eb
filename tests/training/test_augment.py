import numpy as np
import pytest
import torch

from qvit_qiskit.data import names
from qvit_qiskit.training.augmentation import FLIPS, SHIFT, augmented, contrasted, flips


def moves_of(image, axes):
    """Every picture that an image may become, pixel by pixel."""
    sides = [image]
    for axis in axes:
        sides += [side.flip(axis) for side in sides]
    height, width = image.shape[-2:]
    for side in sides:
        for down in range(-SHIFT, SHIFT + 1):
            for right in range(-SHIFT, SHIFT + 1):
                moved = torch.empty_like(side)
                for y in range(height):
                    for x in range(width):
                        source = np.clip(y + down, 0, height - 1), np.clip(x + right, 0, width - 1)
                        moved[:, y, x] = side[:, source[0], source[1]]
                yield moved


@pytest.mark.parametrize("axes", [(), (-1,), (-1, -2)])
def test_images_become_what_moving_pixels_one_by_one_allows(rng, axes):
    images = torch.tensor(rng.normal(size=(1, 2, 5, 6))).expand(60, -1, -1, -1)
    allowed = list(moves_of(images[0], axes))
    found = augmented(images, axes, np.random.default_rng(rng.integers(2**31)))
    kinds = {next(k for k, one in enumerate(allowed) if torch.equal(one, image)) for image in found}
    assert len(kinds) > 10
    if axes:
        assert len({k // 25 for k in kinds}) == 2 ** len(axes)  # 25 moves of each flipped picture


def test_a_seed_decides_the_moves(rng):
    images = torch.tensor(rng.normal(size=(8, 1, 28, 28)), dtype=torch.float32)
    first, again, other = (augmented(images, (-1,), np.random.default_rng(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.shape, first.dtype) == (images.shape, images.dtype)


def test_every_set_has_a_modality():
    for name in names():
        assert flips("modality", name) == FLIPS[name]
        assert flips("shift", name) == flips("none", name) == ()


def test_a_set_of_unknown_modality_is_not_flipped():
    assert flips("modality", "mine") == flips("shift", "mine") == ()


def test_contrast(rng):
    """Each image by its own factor and offset, within their bounds."""
    images = torch.from_numpy(rng.normal(size=(50, 3, 4, 4)))
    found = contrasted(images, 0.2, rng)
    for before, after in zip(images, found, strict=True):
        slope, offset = np.polyfit(before.ravel(), after.ravel(), 1)
        assert 0.8 <= slope <= 1.2
        assert -0.1 <= offset <= 0.1
        np.testing.assert_allclose(after, slope * before + offset, atol=1e-9)
    factors = (found[:, 0, 0, 0] - found[:, 0, 0, 1]) / (images[:, 0, 0, 0] - images[:, 0, 0, 1])
    assert factors.std() > 0.05
