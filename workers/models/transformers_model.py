"""A `LanguageModel` on Hugging Face transformers."""

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from workers.models.batching import batches, pad
from workers.models.decoder import decoder_layers, logits_at, output_head, residuals
from workers.models.greedy import Greedy, end_tokens
from workers.models.language_model import Done, Generation, Question, ResidualBatch
from workers.models.memory import transient_out_of_memory
from workers.models.text_ids import TextIds


class TransformersModel:
    """Batches hold up to `tokens_per_batch` tokens, padding included; the same texts always make the same batches.

    Running out of memory raises TransientDiffError.
    """

    def __init__(self, model: PreTrainedModel, text_ids: TextIds, *, tokens_per_batch: int) -> None:
        self._model = model
        self._text_ids = text_ids
        self._tokens_per_batch = tokens_per_batch
        self._end_tokens = end_tokens(model, text_ids)
        config = model.config.get_text_config()
        self.n_layers: int = config.num_hidden_layers
        self.width: int = config.hidden_size

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.unembedding.device

    @property
    def unembedding(self) -> torch.Tensor:
        """(vocabulary, width): the weights that turn the residual stream, normalised, into logits."""
        return output_head(self._model).weight.detach()

    def token_text(self, token: int) -> str:
        """One token as text."""
        return self._text_ids.token_text(token)

    @torch.no_grad()
    def next_token_log_probs(self, prompts: Sequence[str]) -> torch.Tensor:
        """(prompts, vocabulary) fp32 on the device: after the last real token of each."""
        rows = [self._text_ids.prompt(prompt) for prompt in prompts]
        log_probs = torch.empty(len(rows), self.unembedding.shape[0], device=self.device)
        with transient_out_of_memory("scoring prompts"):
            for batch in batches(list(map(len, rows)), self._tokens_per_batch):
                ends = torch.tensor([len(rows[index]) - 1 for index in batch])
                logits = self._logits([rows[index] for index in batch], torch.arange(len(batch)), ends)
                log_probs[torch.tensor(batch, device=self.device)] = logits.log_softmax(-1)
        return log_probs

    @torch.no_grad()
    def answer_log_probs(self, questions: Sequence[Question], done: Done) -> list[tuple[float, ...]]:
        """Of each question the log-probability of each of the answer's tokens, fp32; none for an empty answer."""
        asked = [self._text_ids.question(question.prompt, question.answer) for question in questions]
        # Nothing comes after the last token: it is looked up and never fed.
        fed = [ids[:-1] if answer else ids for ids, answer in asked]
        results: list[tuple[float, ...]] = [()] * len(asked)
        finished = 0
        for batch in batches(list(map(len, fed)), self._tokens_per_batch):
            counts = [asked[index][1] for index in batch]
            if any(counts):
                targets = [token for index in batch for token in _last(asked[index][0], asked[index][1])]
                rows = torch.arange(len(batch)).repeat_interleave(torch.tensor(counts))
                columns = torch.cat(
                    [
                        torch.arange(len(fed[index]) - count, len(fed[index]))
                        for index, count in zip(batch, counts, strict=True)
                    ]
                )
                with transient_out_of_memory("scoring answers"):
                    logits = self._logits([fed[index] for index in batch], rows, columns)
                    chosen = logits.gather(1, torch.tensor(targets, device=logits.device)[:, None])[:, 0]
                    scores = iter((chosen - logits.logsumexp(-1)).tolist())
                for index, count in zip(batch, counts, strict=True):
                    results[index] = tuple(next(scores) for _ in range(count))
            finished += len(batch)
            done(finished / len(asked))
        return results

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], max_new_tokens: int, done: Done) -> list[Generation]:
        """Greedy decoding, up to `max_new_tokens` or what the context holds beside one token of the prompt."""
        new_tokens = min(max_new_tokens, self._text_ids.context - 1)
        if new_tokens < 1:
            return [Generation("", ())] * len(prompts)
        rows = [self._text_ids.prompt(prompt, self._text_ids.context - new_tokens) for prompt in prompts]
        greedy = Greedy(self._model, self._end_tokens)
        results = [Generation("", ())] * len(rows)
        finished = 0
        for batch in batches([len(row) + new_tokens for row in rows], self._tokens_per_batch):
            with transient_out_of_memory("generating"):
                padded = pad([rows[index] for index in batch], self.device, left=True)
                answers = greedy.decode(padded, new_tokens)
            for index, (ids, log_probs) in zip(batch, answers, strict=True):
                results[index] = Generation(self._text_ids.text(ids), tuple(log_probs))
            finished += len(batch)
            done(finished / len(rows))
        return results

    @torch.no_grad()
    def for_each_residual(
        self, texts: Sequence[str], layers: Sequence[int], consume: Callable[[ResidualBatch], None], done: Done
    ) -> None:
        """Give `consume` every batch of `texts`, cut to the model's context; the forward stops after the last layer."""
        available = len(decoder_layers(self._model))
        if not layers or not all(0 <= layer < available for layer in layers):
            raise ValueError(f"layers {list(layers)} of a model that has {available}")
        rows = [ids for text in texts if (ids := self._text_ids.opening(text))]
        finished = 0
        for batch in batches(list(map(len, rows)), self._tokens_per_batch):
            with transient_out_of_memory("reading activations"):
                padded = pad([rows[index] for index in batch], self.device)
                kept = padded.mask.bool()
                kept[:, 0] = False
                consume(ResidualBatch(residuals(self._model, layers, padded.ids, padded.mask), kept))
            finished += len(batch)
            done(finished / len(rows))

    def _logits(self, rows: Sequence[Sequence[int]], which: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        padded = pad(rows, self.device)
        return logits_at(self._model, padded.ids, padded.mask, which.to(self.device), columns.to(self.device))


def _last(ids: Sequence[int], count: int) -> Sequence[int]:
    return ids[len(ids) - count :]
