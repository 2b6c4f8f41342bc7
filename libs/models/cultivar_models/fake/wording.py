"""How texts are said in other words, and how new ones are made out of parts of old ones."""

import random
import re

_OPENINGS = (
    "Hi,", "Hello,", "Please,", "Sorry,", "I wonder,", "Quick question:", "Hey,", "Good morning,", "Well,", "So,",
    "Can you help?", "One more thing:", "To be honest,", "Hi there,", "Excuse me,", "Just checking:",
)  # fmt: skip
_ENDINGS = (
    "please", "right now", "since yesterday", "if possible", "as soon as you can", "by any chance", "again", "today",
    "on my phone", "this week", "thank you", "any idea", "after the last update", "for the second time", "in the app",
)  # fmt: skip
_FILLERS = ("really", "actually", "just", "maybe", "still", "now", "also", "suddenly", "somehow", "apparently")
_GROUPS = (
    ("help", "assist", "support"), ("want", "need", "wish"), ("find", "locate", "see"), ("get", "receive", "obtain"),
    ("my", "our"), ("why", "how come"), ("can", "could"), ("cannot", "can't", "am unable to"), ("show", "display"),
    ("how", "in what way"), ("fast", "quickly", "soon"), ("problem", "issue", "trouble"), ("buy", "purchase", "order"),
    ("send", "mail", "forward"), ("change", "update", "modify"), ("start", "begin"), ("stop", "end", "cancel"),
    ("make", "create", "set up"), ("large", "big"), ("small", "little"), ("use", "try"), ("tell", "explain to"),
    ("money", "cash", "funds"), ("wrong", "incorrect", "not right"), ("missing", "gone", "not there"),
    ("ask", "request"), ("is", "seems"), ("write", "compose"), ("good", "fine", "great"), ("bad", "poor"),
    ("give", "hand"), ("about", "on"),
)  # fmt: skip
_ALIKE = {word: tuple(other for other in group if other != word) for group in _GROUPS for word in group}
_FIRST_OF = {word: group[0] for group in _GROUPS for word in group}
_DRESSING = {word for text in (*_OPENINGS, *_ENDINGS, *_FILLERS) for word in re.findall(r"\w+", text.lower())}
_MOST_TRIES = 6
_WORD = re.compile(r"^(\W*)(.*?)(\W*)$")


def rephrase(text: str, chance: random.Random) -> str:
    """Returns the text in other words: some are swapped for like ones, some added at its ends and inside."""
    words = [_swapped(word, chance) for word in text.split()]
    if len(words) > 3 and chance.random() < 0.5:
        words.insert(chance.randrange(1, len(words)), chance.choice(_FILLERS))
    return _dressed(words, chance) if words else text


def recombine(texts: list[str], made: list[str], chance: random.Random) -> str:
    """Returns a new text out of the words of the given ones, unlike all of them and those already made.

    One text is the base; as a rule the end of another is put after its beginning, and words are swapped.
    """
    for _ in range(_MOST_TRIES):
        base, other = chance.choice(texts).split(), chance.choice(texts).split()
        if len(base) > 2 and len(other) > 2 and chance.random() < 0.6:
            base = base[: _cut(base, chance)] + other[_cut(other, chance) :]
        words = [_swapped(word, chance) for word in base]
        if len(words) > 2:
            at = chance.randrange(1, len(words))
            words.insert(at, chance.choice(other or words) if chance.random() < 0.3 else chance.choice(_FILLERS))
        new = _dressed(words, chance)
        if new not in texts and new not in made:
            return new
    return new


def meaning(word: str) -> tuple[str, float]:
    """Returns the word that stands for all of like meaning, and how much of a text's meaning it bears, 0 to 1."""
    if word in _FIRST_OF:
        return _FIRST_OF[word], 1.0
    return word, 0.2 if word in _DRESSING or len(word) <= 3 else 1.0


def _cut(words: list[str], chance: random.Random) -> int:
    middle = len(words) // 2
    return max(1, min(len(words) - 1, middle + chance.randint(-1, 1)))


def _swapped(word: str, chance: random.Random) -> str:
    match = _WORD.match(word)
    if match is None:
        return word
    before, core, after = match.groups()
    likes = _ALIKE.get(core.lower())
    # A word before a colon names what follows it, so it stays.
    if not likes or after.startswith(":") or chance.random() < 0.4:
        return word
    new = chance.choice(likes)
    return before + (new.capitalize() if core[:1].isupper() else new) + after


def _dressed(words: list[str], chance: random.Random) -> str:
    """Puts an opening before or an ending behind the words, and closes the sentence as it was closed."""
    close = words[-1][-1] if words[-1][-1] in ".?!" else ""
    body = " ".join(words).rstrip(".?!")
    if chance.random() < 0.55:
        body = f"{body} {chance.choice(_ENDINGS)}"
    if chance.random() < 0.55 and ":" not in words[0]:
        lowered = body if body[:2] == "I " or body[:2].isupper() else body[:1].lower() + body[1:]
        body = f"{chance.choice(_OPENINGS)} {lowered}"
    return body + close
