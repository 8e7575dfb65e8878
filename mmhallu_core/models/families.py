"""The families of vision-language models that this library knows, each described in a few lines.

All are built alike: a *vision tower* turns patches of a picture into vectors, a *connector* turns those into the
decoder's width, and a *decoder* of many layers reads them between the words. What differs is where these parts are
and which tokens a picture becomes. A `Family` says exactly that, and nothing else in the library asks which model
it is. To add one, see "Add a family" in CONTRIBUTING.md.
"""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from mmhallu_core.models import grids
from mmhallu_core.models.image_tokens import PicturePlan
from mmhallu_core.types import CannotRun


@dataclass(frozen=True)
class Family:
    """Where things are in one family of models. Paths are dotted names from the model.

    Attributes:
        name: the family's name here.
        model_types: `config.model_type` of the models it holds.
        vision_types: `config.vision_config.model_type` of the towers that this description fits.
        vision_tower: path of the tower.
        vision_layers: paths of the tower's lists of layers, in the order in which they run.
        vision_matrices: the weight matrices in one of those layers, attention first; paths from the layer.
        connector: paths of the modules and single parameters between tower and decoder. They may lie inside the
            tower's path; they are connector all the same. The first is a module that gives one vector for each token.
        decoder: path of the decoder, embeddings and last norm included.
        decoder_layers: path of its list of layers.
        attention_matrices: query, key, value and output matrix; paths from the layer.
        mlp_matrices: gate, up and down matrix; paths from the layer.
        image_positions: how one picture is laid out as image tokens, see `grids.py`; `Vlm.image_tokens` finds them by
            it. None where pictures are not tokens.
        tower_views: in the same form the views of a picture that the tower reads, None for each empty one. None where
            they are the grids of the image tokens. Of a view only the box counts.
        raster: how a tower layer's patches are put row by row, see `grids.py`.
        cross_attention_matrices: as `attention_matrices`, in the layers that look at the picture by cross-attention.
        deepstack: path of a list of further connectors, where the decoder reads the picture more than once: what number
            i of them gives is added to the image tokens behind decoder layer i.
        cuts: whether its processor may cut the edges of a picture off, as CLIP's does; see `fit.py`.
        vision_tail: paths of what follows the tower's layers and is left out on the way to the connector, if it is
            there. See `unread`.
        old_names: for each time at which transformers called the layers otherwise, pairs of how a name begins today and
            how it began then; the first that fits counts. `adapters.py` reads adapters of that time with it.
    """

    name: str
    model_types: tuple[str, ...]
    vision_types: tuple[str, ...]
    vision_tower: str
    vision_layers: tuple[str, ...]
    vision_matrices: tuple[str, ...]
    connector: tuple[str, ...]
    image_positions: PicturePlan | None
    decoder: str = "model.language_model"
    attention_matrices: tuple[str, ...] = (
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    )  # fmt: skip
    mlp_matrices: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    cross_attention_matrices: tuple[str, ...] = ()
    tower_views: PicturePlan | None = None
    raster: grids.Raster = grids.views
    cuts: bool = False
    vision_tail: tuple[str, ...] = ()
    deepstack: str | None = None
    old_names: tuple[tuple[tuple[str, str], ...], ...] = ()

    def read_tower_layers(self, model: nn.Module) -> list[nn.Module]:
        """The vision tower's layers on which an answer depends, first to last; see `unread`."""
        names = [f"{path}.{i}" for path in self.vision_layers for i in range(len(plain(model).get_submodule(path)))]
        unread = self.unread(model)
        return [plain(model).get_submodule(name) for name in names if name not in unread]

    @property
    def decoder_layers(self) -> str:
        """Path of the decoder's list of layers."""
        return f"{self.decoder}.layers"

    def layers(self, model: nn.Module) -> list[nn.Module]:
        """The decoder's layers, first to last."""
        return list(plain(model).get_submodule(self.decoder_layers))

    def tower_layers(self, model: nn.Module) -> list[nn.Module]:
        """The vision tower's layers, first to last."""
        return [layer for path in self.vision_layers for layer in plain(model).get_submodule(path)]

    def connector_modules(self, model: nn.Module) -> list[nn.Module]:
        """The modules through which a picture reaches the decoder: each gives one vector for each image token.

        The first gives what enters the decoder; those behind it, in Qwen3-VL alone, what is added in later layers.
        """
        first = plain(model).get_submodule(self.connector[0])
        return [first, *(plain(model).get_submodule(self.deepstack) if self.deepstack else ())]

    def cross_attention_layers(self, model: nn.Module) -> tuple[int, ...]:
        """Numbers of the decoder layers that look at the picture by cross-attention; empty where there are none."""
        if not self.cross_attention_matrices:
            return ()
        return tuple(plain(model).config.get_text_config().cross_attention_layers)

    def attention_module(self, model: nn.Module, layer: int) -> nn.Module:
        """The attention (or cross-attention) of one decoder layer; its second output is the attention map."""
        return self.layers(model)[layer].get_submodule(self._attention(model, layer)[0].rpartition(".")[0])

    def row_modules(self, model: nn.Module) -> list[nn.Module]:
        """Parts of the last decoder layer that treat each token by itself: query and output matrix, and the MLP."""
        paths = self._attention(model, len(self.layers(model)) - 1)
        mlp = self.mlp_matrices[0].rpartition(".")[0]
        return [self.layers(model)[-1].get_submodule(path) for path in (paths[0], paths[-1], mlp)]

    def decoder_matrices(self, model: nn.Module) -> dict[str, nn.Module]:
        """All weight matrices of the decoder's layers, by their full names."""
        return {
            f"{self.decoder_layers}.{number}.{path}": layer.get_submodule(path)
            for number, layer in enumerate(self.layers(model))
            for path in (*self._attention(model, number), *self.mlp_matrices)
        }

    def output_matrices(self, model: nn.Module, part: str) -> dict[str, nn.Module]:
        """The last matrix of each decoder layer's "attention" or "mlp", which writes into the states, by its full name.

        Raises:
            KeyError: for another part.
        """
        found = {}
        for number, layer in enumerate(self.layers(model)):
            path = {"attention": self._attention(model, number), "mlp": self.mlp_matrices}[part][-1]
            found[f"{self.decoder_layers}.{number}.{path}"] = layer.get_submodule(path)
        return found

    def tower_matrices(self, model: nn.Module) -> dict[str, nn.Module]:
        """All weight matrices of the vision tower's layers, by their full names."""
        return {
            f"{layers}.{number}.{path}": layer.get_submodule(path)
            for layers in self.vision_layers
            for number, layer in enumerate(plain(model).get_submodule(layers))
            for path in self.vision_matrices
        }

    def unread(self, model: nn.Module) -> tuple[str, ...]:
        """Paths in the tower on which no answer depends, so that training them would do nothing.

        LLaVA's connector reads the tower's last layer but one: the last layer and the norm behind it are computed
        and never used. The config's `vision_feature_layer` counts hidden states from 0, what enters the layers.
        """
        read = getattr(plain(model).config, "vision_feature_layer", None)
        if read is None:
            return self.vision_tail
        paths = [f"{path}.{i}" for path in self.vision_layers for i in range(len(plain(model).get_submodule(path)))]
        states = [read] if isinstance(read, int) else read
        last = max(state if state >= 0 else len(paths) + 1 + state for state in states)
        return (*paths[last:], *self.vision_tail)

    def _attention(self, model: nn.Module, layer: int) -> tuple[str, ...]:
        """The attention matrices of one decoder layer."""
        crossing = layer in self.cross_attention_layers(model)
        return self.cross_attention_matrices if crossing else self.attention_matrices


def plain(model: nn.Module) -> nn.Module:
    """The transformers model itself when peft has put an adapter around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


# CLIP's and SigLIP's layers, and those that were copied from them.
_CLIP = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
_TEXT_INSIDE = (("lm_head", "language_model.lm_head"), ("model.language_model.", "language_model.model."))  # until 4.51
_LLAVA = {
    "vision_tower": "model.vision_tower",
    "vision_layers": ("model.vision_tower.encoder.layers",),
    "vision_matrices": _CLIP,
    "vision_tail": ("model.vision_tower.post_layernorm", "model.vision_tower.head"),
    "old_names": (
        (("model.vision_tower.", "model.vision_tower.vision_model."),),  # from 4.52 on
        (*_TEXT_INSIDE, ("model.vision_tower.", "vision_tower.vision_model."), ("model.", "")),
    ),
}
_QWEN = {
    "vision_tower": "model.visual",
    "vision_layers": ("model.visual.blocks",),
    "image_positions": grids.qwen_vl,
    "raster": grids.squares,
}
_QWEN_OLD = ((("model.language_model.", "model."), ("model.visual.", "visual.")),)  # until 4.51

_ALL = (
    Family(
        "llava", ("llava",), ("clip_vision_model", "siglip_vision_model"), **_LLAVA,
        connector=("model.multi_modal_projector",), image_positions=grids.llava, cuts=True,
    ),
    Family(
        "llava_next", ("llava_next",), ("clip_vision_model", "siglip_vision_model"), **_LLAVA,
        connector=("model.multi_modal_projector", "model.image_newline"),
        image_positions=grids.llava_next, tower_views=grids.llava_next_views,
    ),
    Family(
        "llava_onevision", ("llava_onevision",), ("siglip_vision_model",), **_LLAVA,
        connector=("model.multi_modal_projector", "model.image_newline"),
        image_positions=grids.llava_onevision, tower_views=grids.llava_onevision_views,
    ),
    Family(
        "qwen2_vl", ("qwen2_vl",), ("qwen2_vl", "qwen2_vl_vision"), **_QWEN, connector=("model.visual.merger",),
        vision_matrices=("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"), old_names=_QWEN_OLD,
    ),
    Family(
        "qwen2_5_vl", ("qwen2_5_vl",), ("qwen2_5_vl", "qwen2_5_vl_vision"), **(_QWEN | {"raster": grids.windows}),
        connector=("model.visual.merger",),
        vision_matrices=("attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
        old_names=_QWEN_OLD,
    ),
    Family(
        "qwen3_vl", ("qwen3_vl",), ("qwen3_vl", "qwen3_vl_vision"), **_QWEN,
        connector=("model.visual.merger", "model.visual.deepstack_merger_list"),
        vision_matrices=("attn.qkv", "attn.proj", "mlp.linear_fc1", "mlp.linear_fc2"),
        deepstack="model.visual.deepstack_merger_list",
    ),
    Family(
        "mllama", ("mllama",), ("mllama_vision_model",), "model.vision_model",
        ("model.vision_model.transformer.layers", "model.vision_model.global_transformer.layers"),
        ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.fc1", "mlp.fc2"),
        connector=("model.multi_modal_projector",), image_positions=None, raster=grids.tiles,
        tower_views=grids.mllama_views,
        cross_attention_matrices=("cross_attn.q_proj", "cross_attn.k_proj", "cross_attn.v_proj", "cross_attn.o_proj"),
        old_names=((*_TEXT_INSIDE, ("model.", "")),),
    ),
    Family(
        "idefics3", ("idefics3", "smolvlm"), ("idefics3_vision", "smolvlm_vision"), "model.vision_model",
        ("model.vision_model.encoder.layers",), _CLIP, connector=("model.connector",),
        image_positions=grids.idefics3, decoder="model.text_model",
    ),
    Family(
        "internvl", ("internvl",), ("internvl_vision",), "model.vision_tower", ("model.vision_tower.encoder.layer",),
        ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.projection_layer", "mlp.fc1",
         "mlp.fc2"),
        connector=("model.multi_modal_projector",), image_positions=grids.internvl,
    ),
)  # fmt: skip
FAMILIES = {family.name: family for family in _ALL}


def family_of(model: PreTrainedModel | nn.Module) -> Family:
    """The description that fits a model.

    Raises:
        CannotRun: when no family fits; the message lists those that are supported.
    """
    config = plain(model).config
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    for family in _ALL:
        if config.model_type in family.model_types and tower in family.vision_types:
            return family
    known = ", ".join(kind for family in _ALL for kind in family.model_types)
    raise CannotRun(
        f"models of type {config.model_type!r} with a vision tower of type {tower!r} are not supported; these are: "
        f"{known}. CONTRIBUTING.md says how a family is added."
    )
