#!/usr/bin/env python3
"""Writes the golden values in metrics/bleu.json: BLEU and chrF of small made-up sentences, by sacrebleu.

    python3 tests/golden/bleu.py            writes tests/golden/metrics/bleu.json
    python3 tests/golden/bleu.py --check    recomputes it and compares, writes nothing (exit 1 on a difference)

Needs sacrebleu 2.6.0 (pip install sacrebleu==2.6.0). A case has hypotheses, the references of each, and what sacrebleu prints
and has for each tokenisation (`none`, `13a`), for BLEU of up to 1 to 4 words, and for chrF2; `words` are lines and what `13a`
makes of them.
"""

import json
import random
import sys
from pathlib import Path

import sacrebleu
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

OUT = Path(__file__).parent / "metrics" / "bleu.json"

SENTENCES = [
    "The ferry leaves at 9.30 from pier no. 4, weather permitting.",
    "\"Nobody,\" she said, \"has counted the 1,204 steps.\"",
    "A red-haired boy feeds two geese by the old mill.",
    "It cost $3.50 - about 2-3 times what it's worth!",
    "R&D spending rose by 7.5% in 2019/2020.",
    "They don't know; we can't tell (yet).",
    "Half a loaf is better than none.",
    "Snow fell on the roofs of the village all night long.",
    "Where have all the lanterns gone?",
    "The old mill by the river grinds no more grain.",
    "Seven tired horses pull a cart of wet hay up the hill.",
    "Write to me@example.org or call 555-0199.",
]
LINES = SENTENCES + [
    "",
    " \t ",
    "...", "a...b", "3...4", ". . .", ",.,.", "1.", ".1", "1,000,000.00", "1,a", "a,1", "-5", "5-", "5--6", "x-5", "5-x",
    "&quot;quoted&quot; &amp; &lt;tagged&gt;", "&amp;lt;", "&amp;quot;x", "&nbsp;", "AT&T", "<skipped>word<skipped>", "<skip>",
    "semi-\ndetached", "two\nlines", "ends in a dash-",
    "O'Neill's '90s", "e.g. i.e., U.S.A.", "http://a.b/c?d=e&f=g#h", "[x]{y}|z~^_`\\", "!@#$%^&*()+:;<=>?",
    "Über straße café naïve", "«Où est-ce?» — là…", "速い茶色の狐。", "Привет, мир.", "e\u0301 ﬁ 🙂👍🏽", "٣,٤ ١.٥ ²,³ ٣,4 4,٣ ²,3",
    "no\u00a0break\u2003space\u3000wide", "unit\x1fseparator\x85next", "zero\u200bwidth",
]


def perturb(sentence, rule):
    """A sentence with words dropped, doubled, swapped, replaced, or cut off."""
    words = sentence.split()
    new = []
    for word in words:
        draw = rule.random()
        if draw < 0.08:
            continue
        new.append("something" if draw < 0.14 else word)
        if draw > 0.95:
            new.append(word)
    if len(new) > 2 and rule.random() < 0.3:
        at = rule.randrange(len(new) - 1)
        new[at], new[at + 1] = new[at + 1], new[at]
    return " ".join(new[: rule.randrange(len(new) // 2, len(new) + 1)] if rule.random() < 0.2 else new)


def perturbed(seed, references):
    rule = random.Random(seed)
    pairs = []
    for sentence in SENTENCES:
        several = [sentence] + [perturb(sentence, rule) for _ in range(references - 1)]
        pairs.append([perturb(sentence, rule), several])
    return pairs


CASES = {
    "perturbed": perturbed(1, 1),
    "perturbed, three references": perturbed(2, 3),
    "equal": [[sentence, [sentence]] for sentence in SENTENCES],
    "longer than the references": [[s + " and so on and so on", [s]] for s in SENTENCES],
    "much too short": [[" ".join(s.split()[:3]), [s]] for s in SENTENCES],
    "one empty hypothesis": [["", ["a cat sat on a mat"]], ["the dog sat on the mat", ["the dog sat on a mat"]]],
    "all hypotheses empty": [["", ["a cat sat"]], ["  ", ["a dog"]]],
    "an empty reference": [["a cat sat on a mat", [""]], ["a dog sat on a mat", ["a dog sat on the mat"]]],
    "everything empty": [["", [""]]],
    "shorter than four words": [["a cat", ["a cat"]], ["two dogs ran", ["two dogs ran"]], ["yes", ["yes"]]],
    "no match of a word": [["a b c d e", ["v w x y z"]]],
    "no match of two words": [["a b c d e f", ["f x e x d x c"]]],
    "no match of three words": [["a b c d e f", ["a b x c d x e f"]]],
    "no match of four words": [["a b c d e f g", ["a b c x e f g"]]],
    "repeated words are clipped": [["the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]]],
    "the nearest length, shorter on a tie": [["a b c d", ["a b c d e f", "a b"]], ["a b c d", ["a b c d e", "a b c", "x"]]],
    "the nearest length, not the shortest": [["a b c d e f g", ["a b", "a b c d e f g h"]]],
    "another number of references a line": [["a b c d e", ["a b c d"]], ["a b c d e", ["a b c d e f", "b c d e"]]],
    "references with equal scores": [["abc", ["abd", "adc", "xbc"]], ["a b c d", ["b c d a", "d a b c"]]],
    "no reference shares anything": [["abc", ["xyz", "uvwxyz"]], ["hello", ["hello"]]],
    "halves are rounded to even": [["a " + " ".join(f"x{n}" for n in range(15)), ["a " + " ".join(f"y{n}" for n in range(15))]]],
    "three sixteenths": [["a b c " + " ".join(f"x{n}" for n in range(13)), ["a b c " + " ".join(f"y{n}" for n in range(13))]]],
    "case matters": [["The Cat sat on The mat .", ["the cat sat on the mat ."]]],
    "entities": [["&quot;Yes&quot; &amp; no , he said", ["\"Yes\" & no, he said"]]],
    "numbers": [["It is 1,000.5 or 1 ,000 . 5 - 3-4", ["It is 1,000.5, or 1,000.5 -3-4."]]],
    "unicode": [["Über die Straße - naïve café 狐の速い", ["Über die Strasse – naive café 速い狐"]]],
    "white space": [["a\u00a0b \u3000c\t d\x1fe ", ["a b  c d e"]]],
}


def bleu(pairs, **options):
    metric = BLEU(force=True, **options)
    most = max(len(references) for _, references in pairs)
    columns = [[r[n] if n < len(r) else None for _, r in pairs] for n in range(most)]
    score = metric.corpus_score([h for h, _ in pairs], columns)
    return metric, score, columns


def signature(metric):
    return "|".join(part for part in str(metric.get_signature()).split("|") if not part.startswith("version:"))


def computed():
    cases = []
    for name, pairs in CASES.items():
        case = {"name": name, "hypotheses": [h for h, _ in pairs], "references": [r for _, r in pairs], "bleu": []}
        for tokenize in ["none", "13a"]:
            metric, score, columns = bleu(pairs, tokenize=tokenize)
            orders = [bleu(pairs, tokenize=tokenize, max_ngram_order=n)[1].score for n in range(1, 5)]
            entry = {"tok": tokenize, "line": score.format(width=2), "score": score.score, "orders": orders}
            case["bleu"].append(entry | {"precisions": score.precisions, "bp": score.bp, "signature": signature(metric)})
        metric = CHRF()
        score = metric.corpus_score(case["hypotheses"], columns)
        case["chrf"] = {"line": score.format(width=2), "score": score.score, "signature": signature(metric)}
        cases.append(case)
    cut = Tokenizer13a()
    words = [[line, cut(line.rstrip())] for line in LINES]
    return {"sacrebleu": sacrebleu.__version__, "cases": cases, "words": words}


if __name__ == "__main__":
    parts = computed()
    rows = [f'"sacrebleu": {json.dumps(parts["sacrebleu"])}']
    rows += [f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in parts[name]) + "\n]" for name in ["cases", "words"]]
    text = "{\n" + ",\n".join(rows) + "\n}\n"
    if "--check" in sys.argv[1:]:
        if text != OUT.read_text():
            sys.exit(f"{OUT}: expected what sacrebleu {sacrebleu.__version__} has, found something else")
    else:
        OUT.write_text(text)
