import json

import pytest
from pydantic import ValidationError

from qvit_qiskit.exceptions import ProfileError
from qvit_qiskit.profile import AerProfile, FakeProfile, IbmProfile, load_profile


@pytest.fixture
def profile(tmp_path):
    """Writes TOML and reads it as a profile."""

    def load(text: str):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return load_profile(path)

    return load


def test_defaults(profile):
    aer = profile('kind = "aer"')
    assert isinstance(aer, AerProfile)
    assert (aer.shots, aer.noise, aer.engine, aer.precision) == (None, None, "exact", "double")
    assert (aer.gradient, aer.spsa_samples, aer.seed, aer.description) == ("auto", 1, 0, "")
    fake = profile('kind = "fake"\ndevice = "fake_torino"')
    assert isinstance(fake, FakeProfile)
    assert (fake.device, fake.shots, fake.seed) == ("fake_torino", 1024, 0)


def test_every_key(profile):
    text = 'kind = "aer"\ndescription = "d"\nseed = 3\nshots = 10\nnoise = "fake_boston"\n'
    aer = profile(text + 'gradient = "spsa"\nspsa_samples = 4')
    assert aer == AerProfile(
        kind="aer",
        description="d",
        seed=3,
        shots=10,
        noise="fake_boston",
        gradient="spsa",
        spsa_samples=4,
    )


def test_what_a_profile_simulates(profile):
    assert profile('kind = "aer"').simulates == "no noise, exact values"
    text = profile('kind = "aer"\nshots = 5\nnoise = "fake_boston"').simulates
    assert text == "noise of fake_boston, 5 shots"
    text = profile('kind = "fake"\ndevice = "fake_torino"\nshots = 9').simulates
    assert text == "fake_torino through the IBM client, 9 shots"


def test_a_processor(profile):
    ibm = profile('kind = "ibm"\ndevice = "ibm_boston"\npriced_as = "fake_boston"\nshots = 7')
    assert isinstance(ibm, IbmProfile)
    assert (ibm.mode, ibm.resilience_level, ibm.account, ibm.tags) == ("batch", 0, None, ())
    assert ibm.simulates == "ibm_boston itself, 7 shots, resilience level 0"


def test_profiles_are_frozen(profile):
    with pytest.raises(ValidationError, match="frozen"):
        profile('kind = "aer"').shots = 3


COMPLAINTS = {
    'kind = "aer"\nshotz = 5': r"Unknown key 'shotz'\. Did you mean 'shots'\? Choose from: .*noise",
    'kind = "fake"\ndevice = "a"\nnoise = "b"': r"Unknown key 'noise'.*description, device, dyn",
    'kind = "are"': r"Unknown kind 'are'\. Did you mean 'aer'\? Choose from: aer, fake, ibm",
    "shots = 5": r"Unknown kind 'None'.* Choose from: aer, fake",
    "kind = 5": r"Unknown kind '5'",
    'kind = "aer"\nshots = 0': r"shots: .*greater than or equal to 1, but got 0\.",
    'kind = "aer"\nshots = 10000001': r"shots: .*less than or equal to 10000000, but got 10000001",
    'kind = "aer"\nshots = "many"': r"shots: .*integer.*, but got 'many'\.",
    'kind = "aer"\nseed = -1': r"seed: .*greater than or equal to 0, but got -1",
    'kind = "aer"\nengine = "gpu"': r"engine: Input should be 'exact' or 'aer', but got 'gpu'\.",
    'kind = "aer"\ngradient = "spas"': r"gradient: .*'param-shift' or 'spsa', but got 'spas'",
    'kind = "aer"\nspsa_samples = 0': r"spsa_samples: .*greater than or equal to 1, but got 0",
    'kind = "ibm"\nmode = "bach"\ndevice = "a"': r"mode: .*'batch'",
    'kind = "ibm"\ntoken = "secret"': r"Unknown key 'token'",
    'kind = "ibm"\ndevice = "a"\npriced_as = "b"\nrep_delay = 1.0': r"rep_delay: .*0\.1",
    'kind = "fake"': r"device: Field required\.",
    'kind = "aer"\nnoise = "fake_boston"\nprecision = "single"': r"noiseless profiles; remove it\.",
    'kind = "aer"\nengine = "aer"\nshots = 3': r"exact values; remove shots and noise\.",
    'kind = "aer"\nengine = "aer"\nnoise = "fake_boston"': r"exact values; remove shots and noise",
    'kind = "aer': "is not valid TOML",
}


@pytest.mark.parametrize("text", COMPLAINTS)
def test_complaints_name_the_file_and_the_mistake(profile, text):
    with pytest.raises(ProfileError, match=COMPLAINTS[text]) as caught:
        profile(text)
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value).split("TOML")[0]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ProfileError, match=r"Cannot read the profile .*none\.toml"):
        load_profile(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'kind = "\xe4"')
    with pytest.raises(ProfileError, match=r"Cannot read the profile .*latin\.toml"):
        load_profile(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("told", "decays"),
    [
        ({"kind": "aer"}, False),
        ({"kind": "aer", "noise": "fake_boston"}, True),
        ({"kind": "aer", "noise": "fake_boston", "idle": False}, False),
        ({"kind": "fake", "device": "fake_boston"}, True),
        ({"kind": "ibm", "device": "ibm_boston", "idle": False}, False),
    ],
)
def test_keys_hold_idle_only_where_it_makes_a_difference(told, decays):
    """So that digests and keys of before are those of profiles without it."""
    kind = {"aer": AerProfile, "fake": FakeProfile, "ibm": IbmProfile}[told["kind"]]
    profile = kind.create(**told)
    assert ("idle" in profile.ingredients(), profile.decays) == (decays, decays)
    assert "idle" not in json.loads(profile.without_idle().ingredients_json())
    record = profile.model_dump()
    assert kind.restored(record) == profile
    del record["idle"]
    assert kind.restored(record) == profile.without_idle()
