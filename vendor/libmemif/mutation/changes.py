"""What `run` changes, one place of src at a time."""
import collections, pathlib, random, re

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = {f.name: f.read_text() for f in sorted((ROOT / "src").glob("*.[ch]"))}

# Faults that other implementations have had: file, right, wrong.
PAST_FAULTS = [
    # Free slots below 0.
    ("tx.c", "if (held > size || back || reserved", "if (0 && reserved"),
    ("tx.c", "if (held > size || back", "if (back"),
    ("tx.c", "held > size || back", "held > size"),
    ("tx.c", " || reserved > (q->slave ? size - held : held)", ""),
    # Slots of all rings together counted in 16 bits.
    ("region.c", "(region, (uint32_t) used, false)",
     "(region, (uint32_t) (used - (i * size + b - (uint16_t) (i * size + b)) * stride), false)"),
    # Offset and length added in 32 bits.
    ("queue.h", "(uint64_t) offset + length", "offset + length"),
    ("rx_copy.c", "(uint64_t) d.offset + d.length", "d.offset + d.length"),
    ("rx_in_place.c", "(uint64_t) d.offset + d.length", "d.offset + d.length"),
    ("rx.h", "(uint64_t) d->offset + d->length", "d->offset + d->length"),
    ("observe.h", "(uint64_t) offset + length", "offset + length"),
    ("region.c", "r->offset + ring_bytes (r->log2_ring_size) >",
     "(uint32_t) (r->offset + ring_bytes (r->log2_ring_size)) >"),
    ("view.c", "ring.offset + ring_bytes (ring.log2_size) >",
     "(uint32_t) (ring.offset + ring_bytes (ring.log2_size)) >"),
    # Half of a chain is reserved, or counted; what is given back is lost, or was sent.
    ("tx_in_place.c", "slots > most - *n", "0"),
    ("tx_in_place.c", "    return tx_too_small (q, size, free_slots)",
     "    return q->next = (uint16_t) (q->next + free_slots), tx_too_small (q, size, free_slots)"),
    ("tx_in_place.c", "*n = (uint16_t) (*n + slots);", "++*n;"),
    ("exchange.c", "q->spare[q->num_spare++] = b;", "q->spare[0] = b;"),
    ("exchange.c", "(buf->desc_index - q->done) > (uint16_t) (q->next - q->done)", "0 > 1"),
]

SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+",
         "+=": "-=", "-=": "+=", "&": "|", "|": "&", "|=": "&=", "&&": "||", "||": "&&"}
PATTERNS = [
    (r"(?<= )(?:%s)(?=\s)" % "|".join(map(re.escape, sorted(SWAPS, key=len)[::-1])), SWAPS.get),
    (r"\+\+|--", {"++": "--", "--": "++"}.get),
    (r"\b(?:true|false)\b", {"true": "false", "false": "true"}.get),
    (r"(?<=[( ])[!~](?=[\w(])", lambda was: ""),
    (r"\b\d+(?=[uUlL]*\b)", lambda was: str(int(was) + 1)),
    (r"\b[1-9]\d*(?=[uUlL]*\b)", lambda was: str(int(was) - 1)),
    (r"\bmemory_order_(?:acquire|release|acq_rel|seq_cst)\b", lambda was: "memory_order_relaxed"),
    # A condition, which never holds then.
    (r"(?<=\bif )\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)", lambda was: "(0)"),
    # A statement that is no declaration.
    (r"(?<=[;{})\x7f])\s+(?!(?:return|break|continue|goto|case|default|const|static|struct|unsigned"
     r"|int|bool|char|void|long|enum|if|else|for|while|do|typedef|\w+_t)\b)[\w(*+-][^;{}]*;",
     lambda was: ";"),
]
# Comments, texts and lines for the preprocessor.
HIDDEN = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|^_Static_assert[^;]*;"
                    r"|^#(?:[^\n]*\\\n)*[^\n]*", re.S | re.M)


class Change(collections.namedtuple("Change", "file begin end instead")):
    def line(self):
        return SOURCES[self.file].count("\n", 0, self.begin) + 1

    def make(self, root):
        text = SOURCES[self.file]
        (root / "src" / self.file).write_text(text[:self.begin] + self.instead + text[self.end:])

    def __str__(self):
        text = SOURCES[self.file]
        before = text[text.rfind("\n", 0, self.begin) + 1:self.begin].lstrip()
        after = text[self.end:text.find("\n", self.end)]
        was = text[self.begin:self.end]
        return f"{self.file}:{self.line()}: {before}[-{was}-]{{+{self.instead}+}}{after}"


def past_faults():
    for file, right, wrong in PAST_FAULTS:
        assert SOURCES[file].count(right) == 1, f"{file} has not, or not once: {right}"
        begin = SOURCES[file].index(right)
        yield Change(file, begin, begin + len(right), wrong)


def by_chance(seed):
    """One of each line, so that a file has as many as it has lines."""
    lines = collections.defaultdict(list)
    for file, text in SOURCES.items():
        code = HIDDEN.sub(lambda m: re.sub(r"[^\n]", "\x7f", m[0]), text)
        for pattern, instead in PATTERNS:
            for m in re.finditer(pattern, code):
                change = Change(file, m.end() - len(m[0].lstrip()), m.end(), instead(m[0]))
                lines[file, change.line()].append(change)
    rng = random.Random(seed)
    return [rng.choice(lines[place]) for place in rng.sample(sorted(lines), len(lines))]
