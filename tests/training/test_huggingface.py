"""Classifiers of the Hugging Face Hub: with transformers where it is installed, else a stand-in."""

import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from qvit_qiskit.data import Split
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import ConfigError, DataError
from qvit_qiskit.training import open_teacher
from qvit_qiskit.training.teachers import huggingface

DATA = phantom(sizes=(70, 6, 6))


class Model(torch.nn.Module):
    """What a classifier of the Hub looks like from outside."""

    def __init__(self, channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(channels * 784, 2)
        known = {"num_channels": channels, "_name_or_path": "moves"}
        self.config = SimpleNamespace(num_channels=channels, to_dict=lambda: known)

    def forward(self, pixel_values):
        assert not self.training
        return SimpleNamespace(logits=self.linear(pixel_values.flatten(1)))


class Processor:
    """Halves the pixels and puts the channels first."""

    def __call__(self, images, return_tensors, input_data_format):
        assert (return_tensors, input_data_format) == ("pt", "channels_last")
        stacked = np.stack(images).transpose(0, 3, 1, 2)
        return {"pixel_values": torch.tensor(stacked / 2, dtype=torch.float32)}

    def to_dict(self):
        return {"rescale_factor": 0.5}


@pytest.fixture
def hub(monkeypatch):
    """A module in the place of transformers; what it is asked for, and what it finds."""
    asked, found = [], {"model": Model(), "missing_keys": []}

    def model(name, **options):
        assert sys.modules["torchvision"] is None  # hidden: it does not fit our torch
        asked.append((name, options))
        if name == "away":
            raise OSError("We couldn't connect to 'https://huggingface.co'.\nCheck it.")
        return found["model"], {"missing_keys": found["missing_keys"]}

    stand_in = ModuleType("transformers")
    stand_in.AutoModelForImageClassification = SimpleNamespace(from_pretrained=model)
    stand_in.AutoImageProcessor = SimpleNamespace(from_pretrained=lambda name: Processor())
    monkeypatch.setitem(sys.modules, "transformers", stand_in)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    return SimpleNamespace(asked=asked, found=found)


def test_images_are_prepared_by_the_processor_and_answered_by_the_model(hub):
    teacher = open_teacher("hf:someone/model")
    found = teacher.logits(DATA)
    pixels = np.repeat(DATA.train.images[:, None], 3, axis=1) / 2
    expected = hub.found["model"].linear(torch.tensor(pixels, dtype=torch.float32).flatten(1))
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-5, atol=1e-4)
    options = {"use_safetensors": True, "output_loading_info": True}
    assert hub.asked == [("someone/model", options)]
    assert json.loads(teacher.preprocessing) == {"rescale_factor": 0.5}
    assert "torchvision" not in sys.modules


def test_the_digest_is_made_of_contents_and_not_of_names(hub):
    first, again = open_teacher("hf:one").digest, open_teacher("hf:two").digest
    assert first == again
    hub.found["model"].config.to_dict().update(hidden_act="relu")
    assert open_teacher("hf:one").digest != first


def test_colours_need_a_model_of_colours(hub):
    hub.found["model"] = Model(channels=1)
    assert open_teacher("hf:grey").logits(DATA).shape == (70, 2)
    colours = Split(np.zeros((2, 28, 28, 3), np.uint8), np.zeros(2, np.int64))
    assert huggingface._pictures(colours, 3, "it").shape == (2, 28, 28, 3)  # noqa: SLF001 - a step that nothing public does alone
    with pytest.raises(DataError, match=r"1 channel\(s\) for the teacher it, but got 3"):
        huggingface._pictures(colours, 1, "it")  # noqa: SLF001 - a step that nothing public does alone


def test_a_model_that_is_not_there_is_told_in_one_sentence(hub):
    with pytest.raises(ConfigError, match=r"hf:away cannot be loaded .*couldn't connect") as caught:
        open_teacher("hf:away")
    assert "\n" not in str(caught.value)


def test_a_model_without_a_trained_head_is_refused(hub):
    hub.found["missing_keys"] = ["classifier.weight", "classifier.bias"]
    with pytest.raises(ConfigError, match=r"no weights for classifier\.bias, classifier\.weight"):
        open_teacher("hf:headless")


def test_without_the_extra_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'qvit-qiskit\[teachers\]'"):
        open_teacher("hf:someone/model")


def test_a_torchvision_that_is_there_stays(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    open_teacher("hf:someone/model")
    assert "torchvision" in sys.modules


# --- the package itself ----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A tiny classifier with random weights, saved as the Hub saves them."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed: pip install 'qvit-qiskit[teachers]'")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with huggingface._without_torchvision():  # noqa: SLF001 - a step that nothing public does alone
        from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        image_size=32, patch_size=16, num_labels=2,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_of_transformers_teaches_offline(folder):
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    teacher = open_teacher(f"hf:{folder}")
    found = teacher.logits(DATA)
    pictures = [Image.fromarray(image).convert("RGB") for image in DATA.train.images]
    inputs = AutoImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt")
    assert inputs["pixel_values"].shape == (70, 3, 32, 32)
    with torch.no_grad():
        model = AutoModelForImageClassification.from_pretrained(folder).eval()
        expected = model(**inputs).logits.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert open_teacher(f"hf:{folder}").digest == teacher.digest


def test_a_folder_that_holds_no_model_is_told(folder):
    (folder / "empty").mkdir()
    for name in (folder / "empty", "no/such-model"):
        with pytest.raises(ConfigError, match="cannot be loaded") as caught:
            open_teacher(f"hf:{name}")
        assert "\n" not in str(caught.value)
