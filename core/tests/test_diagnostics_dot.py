"""to_dot: the tape and staged graphs as text that Graphviz reads."""

import re
import shutil
import subprocess

import pytest

import plugrad as pg
from plugrad.diagnostics.text_dot import Drawing
from plugrad.errors import RecordingError

STRING = r'"(?:[^"\\\n]|\\.)*"'
ATTRS = rf"\[label={STRING}(?:, \w+=\w+)*\]"
LINE = re.compile(
    rf" +(?:node \[shape=box\];|n\d+ {ATTRS};|n\d+ -> n\d+(?: \[label={STRING}\])?;"
    rf"|label={STRING};|subgraph cluster\d+ {{|}})"
)


def parsed(text):
    """Labels by id, and edges, after checking the grammar and that every id is declared once, before its use."""
    first, *lines, last = text.split("\n")
    assert (first, last) == ("digraph plugrad {", "}")
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    labels, edges = {}, []
    for line in lines[1:]:
        if line.strip() == "}" or line.strip().startswith(("subgraph", "label=")):
            continue
        ids = re.findall(r"n\d+", line.partition(" [")[0])
        if len(ids) == 1:
            assert ids[0] not in labels
            labels[ids[0]] = re.search(STRING, line).group()[1:-1]
        else:
            assert set(ids) <= labels.keys()
            edges.append(tuple(ids))
    return labels, edges


def drawn(text):
    """Labels of the tails and heads of the edges."""
    labels, edges = parsed(text)
    return sorted((labels[a].split("\\n")[0], labels[b].split("\\n")[0]) for a, b in edges)


def net():
    class Net(pg.Module):
        def __init__(self):
            self.w, self.b = pg.Parameter([[1.0, 2.0]]), pg.Parameter([0.5])

        def forward(self, x):
            return pg.tanh(x @ self.w + self.b).sum()

    return Net()


def test_the_tape():
    model, x = net(), pg.ones((3, 1)).requires_grad_()
    text = pg.to_dot(model(x), names=model)
    wanted = [("add", "tanh"), ("b", "add"), ("leaf", "matmul"), ("matmul", "add"), ("sum", "result"), ("tanh", "sum")]
    assert drawn(text) == sorted([*wanted, ("w", "matmul")])
    labels = parsed(text)[0].values()
    assert "matmul\\nfloat32 (3, 2)" in labels and "w\\nfloat32 (1, 2)" in labels
    assert pg.to_dot(model(x), names=model) == text
    assert ("leaf", "add") in drawn(pg.to_dot(model(x)))


def test_several_ends_and_shared_parts():
    x = pg.asarray([1.0]).requires_grad_()
    y = pg.exp(x)
    text = pg.to_dot([y * y, y, x])
    assert drawn(text) == [
        ("exp", "mul"), ("exp", "mul"), ("exp", "result"), ("leaf", "exp"), ("leaf", "result"), ("mul", "result")
    ]  # fmt: skip


def test_inside_grad_and_after_the_tape_is_freed():
    texts = []
    pg.grad(lambda x: texts.append(pg.to_dot(x * x)) or x)(1.0)
    assert drawn(texts[0]) == [("leaf", "mul"), ("leaf", "mul"), ("mul", "result")]
    y = pg.exp(pg.asarray([1.0]).requires_grad_())
    y.sum().backward()
    assert drawn(pg.to_dot(y)) == [("exp (freed)", "result")]


def test_several_outputs_are_numbered():
    x = pg.asarray([1.0, 2.0]).requires_grad_()

    @pg.custom_vjp
    def both(x):
        return x * 1.0, x * 2.0

    both.defvjp(lambda x: ((x * 1.0, x * 2.0), None), lambda _, g: (g[0] + g[1] * 2.0,))
    a, b = both(x)
    text = pg.to_dot(a + b)
    assert '[label="0"]' in text and '[label="1"]' in text and "float32 (2,)\\nfloat32 (2,)" in text
    parsed(text)


def test_staged_graphs():
    c, total = pg.asarray([1.0, 2.0]), pg.Buffer(pg.zeros(()))

    def f(x):
        total.assign(x.sum())
        return x.sum(axis=0) * c, x

    staged = pg.stage(f, pg.ones((3, 2)))
    text = pg.to_dot(staged)
    assert text == pg.to_dot(staged.graph)
    labels = parsed(text)[0].values()
    assert "sum\\naxis=(0,)\\nkeepdims=False\\nfloat32 (2,)" in labels
    heads = [re.sub(r" %\d+", "", a) + " " + b for a, b in drawn(text)]
    writes = {"sum stop_gradient", "stop_gradient write"}
    assert set(heads) == {"input sum", "input result", "sum mul", "captured mul", "mul result", *writes}


def framed(text):
    """What each frame holds: its title, the titles of its boxes, and the frames inside it."""
    outermost, stack = ["", [], []], []
    stack.append(outermost)
    for line in map(str.strip, text.split("\n")[1:-1]):
        if line.startswith("subgraph"):
            stack[-1][2].append(["", [], []])
            stack.append(stack[-1][2][-1])
        elif line == "}":
            stack.pop()
        elif line.startswith("label="):
            stack[-1][0] = re.search(STRING, line).group()[1:-1]
        elif "->" not in line and "ellipse" not in line and not line.startswith("node"):
            stack[-1][1].append(re.search(STRING, line).group()[1:-1].split("\\n")[0])
    assert stack == [outermost]
    return outermost


def test_branches_and_loops_are_framed_with_their_graphs():
    w = pg.asarray(2.0)

    def f(xs):
        def step(c, x):
            return pg.cond(x > 0, lambda: pg.exp(c) * w, lambda: c), None

        return pg.while_loop(lambda c: c < 3.0, lambda c: c + 1.0, pg.scan(step, pg.zeros(()), xs)[0])

    text = pg.to_dot(pg.stage(f, pg.ones(3)))
    cond = ["cond", ["cond"], [["true", ["exp", "mul"], []], ["false", [], []]]]
    scan = ["scan", ["scan"], [["body", ["less"], [cond]]]]
    loop = ["while", ["while"], [["cond", ["less"], []], ["body", ["add"], []]]]
    assert framed(text) == ["", ["full"], [scan, loop]]
    edges = drawn(text)
    assert ("scan", "while") in edges and ("while", "result") in edges and ("less", "cond") in edges
    names = re.findall(r"subgraph (\w+)", text)
    assert len(names) == len(set(names)) == 8
    inside = text[text.index("subgraph") :].split("\n  }\n")[0]  # an edge from outside would draw its tail in here
    ids = set(re.findall(r"n\d+ \[", inside))
    assert {i + " [" for i in re.findall(r"n\d+(?= ->|;)", inside)} <= ids


def test_labels_are_escaped():
    text = Drawing()
    text.node('a "quoted" \\ name\nin two lines', pg.ones((2,)))
    found, _ = parsed("\n".join(["digraph plugrad {", "  node [shape=box];", *text.lines, "}"]))
    assert found["n0"] == 'a \\"quoted\\" \\\\ name\\nin two lines\\nfloat32 (2,)'


def test_thousands_of_nodes():
    x = pg.asarray([1.0]).requires_grad_()
    for _ in range(5000):
        x = x + 1.0
    labels, edges = parsed(pg.to_dot(x))
    assert len(labels) == 5002 and len(edges) == 5001
    for _ in range(64):
        x = x + x  # 2 ** 64 paths
    assert len(parsed(pg.to_dot(x))[0]) == 5002 + 64


@pytest.mark.parametrize("wrong", [lambda: pg.ones((2,)), lambda: 3])
def test_what_cannot_be_drawn(wrong):
    with pytest.raises(RecordingError, match="to_dot: .*(was not recorded|got an int)"):
        pg.to_dot(wrong())


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it():
    compiled = pg.compile(lambda x: pg.fori_loop(0, 3, lambda i, h: pg.sin(h), pg.exp(x).reshape((-1,))))
    compiled(pg.ones((3, 1)))
    for text in (pg.to_dot(net()(pg.ones((3, 1)))), pg.to_dot(compiled)):
        subprocess.run(["dot", "-Tsvg"], input=text, text=True, check=True, capture_output=True, timeout=60)
