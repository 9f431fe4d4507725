"""How far two next-token distributions are apart. In nats; whole vocabulary; along the last axis.

Everything takes log-probabilities, fp32 or fp64, and computes in fp64: a vocabulary of 50,000 small terms adds up.
A token that has no probability at all (minus infinity) counts as 0 · log 0 = 0.
"""

import math

import torch

LN2 = math.log(2)
"""the most that two distributions can differ by, in `js`"""


def entropy(log_p: torch.Tensor) -> torch.Tensor:
    """`-Σ p log p`: (…, vocabulary) → (…).

    >>> round(float(entropy(torch.tensor([0.5, 0.5]).log())) / LN2, 6)
    1.0
    """
    in_nats: torch.Tensor = torch.special.entr(log_p.double().exp()).sum(-1)
    return in_nats


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """`Σ p (log p - log q)`, at least 0; infinite where q rules out what p allows."""
    log_p, log_q = log_p.double(), log_q.double()
    p = log_p.exp()
    terms = torch.where(p > 0, p * (log_p - log_q), 0.0)
    return terms.sum(-1).clamp_min(0.0)


def js(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Jensen–Shannon divergence (Lin 1991), 0 to ln 2: the mean KL of both to `(p + q) / 2`; broadcasts.

    It is the square of what `scipy.spatial.distance.jensenshannon` calls the distance.
    """
    log_p, log_q = log_p.double(), log_q.double()
    log_m = torch.logaddexp(log_p, log_q) - LN2
    return (0.5 * kl(log_p, log_m) + 0.5 * kl(log_q, log_m)).clamp_max(LN2)
