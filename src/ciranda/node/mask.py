"""Masking: what a stranger may see of a name. The first half of each word stays: `Jo** Ning***`."""


def masked(name: str) -> str:
    return " ".join(word[: -(-len(word) // 2)] + "*" * (len(word) // 2) for word in name.split())
