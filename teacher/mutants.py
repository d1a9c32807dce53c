"""Mutants: a right answer with one thing changed, as a slip of the hand changes it.  Hidden cases must tell each of them from the answer.

python teacher/mutants.py hw1 [EXERCISE ...] prints those that survive on some seed.
"""

import argparse
import ast
import copy
import signal
import sys
from collections.abc import Callable, Iterator
from types import EllipsisType
from typing import Any

from assignment import Exercise, given_code, hidden_cases, load, reference_code

from minivjepa_course.homework.calling import ADAPTERS
from minivjepa_course.homework.cases import ExerciseCases, same

SEEDS = range(10)
LONGEST = 5  # seconds that all cases may take; a mutant that takes longer counts as found
SWAPS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add), ast.Div: (ast.Mult, ast.FloorDiv), ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
NAMES = {
    "min": ("max",), "max": ("min",), "mean": ("sum", "amax"), "sum": ("mean",), "any": ("all",), "all": ("any",), "argmin": ("argmax",),
    "argmax": ("argmin",), "floor": ("ceil", "round"), "ceil": ("floor",), "round": ("floor",), "zeros": ("ones",), "ones": ("zeros",),
    "sin": ("cos",), "cos": ("sin",), "std": ("var",), "var": ("std",), "median": ("mean",), "zeros_like": ("ones_like",), "log": ("log2",),
}  # fmt: skip


def alternatives(node: ast.AST) -> Iterator[ast.AST | None]:
    """What may stand in a node's place; None: nothing, the statement is dropped."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        for operator in SWAPS.get(type(node.op), ()):
            yield changed(node, op=operator())
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.MatMult | ast.Mod):
        yield changed(node, left=node.right, right=node.left)
    if isinstance(node, ast.Compare):
        for operator in SWAPS.get(type(node.ops[0]), ()):
            yield changed(node, ops=[operator(), *node.ops[1:]])
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | EllipsisType | None):
        yield from (ast.Constant(value) for value in other_values(node.value))
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    if isinstance(node, ast.If):
        yield from (changed(node, test=ast.Constant(value)) for value in (True, False))
    if isinstance(node, ast.comprehension) and node.ifs:
        yield changed(node, ifs=[])
    if isinstance(node, ast.Slice):
        yield from (changed(node, **{part: None}) for part in ("lower", "upper", "step") if getattr(node, part))
    if isinstance(node, ast.Call):
        yield from other_calls(node)
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Continue | ast.Break) and not is_docstring:
        yield None


def other_values(value: Any) -> list[Any]:
    """Constants near a constant."""
    if isinstance(value, bool):
        return [not value]
    return [value + 1, value - 1] if isinstance(value, int) else [2 * value, 0.0]


def other_calls(node: ast.Call) -> Iterator[ast.AST]:
    """A call of another function, without the call, without a keyword, with two arguments exchanged."""
    function = node.func
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    for other in NAMES.get(name, ()):
        yield changed(node, func=changed(function, **{"attr" if isinstance(function, ast.Attribute) else "id": other}))
    if isinstance(function, ast.Attribute) and ast.unparse(function.value) not in ("torch", "np", "math", "einops"):
        yield function.value
    elif len(node.args) == 1 and not node.keywords:
        yield node.args[0]
    for number in range(len(node.keywords)):
        yield changed(node, keywords=node.keywords[:number] + node.keywords[number + 1 :])
    if len(node.args) == 2:
        yield changed(node, args=node.args[::-1])


def changed(node: ast.AST, **fields: Any) -> ast.AST:
    """A shallow copy of a node with some fields changed."""
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


class Put(ast.NodeTransformer):
    """Puts one node in another's place."""

    def __init__(self, old: ast.AST, new: ast.AST | None) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        """The new node for the old one; None drops it."""
        return self.new if node is self.old else self.generic_visit(node)


def mutants(code: str) -> dict[str, str]:
    """What was changed -> the changed code, for every change that still parses."""
    tree = ast.parse(code)
    places = [
        node for node in ast.walk(tree) if hasattr(node, "lineno") or isinstance(node, ast.comprehension | ast.Slice)
    ]
    found = {}
    for node in places:
        for other in alternatives(node):
            new = Put(node, other).visit(copy_of_all_but(tree, node))
            try:
                text = ast.unparse(ast.fix_missing_locations(new))
                compile(text, "mutant", "exec")
            except (SyntaxError, ValueError, TypeError, AttributeError, IndexError):
                continue
            what = f"{ast.unparse(node)} -> {'' if other is None else ast.unparse(other)}"
            number = sum(key.startswith(f"{what} (") or key == what for key in found)
            found[f"{what} ({number + 1})" if number else what] = text
    return {what: text for what, text in found.items() if text != ast.unparse(tree)}


def copy_of_all_but(tree: ast.AST, node: ast.AST) -> ast.AST:
    """A deep copy of a tree that has this node itself in it."""
    return copy.deepcopy(tree, {id(node): node})


def is_killed(function: Callable[..., Any], cases: ExerciseCases) -> bool:
    """Whether a function is wrong, stops or hangs in some case."""

    def too_long(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        return not all(same(case.expected, ADAPTERS[cases.adapter](function, case.inputs)) for case in cases.cases)
    except Exception:
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def survivors(assignment: str, exercise: Exercise) -> dict[str, list[int]]:
    """Mutant -> the seeds whose hidden cases take it for right, for every mutant that some seed lets pass."""
    given: dict[str, Any] = {"__name__": "homework"}
    exec(compile(given_code(assignment), "given cells", "exec"), given)
    drawn = [hidden_cases(assignment, exercise, seed) for seed in SEEDS]
    found = {}
    for what, code in mutants(reference_code(assignment)[exercise.name]).items():
        space = dict(given)
        try:
            exec(compile(code, exercise.name, "exec"), space)
        except Exception:  # a type in the signature was changed
            continue
        passed = [seed for seed, cases in zip(SEEDS, drawn) if not is_killed(space[exercise.name], cases)]
        if passed:
            found[what] = passed
    return found


def main(words: list[str]) -> None:
    """Print the mutants of an assignment that survive and are not listed as equivalent."""
    parser = argparse.ArgumentParser(description="Print the mutants of right answers that hidden cases let pass.")
    parser.add_argument("assignment", help="such as hw1")
    parser.add_argument("exercises", nargs="*", help="all by default")
    options = parser.parse_args(words)
    try:
        known = load(options.assignment)
    except ValueError as error:
        parser.error(str(error))
    assignment, names = options.assignment, options.exercises
    if unknown := set(names) - {exercise.name for exercise in known}:
        parser.error(
            f"{assignment} has no exercise {sorted(unknown)[0]!r}; choose from {', '.join(one.name for one in known)}"
        )
    for exercise in known:
        if not names or exercise.name in names:
            total = len(mutants(reference_code(assignment)[exercise.name]))
            left = {
                what: seeds
                for what, seeds in survivors(assignment, exercise).items()
                if what not in exercise.equivalent
            }
            print(f"{exercise.name}: {total} mutants, {len(left)} survive")
            for what, seeds in left.items():
                print(f"    {what!r} on seeds {seeds}")


if __name__ == "__main__":
    main(sys.argv[1:])
