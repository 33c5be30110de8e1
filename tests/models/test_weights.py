import huggingface_hub
import pytest
import segmentation_models_pytorch.encoders as smp_encoders
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional

from alseg.errors import WeightsError
from alseg.models import Network, create_segmenter
from alseg.models.weights import load_encoder_file


def encoder(name="resnet18"):
    return smp_encoders.get_encoder(name, weights=None)


def same(encoder, state):
    own = encoder.state_dict()
    return all(torch.equal(own[key], state[key].to(own[key].dtype)) for key in own)


@pytest.fixture(scope="module")
def resnet18():
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None).state_dict()


@pytest.fixture
def save(tmp_path):
    def write(content):
        torch.save(content, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    return write


def test_the_published_file_gives_every_tensor_of_the_encoder(shared):
    path = shared / "weights" / "mobilenet_v2_imagenet_int8src.pth"
    target = encoder("mobilenet_v2")
    assert load_encoder_file(target, path, "mobilenet_v2") == 312
    assert same(target, torch.load(path, weights_only=True))
    segmenter = create_segmenter(Network("deeplabv3plus", "mobilenet_v2", str(path)), 11)
    assert same(segmenter.network.encoder, torch.load(path, weights_only=True))


@pytest.mark.parametrize(
    ("prefix", "dtype"),
    [
        ("", torch.float64),
        ("encoder.", torch.float32),
        ("module.", torch.float16),
        ("model.encoder.", torch.bfloat16),
    ],
)
def test_keys_with_any_prefix_and_any_float_type_are_taken(resnet18, save, prefix, dtype):
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in resnet18.items()}
    target = encoder()
    path = save({prefix + key: value for key, value in state.items()})
    assert load_encoder_file(target, path, "resnet18") == len(target.state_dict())
    assert same(target, state)
    assert all(p.dtype == torch.float32 for p in target.parameters())


def test_the_checkpoint_of_a_whole_network_gives_its_encoder(resnet18, save):
    state = {f"segmenter.network.encoder.{key}": value for key, value in resnet18.items()}
    others = {f"segmenter.network.decoder.{i}.weight": torch.zeros(3) for i in range(200)}
    target = encoder()
    load_encoder_file(target, save({"epoch": 3, "state_dict": state | others}), "resnet18")
    assert same(target, resnet18)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("deeplabv3plus", "resnet18"),
        ("dpt", "vit_tiny_patch16_224"),
        ("dpt", "vit_small_patch16_dinov3"),
    ],
)
def test_a_file_of_timm_gives_every_tensor_of_the_encoder(architecture, name, tmp_path):
    state = timm.create_model(name).state_dict()
    save_file(state, tmp_path / "model.safetensors")
    torch.save({f"model.{key}": value for key, value in state.items()}, tmp_path / "smp.pth")
    for path in (tmp_path / "model.safetensors", tmp_path / "smp.pth"):
        network = create_segmenter(Network(architecture, f"tu-{name}", str(path)), 5).network
        own = network.encoder.model.state_dict()
        assert len(own) > len(state) - 6
        assert all(torch.equal(value, state[key]) for key, value in own.items())


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_a_file_for_three_channels_is_adapted_as_smp_adapts_its_own(channels, resnet18, save):
    network = Network("unet", "resnet18", str(save(resnet18)), in_channels=channels)
    segmenter = create_segmenter(network, 5).eval()
    reference = encoder()
    reference.load_state_dict(resnet18)
    reference.set_in_channels(channels, pretrained=True)
    assert same(segmenter.encoder, reference.state_dict())
    assert segmenter(torch.randn(1, channels, 33, 40)).logits.shape == (1, 5, 33, 40)


@pytest.mark.parametrize("prefix", [0, 1])
def test_position_embeddings_of_another_grid_are_resampled_and_the_class_token_kept(prefix, save):
    name = "vit_small_patch14_reg4_dinov2" if prefix == 0 else "vit_small_patch14_dinov2"
    state = timm.create_model(name, img_size=56).state_dict()
    given = torch.randn(1, prefix + 4 * 4, 384)
    state["pos_embed"] = given
    encoder = create_segmenter(Network("dpt", f"tu-{name}", str(save(state))), 5).network.encoder
    found = encoder.model.pos_embed
    assert found.shape == (1, prefix + 37 * 37, 384)
    assert torch.equal(found[:, :prefix], given[:, :prefix])
    grid = given[:, prefix:].reshape(1, 4, 4, 384).permute(0, 3, 1, 2)
    grown = functional.interpolate(grid, (37, 37), mode="bicubic", antialias=True)
    torch.testing.assert_close(found[:, prefix:], grown.flatten(2).transpose(1, 2))


def test_position_embeddings_of_no_square_are_refused(save):
    state = timm.create_model("vit_tiny_patch16_224").state_dict()
    state["pos_embed"] = torch.zeros(1, 1 + 4 * 5, 192)
    with pytest.raises(WeightsError, match=r"1 have another shape or type \(pos_embed\)"):
        create_segmenter(Network("dpt", "tu-vit_tiny_patch16_224", str(save(state))), 5)


def test_missing_batch_counters_are_no_fault(resnet18, save):
    state = {k: v for k, v in resnet18.items() if not k.endswith("num_batches_tracked")}
    target = encoder()
    assert load_encoder_file(target, save(state), "resnet18") == 100


def test_a_file_of_another_network_is_refused_with_counts(save):
    path = save(encoder("mobilenet_v2").state_dict())
    before = encoder().state_dict()
    with pytest.raises(WeightsError) as raised:
        load_encoder_file(encoder(), path, "resnet18")
    message = str(raised.value)
    assert str(path) in message
    assert "0 fit" in message
    assert "100 are missing (conv1.weight, bn1.weight, bn1.bias, ...)" in message
    assert "312 others were not expected (features.0.0.weight" in message
    assert len(before) == 120


def test_a_deeper_network_of_the_same_family_is_refused(save):
    path = save(torchvision.models.resnet34(weights=None).state_dict())
    with pytest.raises(WeightsError, match=r"others were not expected \(layer1.2.conv1.weight"):
        load_encoder_file(encoder(), path, "resnet18")


def test_one_tensor_of_another_shape_is_refused_and_nothing_is_loaded(resnet18, save):
    state = {**resnet18, "conv1.weight": torch.zeros(64, 4, 7, 7)}
    target = encoder()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(WeightsError, match=r"119 fit, 1 have another shape or type \(conv1.weight"):
        load_encoder_file(target, save(state), "resnet18")
    assert same(target, before)


def test_integer_weights_are_refused(resnet18, save):
    state = {**resnet18, "conv1.weight": resnet18["conv1.weight"].to(torch.int8)}
    with pytest.raises(WeightsError, match="another shape or type"):
        load_encoder_file(encoder(), save(state), "resnet18")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.nn.Linear(2, 2), "not a file of tensors alone"),
        ([torch.zeros(2)], "holds a list, not a state dict"),
        ({}, "0 fit"),
    ],
)
def test_what_is_no_state_dict_is_refused(save, content, message):
    with pytest.raises(WeightsError, match=message):
        load_encoder_file(encoder(), save(content), "resnet18")


def test_a_file_that_is_no_torch_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_text("these are not weights")
    with pytest.raises(WeightsError, match="not a file of tensors alone"):
        load_encoder_file(encoder(), path, "resnet18")
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        load_encoder_file(encoder(), path, "resnet18")
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"these are not weights")
    with pytest.raises(WeightsError, match="not a file of safetensors"):
        load_encoder_file(encoder(), path, "resnet18")


def test_a_name_that_is_neither_weights_nor_a_file_lists_the_choices():
    with pytest.raises(WeightsError, match="'imagnet': resnet18 has imagenet, .*none"):
        create_segmenter(Network("unet", "resnet18", "imagnet"), 5)


class Unreachable:
    def head(self, url, timeout):
        raise OSError("Name or service not known")


@pytest.mark.parametrize("name", ["mobilenet_v2", "tu-resnet18"])
def test_without_network_and_cache_the_alternatives_are_named_at_once(monkeypatch, name):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "get_session", Unreachable)
    with pytest.raises(WeightsError, match="--encoder-weights PATH.*--encoder-weights none"):
        create_segmenter(Network("deeplabv3plus", name, "imagenet"), 5)


def test_cached_imagenet_weights_are_loaded_without_network(monkeypatch, tmp_path):
    torch.manual_seed(1)
    state = encoder().state_dict()
    save_file(state, tmp_path / "model.safetensors")
    cached = {"config.json": "config.json", "model.safetensors": "model.safetensors"}

    def download(repository, filename, revision):
        assert repository == "smp-hub/resnet18.imagenet"
        return str(tmp_path / cached[filename])

    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repo, file, revision: str(tmp_path / file)
    )
    monkeypatch.setattr(huggingface_hub, "get_session", Unreachable)
    monkeypatch.setattr(smp_encoders, "hf_hub_download", download)
    segmenter = create_segmenter(Network("unet", "resnet18", "imagenet"), 5)
    assert same(segmenter.network.encoder, state)


def test_a_download_that_breaks_off_is_an_error_of_ours(monkeypatch):
    def download(*_, **__):
        raise OSError("connection reset")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: "cached")
    monkeypatch.setattr(smp_encoders, "hf_hub_download", download)
    with pytest.raises(WeightsError, match="connection reset.*--encoder-weights none"):
        create_segmenter(Network("unet", "resnet18", "imagenet"), 5)
