#!/usr/bin/env python3
"""Data of which it is known what a model must be able to do to learn them: for a look at the models of fields.

    python3 benches/synthetic.py order 4000 > order.tsv    # label TAB text: the order of the words says everything
    python3 benches/synthetic.py ahead 2000 > ahead.conll  # word TAB tag: the tag is of the word that comes next
    python3 benches/synthetic.py adding 5000 --length 200 > adding.jsonl   # the sum of two marked numbers
    python3 benches/synthetic.py copy 2000 --length 100 > copy.conll       # ten symbols, said again after a long pause
    python3 benches/synthetic.py reversal 20000 --length 10 > pairs.tsv    # source TAB target: letters, from the last to the first
    python3 benches/synthetic.py repetition 20000 --length 10 > pairs.tsv  # the same letters
    python3 benches/synthetic.py arithmetic 50000 --length 8 > pairs.tsv   # what two numbers come to, their digits among letters

`order`: "good, not bad at all" is pos, "bad, not good at all" is neg. Every text stands there with its twin of the other label
and the same words, so that what reads words in no order is right half the time, whatever it learns. `--seed` draws another
set; words are put together anew, so that a test set has texts that training has not.

`ahead`: a word's tag says whether the word behind it is spelled with a vowel at its beginning (V or C; C at the end). Words are drawn
alone, one half with vowels, so that what reads from the left alone is right half the time, but at the end.

`adding`: of `length` pairs (a number from 0 to 1, a mark) one in each half is marked; `sum` is that of their numbers (Hochreiter and
Schmidhuber 1997, as in Le et al. 2015). What remembers nothing says 1, whose squared error is 1/6.

`copy`: ten of eight symbols, `length` blanks, a mark, ten blanks; the tags are blank but for the last ten, which are the symbols
(Arjovsky et al. 2016). What remembers nothing pays ln 8 for each of these, 10 ln 8 / (length + 20) nats a step.

`reversal`, `repetition`: half of `length` to `length` of twenty letters, every number of letters as often.

`arithmetic`: the sum or difference of two numbers of up to `length` digits, among which letters stand that mean nothing:
`3e36d9-h1h39f94eeh43keg3c` is -13991064 (Jozefowicz, Zaremba, Sutskever 2015, "An empirical exploration of recurrent network
architectures", section 3.2). Behind the sign and every digit comes a letter with probability 1/2, and behind that again.
"""

import argparse
import json
import random

GOOD = "good fine great lovely clever funny moving warm bright honest fresh rich sharp tender gripping witty".split()
BAD = "bad poor awful ugly stupid dull flat cold dark false stale thin blunt harsh boring clumsy".split()
SUBJECTS = "film movie story plot cast music ending script".split()
BEFORE = ["", "the {} is ", "i found the {} ", "all in all the {} is ", "to me the {} was "]
BETWEEN = [", not {} at all", " and by no means {}", ", never {}", " rather than {}", ", anything but {}"]
BEHIND = [" .", " , as i said .", " , say my friends .", " from the first scene to the last ."]


def order(draw, count):
    rows = []
    while len(rows) < count:
        begin = draw.choice(BEFORE).format(draw.choice(SUBJECTS))
        middle, end = draw.choice(BETWEEN), draw.choice(BEHIND)
        good, bad = draw.choice(GOOD), draw.choice(BAD)
        for label, first, second in (("pos", good, bad), ("neg", bad, good)):
            text = f"{begin}{first}{middle.format(second)}{end}".replace(",", " ,")
            rows.append(f"{label}\t{' '.join(text.split())}")
    draw.shuffle(rows)
    return "".join(f"{row}\n" for row in rows)


def ahead(draw, count):
    vowels = [v + e for v in "aeiou" for e in ("b", "d", "k", "m")]
    others = [c + v for c in "bdkm" for v in "aeiou"]
    text = []
    for _ in range(count):
        words = [draw.choice(draw.choice((vowels, others))) for _ in range(draw.randint(4, 12))]
        for word, behind in zip(words, [*words[1:], "-"]):
            text.append(f"{word}\t{'V' if behind[0] in 'aeiou' else 'C'}\n")
        text.append("\n")
    return "".join(text)


def adding(draw, count, length):
    lines = []
    for _ in range(count):
        marked = {draw.randrange(length // 2), draw.randrange(length // 2, length)}
        steps = [[round(draw.random(), 6), int(n in marked)] for n in range(length)]
        total = sum(number for number, mark in steps if mark)
        lines.append(json.dumps({"x": steps, "sum": [round(total, 6)]}) + "\n")
    return "".join(lines)


def copy(draw, count, length):
    text = []
    for _ in range(count):
        symbols = [draw.choice("abcdefgh") for _ in range(10)]
        words = symbols + ["-"] * (length - 1) + ["?"] + ["-"] * 10
        tags = ["-"] * (length + 10) + symbols
        text += [f"{word}\t{tag}\n" for word, tag in zip(words, tags)] + ["\n"]
    return "".join(text)


def pairs(rows):
    return "source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows)


def letters(draw, count, length):
    return ["".join(draw.choices("abcdefghijklmnopqrst", k=draw.randint((length + 1) // 2, length))) for _ in range(count)]


def reversal(draw, count, length):
    return pairs((text, text[::-1]) for text in letters(draw, count, length))


def repetition(draw, count, length):
    return pairs((text, text) for text in letters(draw, count, length))


def arithmetic(draw, count, length):
    rows = []
    for _ in range(count):
        a, b = (draw.randrange(10 ** draw.randint(1, length)) for _ in range(2))
        sign, source = draw.choice("+-"), ""
        for symbol in f"{a}{sign}{b}":
            source += symbol
            while draw.random() < 0.5:
                source += draw.choice("abcdefghijk")
        rows.append((source, a + b if sign == "+" else a - b))
    return pairs(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = {task.__name__: task for task in (order, ahead, adding, copy, reversal, repetition, arithmetic)}
    parser.add_argument("task", choices=tasks)
    parser.add_argument("count", type=int, help="how many examples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--length", type=int, default=100, help="steps of adding, blanks of copy, the most letters or digits")
    args = parser.parse_args()
    sized = () if args.task in ("order", "ahead") else (args.length,)
    print(tasks[args.task](random.Random(args.seed), args.count, *sized), end="")
