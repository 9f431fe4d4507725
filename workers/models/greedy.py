"""Greedy decoding that keeps of the logits only what was chosen."""

from collections.abc import Iterable

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from workers.models.batching import PAD, Padded
from workers.models.text_ids import TextIds


def end_tokens(model: PreTrainedModel, text_ids: TextIds) -> frozenset[int]:
    """What ends a text: chat models have several, and name them in their generation settings."""
    named = getattr(model.generation_config, "eos_token_id", None)
    found = named if isinstance(named, Iterable) else [named]
    return frozenset(int(token) for token in [*found, text_ids.end_id] if token is not None)


class _Chosen(LogitsProcessor):
    """Notes the log-probability of the likeliest token, step by step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        wide = scores.float()
        self.steps.append(wide.amax(-1) - wide.logsumexp(-1))
        return scores


class Greedy:
    """The model's own generation, without the penalties and sampling that its settings may ask for."""

    def __init__(self, model: PreTrainedModel, ends: frozenset[int]) -> None:
        self._model = model
        self._ends = ends
        # Unset fields of a call's own settings are filled in from these.
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]

    def decode(self, prompts: Padded, new_tokens: int) -> list[tuple[list[int], list[float]]]:
        """The ids that each left-padded prompt goes on with, up to its end token, and their log-probabilities."""
        chosen = _Chosen()
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            num_beams=1,
            max_new_tokens=new_tokens,
            use_cache=True,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=PAD,
        )
        output = self._model.generate(  # type: ignore[operator]
            input_ids=prompts.ids,
            attention_mask=prompts.mask,
            generation_config=settings,
            logits_processor=LogitsProcessorList([chosen]),
        )
        continued = output[:, prompts.ids.shape[1] :].tolist()
        scores = torch.stack(chosen.steps, dim=1).tolist()
        return [self._until_end(ids, row) for ids, row in zip(continued, scores, strict=True)]

    def _until_end(self, ids: list[int], scores: list[float]) -> tuple[list[int], list[float]]:
        length = next((index for index, token in enumerate(ids) if token in self._ends), len(ids))
        return ids[:length], scores[:length]
