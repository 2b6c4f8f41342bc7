"""refusal: candidates in which the teacher refuses what the prompt asked, or talks of itself.

Only the beginning of a text is looked at, and only for the first person of an assistant: a customer who is sorry, or
cannot log in, says neither. The words are English. Data that is to teach a model to refuse leaves answers out.
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from cultivar_records import Example
from pydantic import Field

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, Rule, keep, reject, wording
from cultivar_filtering.filters.rests import FREE

_START: Final = (
    r"[\s\"'*_>(]*"
    r"(?:(?:(?:i(?:'m| am) )?(?:(?:so|very|really|truly|terribly) )?sorry|(?:my )?(?:sincere )?apologies|"
    r"i (?:(?:do|must|sincerely) )?apologi[sz]e|unfortunately|regrettably|"
    r"i (?:understand|appreciate)\b[^.!?\n]{0,80}?|thank you for (?:your (?:question|request|message)|asking))"
    r"(?:[\s,.;:!–—-]+(?:but|however)?[\s,]*))?"
)
_CANNOT: Final = (
    r"i(?: (?:really|simply|just))?(?: can(?:no|')t| can not| won't(?: be able to)?|(?: will|'ll) not(?: be able to)?|"
    r"(?: am|'m)(?: sorry, but i am)?(?: unable| not able| not allowed| not permitted) to|"
    r" (?:must|have to|need to)(?: \w+ly)? decline to)(?: \w+ly)? "
)
_KIND: Final = r"(?:(?:that|this|such|any|these|those|the)\b ?(?:kinds?|types?|sorts?)?(?: of)? ?)"
_TASK: Final = (
    r"(?:assist\b"
    r"|help(?: you)?(?: out)? (?:with|in) (?:that|this|these|those|such|your request|any|creating|making|writing)\b"
    r"|(?:fulfill?|comply with|honou?r|accommodate|respond to|engage with) (?:that|this|these|your|such|the) ?(?:an? )?"
    r"(?:request|prompt|question|query|instruction)"
    r"|(?:engage|participate) in (?:that|this|such|any|discussions?|conversations?)\b"
    rf"|(?:generate|create|produce|write) {_KIND}?(?:\w+ )?(?:content|material)\b"
    rf"|(?:provide|offer|give)(?: you)?(?: with)? {_KIND}?(?:(?:an?|any|further|specific|detailed) )*"
    r"(?:assistance|guidance|instructions (?:on|for|to|that)|(?:medical|legal|financial|tax|professional) advice)\b"
    r"|(?:rewrite|rephrase|paraphrase|translate) (?:this|that|your|the(?: following)?) "
    r"(?:message|text|sentence|answer|instruction|question|input)\b"
    r"|provide (?:you )?(?:with )?such\b"
    r"|discuss (?:that|this|such) topics?\b"
    r"|answer[.,!]|answer (?:that|this|such)(?: an?)? (?:question|prompt|query))"
)
_REFUSAL: Final = re.compile(
    rf"{_START}(?:{_CANNOT}{_TASK}"
    r"|i (?:must|have to|need to)(?: \w+ly)? decline (?:that|this|your) (?:request|prompt)\b"
    r"|i(?:'m| am| do)(?: not|n't)(?: feel)? comfortable "
    r"(?:writing|generating|creating|helping|assisting|answering|providing|fulfilling|with (?:that|this) request)\b"
    r"|(?:that|this|your) (?:request|prompt|question) (?:goes|is) against my \w+"
    r"|it (?:would be|is|would not be|is not|wouldn't be|isn't) (?:in)?appropriate for me to\b)"
    r"|[\s\"'*_>(]*(?:i(?:'m| am) )?(?:so |very )?sorry[,.]? (?:but )?i (?:can(?:no|')t|can not)"
    r"(?: (?:do (?:that|this)|help|assist))?[.!\s\"'*_)]*\Z",
    re.IGNORECASE,
)
_MODEL: Final = (
    r"(?:ai(?:[- ](?:(?:large )?language model|assistant|model|chatbot|system|program))?|artificial intelligence"
    r"(?: (?:assistant|model))?|(?:large )?language model|virtual assistant|chatbot)"
)
_TALK: Final = re.compile(
    rf"{_START}(?:(?:as|since i(?:'m| am)|because i(?:'m| am)|being) (?:just |only |merely )?an? {_MODEL}"
    r"(?:\s*[,;:]|\s+i\b|\s+my\b|\s+(?:trained|developed|created|designed)\b)"
    rf"|i(?:'m| am) (?:just |only |merely |actually )?an? {_MODEL}"
    r"(?:\s*[,.;:!]|\s+(?:trained|developed|created|designed)\b|\s+(?:and|so) i\b|"
    r"\s+and (?:do not|don't|cannot|can't)\b)"
    r"|i(?:'m| am| was) (?:designed|programmed) (?:to|not to) (?:be|provide|assist|help|avoid|follow|not|promote)\b"
    r"|as of my (?:last |latest )?(?:knowledge|training)\b|my (?:knowledge cut-?off|training data)\b)",
    re.IGNORECASE,
)


class RefusalConfig(FilterConfig):
    """Which texts of a candidate are looked at."""

    inputs: bool = Field(True, description="Whether inputs are looked at: a rewriting may be the teacher's refusal.")
    answers: bool = Field(True, description="Whether answers and rejected answers are looked at.")


class Refusal:
    """Rejects what the teacher would not do."""

    description = (
        "Rejects candidates in which the teacher refuses (I can't help with that) or talks of itself as a model."
    )
    reasons: ClassVar[Mapping[str, str]] = {
        "refusal": "a text begins with a refusal to do what the prompt asked",
        "assistant_talk": "a text begins with what a model says about itself",
    }
    Config = RefusalConfig

    def judge(self, config: RefusalConfig, given: Given) -> Judge:
        """Returns a judge of the beginnings of texts."""

        def rule(example: Example) -> Opinion:
            for text in told(example, config):
                # Models write either apostrophe.
                text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
                if _REFUSAL.match(text):
                    return reject("refusal")
                if _TALK.match(text):
                    return reject("assistant_talk")
            return keep()

        return Rule(rule)


def told(example: Example, config: RefusalConfig) -> Iterator[str]:
    """Yields the texts of an example that are looked at; a label is none."""
    if config.inputs:
        yield wording(example)
    if config.answers and example.task in FREE:
        yield example.answer
        yield example.rejected or ""
