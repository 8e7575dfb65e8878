"""What a model thinks aloud before it answers is not its answer.

Some models write down their reasoning first, between the tags `<think>` and `</think>`, and then answer. The reasoning
names both yes and no, and every object that it considers, so a scorer that reads it counts what was never claimed. Here
the two are taken apart. A text that ends before its closing tag has no answer at all: most often it was cut at a limit.
"""

import re

OPEN, CLOSE = "<think>", "</think>"
TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)


def split_thought(text: str) -> tuple[str, str | None]:
    """The answer in a text, and what was thought beside it; None, and the text as it is, where there is no tag.

    A closing tag without an opening one ends a thought that began with the text: many chat templates write the opening
    tag themselves, and only what follows it comes out of the model. A thought without a closing tag goes on to the end.
    """
    answer, thought, inside, last = [], [], False, 0
    for tag in TAG.finditer(text):
        piece, last = text[last : tag.start()], tag.end()
        closes = tag[1] == "/"
        if closes and not inside:  # all that stood outside so far was thought
            thought, answer = [*thought, *answer], []
        (thought if inside or closes else answer).append(piece)
        inside = not closes
    if not last:
        return text, None
    (thought if inside else answer).append(text[last:])
    return "".join(answer).strip(), "".join(thought).strip()
