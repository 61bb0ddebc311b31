"""Every reason that the operator can give for a condition or an Event, read from its source.

A reason is an argument of a Verdict, a Blockage or a Problem, or stands in an Event. What cannot be followed to its words is an error, not
a gap: so no reason stays unexplained in docs/troubleshooting.md.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Where the reason stands among the arguments.
_POSITIONS = {"Verdict": 1, "Blockage": 0, "Problem": 0}
_EVENT_KINDS = {"Normal", "Warning"}


class Unclear(Exception):
    """An expression that may be any reason: write it so that it can be followed."""


@dataclass(frozen=True)
class _Module:
    path: Path
    tree: ast.Module

    def constant(self, name: str) -> ast.expr | None:
        """The value that a module gives a name at its top level."""
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        return None


def of_package(folder: Path) -> set[str]:
    """All reasons in the Python files of a folder. Raises Unclear with the place of an expression that cannot be followed."""
    modules = [_Module(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(folder.rglob("*.py"))]
    return {reason for module in modules for reason in _of_module(module, modules)}


def _of_module(module: _Module, modules: list[_Module]) -> Iterator[str]:
    functions = [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in [*functions, module.tree]:
        for expression in _expressions(scope):
            yield from _Reader(module, modules, scope).words(expression)


def _expressions(scope: ast.AST) -> Iterator[ast.expr]:
    """The expressions in a function, or outside of all, whose value is a reason."""
    for node in _inside(scope):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _POSITIONS:
            named = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            yield named[0] if named else node.args[_POSITIONS[node.func.id]]
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and _literals(node.elts[0]) & _EVENT_KINDS:
            yield node.elts[1]


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _inside(child)


def _literals(expression: ast.expr) -> set[str]:
    if isinstance(expression, ast.IfExp):
        return _literals(expression.body) | _literals(expression.orelse)
    return {expression.value} if isinstance(expression, ast.Constant) and isinstance(expression.value, str) else set()


class _Reader:
    """Follows an expression inside one function to the words it may be."""

    def __init__(self, module: _Module, modules: list[_Module], scope: ast.AST) -> None:
        self._module = module
        self._modules = modules
        self._scope = scope
        self._followed: set[str] = set()

    def words(self, expression: ast.expr) -> set[str]:
        match expression:
            case ast.Constant(value=str(word)):
                return {word}
            case ast.IfExp(body=body, orelse=orelse):
                return self.words(body) | self.words(orelse)
            case ast.Attribute(attr="reason") | ast.Subscript(slice=ast.Constant(value="reason")):
                return set()  # handed on: it was said where it was made
            case ast.Call(func=ast.Attribute(attr="get", value=source), args=[key, default]):
                return self._values(source, key) | self.words(default)
            case ast.Name(id=name):
                return self._of_name(name, expression)
        raise Unclear(self._place(expression))

    def _values(self, source: ast.expr, key: ast.expr) -> set[str]:
        if isinstance(key, ast.Constant) and key.value == "reason":
            return set()  # of a condition of Kubernetes' own
        known = self._global(source.id) if isinstance(source, ast.Name) else None
        if not isinstance(known, ast.Dict):
            raise Unclear(self._place(source))
        return {word for value in known.values for word in self.words(value)}

    def _of_name(self, name: str, expression: ast.expr) -> set[str]:
        if name in self._followed:
            return set()
        self._followed.add(name)
        assigned: list[ast.expr | None] = [value for node in _inside(self._scope) for value in _assigned(node, name)]
        found: set[str] = set()
        for value in assigned or [self._global(name)]:
            if value is None:
                raise Unclear(self._place(expression))
            found |= self.words(value)
        return found

    def _global(self, name: str) -> ast.expr | None:
        if (value := self._module.constant(name)) is not None:
            return value
        for node in self._module.tree.body:
            if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
                stem = (node.module or "").rpartition(".")[2]
                return next((module.constant(name) for module in self._modules if module.path.stem == stem), None)
        return None

    def _place(self, expression: ast.expr) -> str:
        return f"{self._module.path.name}:{expression.lineno}: cannot tell which reasons `{ast.unparse(expression)}` may be"


def _assigned(node: ast.AST, name: str) -> Iterator[ast.expr]:
    """What a statement gives a name, also as one of several: `reason, rest = first, second`."""
    if not isinstance(node, ast.Assign):
        return
    for target in node.targets:
        if isinstance(target, ast.Name) and target.id == name:
            yield node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for left, right in zip(target.elts, node.value.elts, strict=False):
                if isinstance(left, ast.Name) and left.id == name:
                    yield right
