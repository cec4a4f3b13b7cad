"""Finds inner loops in what objdump prints, and says what their instructions do."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

HEADER = re.compile(r"^[0-9a-f]+ <(.*)>:$")
CODE = re.compile(r"^\s+([0-9a-f]+):\s+(?:\{\w+\} )?(.*)$")
# x86-64 and arm64: a jump, whether it has a condition, and where it goes.
JUMP = re.compile(r"^(j\w+|b|b\.\w+|cbn?z|tbn?z)\s+(?:\w+, )?(?:#\w+, )?([0-9a-f]+) <")
ALWAYS = ("jmp", "b")
LEAVES = ("ret", "hlt", "ud2", "br")
# A loop with more conditions is the end of something, a case for each rest.
MOST_CONDITIONS = 6

KINDS = {
    "multiply": r"vpdp|vpmadd|vpmul|vfn?m(add|sub)|vmul|fml[as]|fmul|ml[as]\b|mul\b|"
    r"[su]m(ull|l[as]l)2?\b|[su]dot|[su]mmla",
    "add": r"vp(add|sub)|v(add|sub)[ps]|f?(add|sub)p?\b|[su](add|ada)lp\b|[su](add|sub)[lw]2?\b",
}
REGISTER_BYTES = {"z": 64, "y": 32, "x": 16}
# What reads part of a register from memory: the part.
PARTS = {"vpmov[sz]xbd": 4, "vpmov[sz]xbw|vpmov[sz]xwd|vcvtph2ps|vcvtdq2pd": 2}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its address, and its text without comment."""

    address: int
    text: str

    @property
    def name(self) -> str:
        """Returns the mnemonic."""
        return self.text.split()[0]

    @property
    def jump(self) -> tuple[bool, int] | None:
        """Returns whether a jump has a condition and where it goes."""
        found = JUMP.match(self.text)
        return None if found is None else (found[1] not in ALWAYS, int(found[2], 16))

    @property
    def is_vector(self) -> bool:
        """Returns whether it works on vector or mask registers."""
        arm = r"\b[vqds]\d+\b"
        return re.search(rf"%[xyz]mm\d|%k[0-7]|{arm}", self.text) is not None

    @property
    def kind(self) -> str:
        """Returns `multiply`, `add`, `other` of vectors, `load`, `store` or `scalar`."""
        if not self.is_vector:
            return "scalar"
        for kind, pattern in KINDS.items():
            if re.match(pattern, self.name):
                return kind
        if self.name.startswith("st") or re.match(r"v(p?mov|extract).*%\w+,[^%]*\(", self.text):
            return "store"
        moves = r"v?movn?t?[adqu]\w*$|vpbroadcast|vbroadcast|ld|vlddqu"
        return "load" if self.bytes and re.match(moves, self.name) else "other"

    @property
    def bytes(self) -> int:
        """Returns how many bytes it reads."""
        return _arm_bytes(self) if "[" in self.text else _x86_bytes(self)


def _x86_bytes(one: Instruction) -> int:
    if one.jump is not None:
        return 0
    operands = one.text.partition(" ")[2]
    if "(" not in operands or re.match("prefetch|lea|nop", one.name) or operands.endswith(")"):
        # The last operand is what is written; comparisons with memory are not counted.
        return 0
    wide = re.search(r"%([xyz])mm", operands.rpartition(")")[2]) or re.search(
        "%([xyz])mm", operands
    )
    if wide is None:
        return 4 if re.search(r"%e\w\w$|%r\d+d$", operands) else 8
    if "{1to" in operands or re.match(r"vp?broadcast(d|ss)|v\w+ss$|vmovd$", one.name):
        return 4
    if re.match(r"vmovq|vp?broadcast(q|sd)|vmovs[dh]", one.name):
        return 8
    size = REGISTER_BYTES[wide[1]]
    if "i64x4" in one.name or "f32x8" in one.name:
        return 32
    if re.search(r"[if]128|32x4", one.name):
        return 16
    return next((size // part for names, part in PARTS.items() if re.match(names, one.name)), size)


def _arm_bytes(one: Instruction) -> int:
    if not re.match(r"ld(u?r|p|1|1r)\b", one.name):
        return 0
    count = 2 if one.name == "ldp" else len(re.findall(r"v\d+\.", one.text.split("[")[0])) or 1
    found = re.search(r"\s\{?([vqdswx])\d+(?:\.(\w+))?", one.text)
    if found is None:
        return 0
    if one.name == "ld1r":
        return {"b": 1, "h": 2, "s": 4, "d": 8}[(found[2] or "s")[-1]]
    return count * {"v": 16, "q": 16, "d": 8, "x": 8, "s": 4, "w": 4}[found[1]]


def functions(tool: str, path: Path) -> dict[str, list[Instruction]]:
    """Returns the instructions of every function of an object file, by the name that C++ has."""
    command = [tool, "-d", "-C", "-w", "--no-show-raw-insn", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[Instruction]] = {}
    name = ""
    for line in text.splitlines():
        if header := HEADER.match(line):
            name = f"{header[1]} {len(found)}"
            found[name] = []
        elif name and (code := CODE.match(line)):
            stripped = re.split(r"\s+# [0-9a-f]+ <|\s+//", code[2])[0].strip().replace("\t", " ")
            found[name].append(Instruction(int(code[1], 16), stripped))
    return found


def loops(code: list[Instruction]) -> list[list[Instruction]]:
    """Returns the innermost loops, each as the way through it on which no condition holds."""
    place = {one.address: i for i, one in enumerate(code)}
    ends = [
        (place[jump[1]], i)
        for i, one in enumerate(code)
        if (jump := one.jump) is not None and jump[1] in place and place[jump[1]] <= i
    ]
    inner = [
        (begin, end)
        for begin, end in ends
        if not any(a >= begin and b <= end and (a, b) != (begin, end) for a, b in ends)
    ]
    ways = [_way(code, place, begin, end) for begin, end in inner]
    return [way for way in ways if way]


def _way(code: list[Instruction], place: dict[int, int], begin: int, end: int) -> list[Instruction]:
    """Returns what runs from the begin of a loop to the jump at its end; nothing if it leaves."""
    way: list[Instruction] = []
    at, conditions = begin, 0
    while len(way) <= len(code) and begin <= at < len(code):
        one = code[at]
        way.append(one)
        if at == end:
            return way
        jump = one.jump
        if jump is None:
            if one.name in LEAVES:
                return []
            at += 1
            continue
        conditions += jump[0]
        if conditions > MOST_CONDITIONS:
            return []
        at = at + 1 if jump[0] else place.get(jump[1], len(code))
    return []
