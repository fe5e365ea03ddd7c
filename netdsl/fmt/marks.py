"""What the tokens are: which space, where a line may break, which arrows belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from netdsl import syntax as s
from netdsl.fmt.gaps import OPERATORS, TRAILING
from netdsl.parser import Token

CLOSES = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
OPERAND_ENDS = {"NAME", "INT", "FLOAT", "STRING", "TRUE", "FALSE", "RPAR", "RSQB", "BRACKETS"}
WORD_MAKERS = ("DOT", "AS")  # a keyword behind them is a name
STAGE_MAKERS = ("ARROW", "LPAR", "LBRACE", "EQUAL")  # a loop may start behind them
NEW_CHAIN = (*TRAILING, "THEN", "ELSE", "EQUAL", "COLON", "RETURN")
NO_SPACE_BEFORE = {"COMMA", "SEMICOLON", "COLON", "RPAR", "RSQB", "DOT", "DOTDOT", "$END"}
NO_SPACE_AFTER = {"LPAR", "LSQB", "DOT", "DOTDOT"}
# Of the constructs between the same brackets, the one with the lowest number is broken first.
RANKS = {
    **dict.fromkeys(TRAILING, 0),
    **dict.fromkeys(("THEN", "ELSE", "FOR"), 1),
    "ARROW": 2,
    "OR": 4,
    "AND": 5,
    "COMPARE": 6,
    "PLUS": 7,
    "MINUS": 7,
    "TIMES": 8,
}
BODY, BRACE = -1, 3  # the rank of a body's brace, and of a loop's


@dataclass
class Marks:
    """By the number of a token.

    match      of a bracket: the other one
    inside     the innermost bracket around it, or -1; of a bracket: the one around that
    depth      how many brackets are around it, those of bodies left out
    chain      of an arrow: a number that the arrows of one chain share
    spaced     whether a space stands before it, where it does not start a line
    statements first tokens of statements and items -> how deep in bodies; `heads`: definitions
    bodies     the opening braces of bodies -> how deep their statement is; `loops`: those of loops
    may_break  where a line may break before it -> the rank of that break
    """

    match: dict[int, int] = field(default_factory=dict)
    inside: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    chain: dict[int, int] = field(default_factory=dict)
    spaced: list[bool] = field(default_factory=list)
    statements: dict[int, int] = field(default_factory=dict)
    heads: set[int] = field(default_factory=set)
    bodies: dict[int, int] = field(default_factory=dict)
    loops: set[int] = field(default_factory=set)
    may_break: dict[int, int] = field(default_factory=dict)


def marks_of(tokens: Sequence[Token], tree: s.File) -> Marks:
    """The marks of a file without syntax errors."""
    marks = Marks()
    _match(tokens, marks)
    types = _statements(tokens, tree, marks)
    _depths(tokens, marks)
    _chains(tokens, marks)
    tight = _tight(tokens, marks, types)
    marks.spaced = [_spaced(tokens, i, tight, types) for i in range(len(tokens))]
    _breaks(tokens, marks, tight)
    return marks


def is_word(tokens: Sequence[Token], i: int) -> bool:
    """Whether the token is a name, though it may be spelled as a keyword."""
    return i > 0 and tokens[i - 1].type in WORD_MAKERS


def is_unary(tokens: Sequence[Token], i: int) -> bool:
    """Whether a minus has no left operand."""
    before = tokens[i - 1].type
    ends = before in OPERAND_ENDS or before == "RBRACE" or is_word(tokens, i - 1)
    return tokens[i].type == "MINUS" and not ends


def _match(tokens: Sequence[Token], marks: Marks) -> None:
    stack: list[int] = []
    for i, token in enumerate(tokens):
        if token.type in CLOSES.values():
            marks.match[i] = stack[-1]
            marks.match[stack.pop()] = i
        marks.inside.append(stack[-1] if stack else -1)
        if token.type in CLOSES:
            stack.append(i)


def _statements(tokens: Sequence[Token], tree: s.File, marks: Marks) -> set[int]:
    """Find statements, bodies and loops; the brackets of types like `int[N]` are the result."""
    at = {token.span.start: i for i, token in enumerate(tokens)}
    ends = {token.span.end: i for i, token in enumerate(tokens[:-1])}  # not `$END`
    if tree.edition is not None:
        marks.statements[0] = 0
    types: set[int] = set()
    pending: list[tuple[object, int]] = [(tree, 0)]
    while pending:
        node, level = pending.pop()
        if isinstance(node, tuple):
            pending += [(part, level) for part in node]
            continue
        if not isinstance(node, s.Node):
            continue
        first = at.get(node.span.start, -1)
        if isinstance(node, (*s.STATEMENTS, s.Import, s.Extern, s.Alias, s.Definition)):
            marks.statements[first] = level
        if isinstance(node, (s.Definition, s.Extern)):
            marks.heads.add(first)
        if isinstance(node, (s.Definition, s.Recur)):
            close = ends[node.span.end]
            if isinstance(node, s.Recur) and node.label is not None:
                close = at[node.label.span.start] - 2  # `} as label`
            marks.bodies[marks.match[close]] = level
            level += 1
        elif isinstance(node, (s.For, s.Repeat)):
            marks.loops.add(marks.match[ends[node.span.end]])
        elif isinstance(node, s.TensorType) and node.dtype is not None:
            types.add(first + 1)
        pending += [(getattr(node, f.name), level) for f in fields(node)[2:]]
    return types


def _depths(tokens: Sequence[Token], marks: Marks) -> None:
    for around in marks.inside:
        if around < 0:
            marks.depth.append(0)
        else:
            marks.depth.append(marks.depth[around] + (around not in marks.bodies))


def _chains(tokens: Sequence[Token], marks: Marks) -> None:
    current: dict[int, int] = {}  # bracket -> its present chain
    for i, token in enumerate(tokens):
        around = marks.inside[i]
        if i in marks.statements or (token.type in NEW_CHAIN and not is_word(tokens, i)):
            current.pop(around, None)
        elif token.type == "ARROW":
            marks.chain[i] = current.setdefault(around, i)


def _tight(tokens: Sequence[Token], marks: Marks, types: set[int]) -> set[int]:
    """The operators and `=` that stand without spaces: `4*w`, `t-1`, `2^n`, `stride=2`."""
    tight: set[int] = set()
    for i, token in enumerate(tokens):
        around = marks.inside[i]
        given = token.type == "EQUAL" and around >= 0 and _is_call(tokens, around)
        if token.type == "CARET" or given:
            tight.add(i)
        elif token.text == "*":
            factor = tokens[i - 1].type == "INT" and tokens[i - 2].type != "TIMES"
            goes_on = i - 2 in tight and tokens[i - 2].text == "*"
            if (factor or goes_on) and tokens[i + 1].type in ("NAME", "INT"):
                tight.add(i)
        elif token.type in ("PLUS", "MINUS") and around >= 0:
            alone = marks.match[around] - around == 4 and i == around + 2
            index = tokens[around].type == "LSQB" and around not in types
            if alone and index and _joins(tokens, around):
                tight.add(i)
    return tight


def _is_call(tokens: Sequence[Token], opening: int) -> bool:
    """Whether a bracket opens the arguments of a call, and not a signature."""
    if tokens[opening].type != "LPAR" or tokens[opening - 1].type != "NAME":
        return False
    before = tokens[opening - 2].type
    return before not in ("NET", "BLOCK", "EXTERN") or is_word(tokens, opening - 2)


def _joins(tokens: Sequence[Token], i: int) -> bool:
    """Whether a `[` continues the operand before it: an index, or the sizes of a dtype."""
    before = tokens[i - 1].type
    return before in OPERAND_ENDS or before == "RBRACE" or is_word(tokens, i - 1)


def _spaced(tokens: Sequence[Token], i: int, tight: set[int], types: set[int]) -> bool:
    if i == 0:
        return False
    token, before = tokens[i], tokens[i - 1]
    if token.type == "DOT" or token.type in NO_SPACE_BEFORE:
        return False
    if before.type in NO_SPACE_AFTER and not is_word(tokens, i - 1):
        return False
    if i in tight or i - 1 in tight or is_unary(tokens, i - 1):
        return False
    if before.type == "LBRACE" and token.type == "RBRACE":
        return False
    if token.type == "LPAR":
        return before.type != "NAME"
    if token.type in ("LSQB", "BRACKETS"):
        return not _joins(tokens, i)
    return True


def _breaks(tokens: Sequence[Token], marks: Marks, tight: set[int]) -> None:
    """Where a line may break, each with the rank of the construct that it breaks."""
    for i in range(1, len(tokens) - 1):
        kind, before = tokens[i].type, tokens[i - 1].type
        operator = kind in OPERATORS and i not in tight and not is_unary(tokens, i)
        loop = kind == "FOR" and before in STAGE_MAKERS  # else it is a comprehension's
        leads = (operator or kind in ("ARROW", "THEN", "ELSE", "FOR")) and not loop
        if i - 1 in marks.bodies:
            marks.may_break[i] = BODY
        elif i - 1 in marks.loops:
            marks.may_break[i] = BRACE
        elif kind in CLOSES.values():
            continue  # it stands where its opening bracket says
        elif before in (*TRAILING, "THEN", "ELSE") and not is_word(tokens, i - 1):
            marks.may_break[i] = RANKS[before]
        elif leads and not is_word(tokens, i):
            marks.may_break[i] = RANKS[kind]
