"""From text to token ids and back."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from workers.errors import DiffError


class TextIds:
    """A tokenizer, and how its model wants a text to begin."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, context: int, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self._texts = len(tokenizer)
        self._vocab_size = vocab_size
        self.context = context
        """tokens the model can attend to"""
        bos = tokenizer.bos_token_id
        begins = self._ids("x", special=True)[:1]
        self._start: list[int] = [bos] if begins == [bos] else []
        self._stand_in = next((token for token in (bos, tokenizer.eos_token_id) if isinstance(token, int)), None)
        self.end_id: int | None = tokenizer.eos_token_id

    def prompt(self, text: str, room: int | None = None) -> list[int]:
        """At least one id and at most `room` (unset: the context); the start token stays, the left of the text goes."""
        return self.cut(self._begun(text), self.context if room is None else room)

    def opening(self, text: str) -> list[int]:
        """The ids of `text` from its beginning, as many as the context holds; none for an empty text."""
        return (self._start + self._ids(text))[: self.context] if text else []

    def question(self, prompt: str, answer: str) -> tuple[list[int], int]:
        """The ids of both, cut on the left, and how many of them are the answer's."""
        answered = self._ids(answer)
        # The last id is never fed, only looked up.
        if len(answered) > self.context:
            raise DiffError(
                "probes_invalid",
                f"The answer {answer[:40]!r}… has {len(answered)} tokens and the model a context of {self.context}. "
                "Shorten it in the probe set.",
            )
        return self.cut(self._begun(prompt), self.context + 1 - len(answered)) + answered, len(answered)

    def cut(self, ids: Sequence[int], room: int) -> list[int]:
        """The last `room` ids, and the start token where there was one."""
        if len(ids) <= room:
            return list(ids)
        start = self._start if list(ids[:1]) == self._start and room > 1 else []
        return [*start, *ids[len(ids) - room + len(start) :]]

    def text(self, ids: Sequence[int]) -> str:
        """Ids as text, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def token_text(self, token: int) -> str:
        """One token as people read it; padding of the vocabulary has no text."""
        return str(self._tokenizer.decode([token])) if 0 <= token < self._texts else f"<{token}>"

    def _begun(self, text: str) -> list[int]:
        ids = self._start + self._ids(text)
        if ids:
            return ids
        if self._stand_in is None:
            raise DiffError(
                "probes_invalid",
                "A prompt has no tokens and the tokenizer no token to begin with. Give each probe a prompt.",
            )
        return [self._stand_in]

    def _ids(self, text: str, *, special: bool = False) -> list[int]:
        # Over-long text is cut here, knowingly: the tokenizer need not warn.
        ids = self._tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        if strange := [token for token in ids if token >= self._vocab_size]:
            raise DiffError(
                "checkpoint_invalid",
                f"The tokenizer gives {text[:40]!r} the token {strange[0]}, and the model knows {self._vocab_size}. "
                "Save the tokenizer that the model was trained with beside it.",
            )
        return [int(token) for token in ids]
