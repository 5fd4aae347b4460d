"""Free text read by a pretrained transformer from a local folder, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from accord.data.engine import optional
from accord.errors import ConfigurationError

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")


@final
class TransformerText:
    """A Hugging Face model folder as a frozen text encoder: mean of the last hidden states, on the unit sphere.

    The mean goes over the tokens of the attention mask (Reimers and Gurevych, "Sentence-BERT", 2019). Only files of
    the folder are read: nothing is downloaded, no code of the folder runs, and weights must be safetensors, since the
    other formats execute code when read. Equal lists of texts give equal numbers; a text among others may differ in
    the last bits, because the padding of its batch differs.

    Args:
        directory: holds ``config.json``, the tokeniser's files and ``*.safetensors``.
        device: where the model computes.
        batch_size: texts per pass, of similar length.
        max_tokens: longer texts are cut; the model's own limit holds too.

    Raises:
        MissingExtraError: transformers is not installed.
        ConfigurationError: no folder there, only pickled weights in it, or not a model that transformers knows.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 64,
        max_tokens: int = 256,
    ) -> None:
        self.directory = Path(directory).expanduser()
        check_folder(self.directory)
        transformers = optional("transformers", "reading text with a frozen encoder", "text")
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokeniser = transformers.AutoTokenizer.from_pretrained(str(self.directory), **local)
            model = transformers.AutoModel.from_pretrained(str(self.directory), use_safetensors=True, **local)
        except Exception as error:  # every model family fails in its own way; all of them mean the folder
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigurationError(f"no text encoder can be read from {self.directory}: {reason}") from error
        self._tokeniser: Any = tokeniser
        # Of a translator only the half that reads is of use.
        reader = model.get_encoder() if model.config.is_encoder_decoder else model
        self._model: Any = reader.float().eval().requires_grad_(False).to(device)
        self._batch_size = batch_size
        limits = (max_tokens, tokeniser.model_max_length, getattr(model.config, "max_position_embeddings", None))
        self._max_tokens = min(int(limit) for limit in limits if limit)

    def __call__(self, texts: list[str]) -> Tensor:
        """Return ``[n, d]`` float32 rows of length 1 on the CPU; zeros for a text without tokens."""
        split = self._tokeniser(texts, truncation=True, max_length=self._max_tokens)["input_ids"] if texts else []
        result = torch.zeros(len(texts), int(self._model.config.hidden_size))
        order = sorted((i for i in range(len(texts)) if split[i]), key=lambda i: len(split[i]))
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            result[chosen] = self._mean_state([split[i] for i in chosen])
        return result

    @torch.inference_mode()
    def _mean_state(self, tokens: list[list[int]]) -> Tensor:
        sequences = [torch.tensor(ids) for ids in tokens]
        # Padding is masked, so that any token will do where the tokeniser has none for it.
        ids = pad_sequence(sequences, batch_first=True, padding_value=self._tokeniser.pad_token_id or 0)
        mask = pad_sequence([torch.ones_like(ids) for ids in sequences], batch_first=True)
        device = self._model.device
        states = self._model(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state
        weights = mask.to(states)[:, :, None]
        return normalize((states * weights).sum(1) / weights.sum(1), dim=1).cpu()


def check_folder(directory: Path) -> None:
    """Raise a :class:`ConfigurationError` unless ``directory`` is a folder with safetensors in it."""
    if not directory.is_dir():
        raise ConfigurationError(
            f"no text encoder at {directory}: text must be 'hashed', or a local folder with a Hugging Face model"
        )
    if any(directory.glob("*.safetensors")):
        return
    pickled = sorted(file.name for file in directory.iterdir() if file.suffix in _PICKLED)
    if pickled:
        raise ConfigurationError(
            f"{directory} holds its weights as {pickled[0]} only, a format that may execute code when read; "
            "save them again as safetensors: model.save_pretrained(folder, safe_serialization=True)"
        )
    raise ConfigurationError(f"{directory} holds no weights: there is no *.safetensors file in it")
