"""Files and options as nobody should write them, and somebody does: drawn from a seed, so that each comes back."""

import copy
import json
import random
import string

from test_bench_types import WRONG, places

ODD = (
    *WRONG, False, 0, 1e308, "\u0000", "yes", "A", "a" * 3000, "\u202e\u0301", "../a", "/dev/null", "<image>",
    {"base64": "@@"}, {"base64": "aGVsbG8="}, {"base64": 7}, {"difference": ""}, [None], [[["x"]]], ["x", "x"],
)  # fmt: skip
VALUES = (
    "", " ", "-1", "0", "7", "1.5", "nan", "inf", "-inf", "1e400", "9" * 5000, "x", "None", "é\u4e2d", "\udcff",
    "a" * 300, "a\nb", "--json", "-", "no/such/file", "a/b", "yes", "[]", "{}", "*", "%s", "{0}",
)  # fmt: skip

JUNK = (
    b"\xff", b"\x00", b"}", b"]", b",", b'"', b"[" * 3000, b"9" * 5000, b"NaN", b"\n", b"\xed\xa0\x80", b"\\ud800",
)  # fmt: skip


def spoil(dice: random.Random, rows: list) -> list:
    """Records with one to three things wrong."""
    rows = copy.deepcopy(rows)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        way = dice.choice([*places(rows)] or [(0,)])
        inner = rows
        for key in way[:-1]:
            inner = inner[key]
        last = way[-1]
        match dice.randrange(8):
            case 0 if inner:
                del inner[last]
            case 1 if isinstance(inner, dict):
                inner[misspelt(dice, last)] = inner.pop(last)
            case 2:
                rows.append(copy.deepcopy(dice.choice(rows or ODD)))
            case 3:
                rows.insert(dice.randint(0, len(rows)), dice.choice(ODD))
            case 4 if isinstance(inner, dict):
                inner[dice.choice(("image", "images", "answer", "messages", "mask", "label", "id", "z"))] = odd(dice)
            case _ if inner:
                inner[last] = odd(dice)
    return rows


def odd(dice: random.Random):
    """A value that is seldom right."""
    return copy.deepcopy(dice.choice(ODD))


def misspelt(dice: random.Random, word: str) -> str:
    """A word with one letter wrong, as fingers make it."""
    place = dice.randrange(len(word)) if word else 0
    return dice.choice((word[:place] + word[place + 1 :], word.upper(), word + "s", word[:place] + "x" + word[place:]))


def written(dice: random.Random, rows: list) -> bytes:
    """Records as the bytes of a file, in one of the forms that people use; sometimes no JSON any more."""
    form = dice.randrange(5)
    if form == 0:
        text = json.dumps(rows)
    elif form == 1:
        text = json.dumps(rows, indent=1)
    else:
        text = "\n".join(json.dumps(row) for row in rows) + "\n" * dice.randrange(3)
    return damaged(dice, text.encode("utf-8")) if dice.random() < 0.3 else text.encode("utf-8")


def damaged(dice: random.Random, content: bytes) -> bytes:
    """Bytes that went through something."""
    place = dice.randint(0, len(content))
    junk = dice.choice(JUNK)
    return dice.choice((
        content[:place], content[:place] + junk + content[place:], content[:place] + content[place + 1 :],
        b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), content + content, b"PK\x03\x04" + content,
        content.decode("utf-8", "replace").encode("utf-16"), b"", b"\n \n", b"[" * 100_000, b"9" * 6000,
        b"PAR1" + content, bytes(dice.randrange(256) for _ in range(60)),
    ))  # fmt: skip


def option(dice: random.Random, words: list[str]) -> list[str]:
    """A command with one to three of its words wrong; sometimes it is right."""
    words = list(words)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        place = dice.randrange(len(words))
        match dice.randrange(6):
            case 0:
                del words[place]
            case 1:
                words.insert(place, dice.choice(VALUES))
            case 2:
                words.insert(place, words[place])
            case 3:
                words[place] = misspelt(dice, words[place])
            case 4:
                words.append("--" + "".join(dice.choices(string.ascii_lowercase, k=5)))
            case _:
                given = [i for i, word in enumerate(words[:-1]) if word.startswith("--")]
                words[dice.choice(given) + 1 if given else place] = dice.choice(VALUES)
        if not words:
            return words
    return words
