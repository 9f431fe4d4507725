"""Next steps, exactly as they are typed: what travels in them is quoted for SQL and for a POSIX shell."""

import shlex

from msgspec import Struct

from workers.lake.statements import quoted

_NOT_IN_DOUBLE_QUOTES = frozenset('"$`\\!')
"""a shell makes something of them there, an interactive one of the last"""


def shell_quoted(text: str) -> str:
    """`text` as one word, in the quotes that read best.

    >>> shell_quoted("sft-7"), shell_quoted("a = 'b'"), shell_quoted("$HOME")
    ('sft-7', '"a = \\'b\\'"', "'$HOME'")
    """
    single = shlex.quote(text)
    return single if single == text or _NOT_IN_DOUBLE_QUOTES & set(text) or "'" not in text else f'"{text}"'


def command(*words: str) -> str | None:
    """A command line; None where something in it does not print, and so cannot be typed.

    >>> command("streakline", "signals", "sft-7"), command("streakline", "signals", "\\x1b[2J")
    ('streakline signals sft-7', None)
    """
    return " ".join(map(shell_quoted, words)) if all(word.isprintable() for word in words) else None


class Commands(Struct, frozen=True, kw_only=True):
    """About one run."""

    run_id: str
    diff_id: str | None = None
    lake: str | None = None
    """where the lake is not where commands find it by themselves"""

    def of_attempt(self, attempt: int, select: str, rest: str) -> str | None:
        """Asks `steps` of one attempt."""
        return self._query(
            f"SELECT {select} FROM steps WHERE run_id = {quoted(self.run_id)} AND attempt = {attempt} {rest}"
        )

    def of_signals(self, rest: str) -> str | None:
        """Asks `signals`."""
        select = "SELECT attempt, step, severity, value, threshold, message FROM signals"
        return self._query(f"{select} WHERE run_id = {quoted(self.run_id)} {rest}")

    def of_diff(self, table: str, select: str, rest: str, *, output: str | None = None) -> str | None:
        """Asks a table of the diff, into the file `output` if there is one."""
        return self._query(f"SELECT {select} FROM {table} WHERE {self._own} {rest}".rstrip(), output)

    def answered_differently(self, category: str, prior_run_id: str, prior_diff_id: str) -> str | None:
        """Which probes of a category another checkpoint was surer of, or refused rather."""
        return self._query(
            "SELECT probe_id, measure, prior.value AS before, own.value AS now, own.text "
            f"FROM (FROM behaviour_rows WHERE {self._own}) AS own "
            f"JOIN (FROM behaviour_rows WHERE run_id = {quoted(prior_run_id)} AND diff_id = {quoted(prior_diff_id)}) "
            "AS prior USING (probe_id, model, measure, variant, category, eval_split) "
            f"WHERE model = 'fine_tuned' AND category = {quoted(category)} AND eval_split = 'held_out' "
            "AND measure IN ('gold_probability', 'refused') AND variant IN ('clean', '') AND before <> now "
            "ORDER BY abs(now - before) DESC"
        )

    def diff(self, base_model: str, checkpoint: str, project: str) -> str | None:
        """Makes the diff that is not there."""
        words = ("streakline", "diff", base_model, checkpoint, "--run-id", self.run_id, "--project", project)
        # What begins with a dash is no option.
        safe = all(not word.startswith("-") for word in (base_model, checkpoint, self.run_id, project))
        return command(*words, *self._where) if safe else None

    @property
    def _own(self) -> str:
        return f"run_id = {quoted(self.run_id)} AND diff_id = {quoted(self.diff_id or '')}"

    @property
    def _where(self) -> tuple[str, ...]:
        return () if self.lake is None else ("--lake", self.lake)

    def _query(self, sql: str, output: str | None = None) -> str | None:
        return command("streakline", "query", sql, *(("-o", output) if output else ()), *self._where)
