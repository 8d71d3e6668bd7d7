"""What the CLI says is said in Chinese to who reads that: its help, complaints and results."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import devgate
from devgate.cli import help as help_
from devgate.cli import language
from devgate.cli.main import SECTIONS, cli
from devgate.cli.output import width
from devgate.language.choice import of_environment
from tests.cli.answering import IMEI, Answering
from tests.cli.conftest import Run
from tests.config.test_load import MISTAKES as ALL_MISTAKES
from tests.language.test_messages import english_of, filled, templates

ROOT = Path(devgate.__file__).parent
FILES = [*sorted((ROOT / "cli").rglob("*.py")), *sorted((ROOT / "doctor").glob("*.py")),
         ROOT / "control/client.py", ROOT / "net/tls.py", ROOT / "webhooks/webhooks.py",
         *sorted((ROOT / "config").glob("*.py")),
         *sorted((ROOT / "backup").glob("*.py")),
         *sorted((ROOT / "service").glob("*.py")), *sorted((ROOT / "store/moves").glob("*.py")),
         *(ROOT / f"store/{name}.py" for name in (
             "copies", "engine", "engines", "migrating", "move_check", "mover", "outage",
             "pg_programs", "sqlite_copy", "succession",
         ))]  # fmt: skip
MISTAKES = [line for line in ALL_MISTAKES if not line.startswith("#")]
SAID = {
    "said", "tell", "print_error", "fail", "certain", "UsageError", "BadParameter", "SetupError",
    "NoGateway", "NoAnswer", "ValueError", "Misfit",
}  # fmt: skip
FOUND = {"ok", "warning", "error"}  # findings of the doctor: the first word is the check's name
# Command lines, and what is put together of parts that are messages of their own.
NO_WORDS = re.compile(
    r"(\{\}|[\W\d_]|devgate|DEVGATE_CONFIG|IMEI|imei)*|(sysctl|timedatectl) [^,]*"
)


def of_file(file: Path) -> Iterator[str]:
    """Each sentence that is said there, each header of a table, and each label of a sheet."""
    tree = ast.parse(file.read_text("utf-8"))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in SAID and node.args:
                yield from templates(node.args[0])
            elif called in FOUND and getattr(getattr(node.func, "value", None), "id", "") != "log":
                yield from (text for one in node.args for text in templates(one))
            elif called == "table" and node.args:
                header = node.args[0]
                header = (
                    constants.get(header.id, header) if isinstance(header, ast.Name) else header
                )
                if isinstance(header, ast.Tuple):
                    yield from (text for one in header.elts for text in templates(one) if text)
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and file.name == "describe.py":
            label = node.elts[0]
            if isinstance(label, ast.Constant) and isinstance(label.value, str) and label.value:
                yield label.value


def of_help() -> Iterator[str]:
    """Each paragraph, comment in an example and option's sentence of the help."""
    for title, section in SECTIONS.items():
        yield title
        yield from (entry.summary for entry in section.values())
    yield from of_command(cli)


def of_command(command: click.Command) -> Iterator[str]:
    for part in inspect.cleandoc(command.help or "").split("\n\n"):
        first, *lines = part.split("\n")
        if first.strip() != help_.AS_IS:
            yield " ".join(part.split())
            continue
        for line in lines:
            if match := help_.NUMBERED.fullmatch(line):
                yield match[2]
            elif not line.startswith("  "):
                yield line
            elif "  # " in line:
                yield line.partition("  # ")[2]
    for parameter in command.params:
        if text := getattr(parameter, "help", None):
            yield text.partition("  [")[0]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from of_command(found)


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVGATE_LANG", "zh")


@pytest.mark.usefixtures("chinese")
def test_each_sentence_has_its_chinese() -> None:
    missing = {
        (file.name, text)
        for file in FILES
        for text in of_file(file)
        if not NO_WORDS.fullmatch(text)
        and (english_of(said := language.said(filled(text))) or said == filled(text))
    }
    assert not missing


@pytest.mark.usefixtures("chinese")
def test_each_line_of_help_has_its_chinese() -> None:
    missing = {text for text in of_help() if language.said(text) == text}
    assert not missing


@pytest.mark.parametrize(
    ("env", "meant"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "zh_CN", "DEVGATE_LANG": "en"}, "en"),
        ({"LC_ALL": "", "LANG": "de_DE", "DEVGATE_LANG": "zh-CN"}, "zh"),
    ],
)
def test_the_language_is_that_of_the_environment(env: dict[str, str], meant: str) -> None:
    assert of_environment(env) == meant


@pytest.mark.usefixtures("chinese")
def test_help_and_complaints_of_the_command_line(run: Run) -> None:
    got = run("start", "--help")
    assert "用法： devgate start" in got.output.replace("cli ", "devgate ")  # noqa: RUF001
    assert "退出码：\n     0  设备已确认" in got.output  # noqa: RUF001
    assert "\n选项：\n" in got.output  # noqa: RUF001
    assert not english_of(got.output)
    wrong = run("start", "x", "500")
    assert wrong.exit_code == 2
    assert "错误：'IMEI' 的值无效：IMEI 应为 15 位数字，而不是 'x'" in wrong.stderr  # noqa: RUF001
    assert "没有选项 '--bogus'" in run("stop", "--bogus").stderr
    assert run("nodes").output.count("。") > 3  # a group without a command has its help


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_in_a_configuration_has_its_chinese(case: str) -> None:
    """The line and the key are in the Chinese message as in the English one."""
    text = case.rpartition(" | ")[2]
    line, key, _ = text.split(": ", 2)
    said = language.said(f"gateway.toml, line {text}")
    assert said.startswith(f"gateway.toml 第 {line} 行：{key}：")  # noqa: RUF001
    assert not re.search(r"\b[a-z]+ [a-z]+\b", re.sub("`.*?`|'.*?'|printf.*", "", said)), said


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("command", [("serve", "--check"), ("doctor",)])
def test_a_wrong_configuration_is_said_in_chinese(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Each of several mistakes has a line."""
    file = folder / "gateway.toml"
    file.write_text('device = 5\n[store]\nurl = "postgres://x/y"\n')
    monkeypatch.setenv("DEVGATE_LOG__LEVEL", "loud")
    monkeypatch.setenv("DEVGATE_LOG_FORMAT", "json")
    got = run(*command, "--config", str(file))
    for line in (
        "DEVGATE_LOG_FORMAT：层级之间应为两个下划线：DEVGATE_LOG__FORMAT",  # noqa: RUF001
        'DEVGATE_LOG__LEVEL：应为 "debug", "info", "warning", "error" 之一，而不是 \'loud\'',  # noqa: RUF001
        f"{file} 第 1 行：device：应为一个表，而不是 5",  # noqa: RUF001
        f'{file} 第 3 行：store.url：应为 "postgresql://..."；"postgres://" 是旧写法',  # noqa: RUF001
    ):
        assert line in got.stdout + got.stderr
    file.write_text("[device\n")
    got = run(*command, "--config", str(file))
    said = f"{file} 第 1 行：不是 TOML：表头末尾应为 ']'（第 8 列）"  # noqa: RUF001
    assert said in got.stdout + got.stderr


@pytest.mark.usefixtures("chinese")
def test_results_are_chinese_and_json_is_not(run: Run, gateway: Answering) -> None:
    assert run("start", IMEI, "500").output.startswith("已启动（指令 01")  # noqa: RUF001
    gateway.answer = lambda request: [
        {"status": "404", "message": "the device is not connected; nothing was sent"}
    ]
    assert run("stop", IMEI).stderr == "devgate: 设备未连接；未发送任何内容\n"  # noqa: RUF001
    assert '"the device is not connected; nothing was sent"' in run("stop", IMEI, "--json").output
    gateway.answer = lambda request: [{"status": "200", "items": [
        {"imei": IMEI, "id": 7, "name": "北门", "site": "", "online": True, "enabled": False,
         "since": None, "running_until": None}
    ], "next": None}]  # fmt: skip
    assert run("devices", "list").output.split() == [
        "IMEI", "编号", "名称", "站点", "状态", "持续", "剩余运行", IMEI, "7", "北门",
        "在线，已停用",  # noqa: RUF001
    ]  # fmt: skip


@pytest.mark.usefixtures("chinese")
def test_a_report_and_no_quarantine_are_chinese(run: Run, gateway: Answering) -> None:
    counts = dict.fromkeys(("starts", "done", "failed", "unknown", "refused", "open", "times"), 0)
    line = {**counts, "seconds": 90, "availability": None}
    gateway.answer = lambda request: [
        {"status": "200", "by": "site", "items": [{"site": "北门", "machines": 1, **line}],
         "total": line, "first": "2026-11-01", "last": "2026-11-27", "zone": "UTC", "next": None,
         "count": 1, "complete": True}
    ]  # fmt: skip
    shown = run("report", "--by", "site").output
    assert shown.startswith("2026-11-01 至 2026-11-27，时区 UTC\n"), shown  # noqa: RUF001
    assert not re.findall("[a-z]+", shown), shown
    assert shown.splitlines()[-1].startswith("合计")
    gateway.answer = lambda request: [{"status": "200", "quarantine": None}]
    assert run("quarantine", "show").output == "没有隔离\n"


def test_lines_of_chinese_are_no_wider_than_the_terminal() -> None:
    text = (
        "网关每小时自动执行。若与最新记录相差一天以上则不执行 `devgate status`，因为时钟可能有误。"  # noqa: RUF001
    )
    for columns in range(20, 60):
        lines = list(help_.wrapped(text, columns))
        assert all(width(line) <= columns + 2 for line in lines)  # a mark may stand beyond
        assert not any(line[0] in "，。" for line in lines)  # noqa: RUF001
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    "text",
    [
        "nowhere: No such file or directory",
        "No such option '--enable'. (Did you mean one of: '--name', '--serial'?)",
        "--nodes: they share one PostgreSQL; set [store] url",
        "no gateway answers at s: it has gone and left its socket file; "
        "is `devgate serve` running?",
        "no gateway answers at s: it is no socket; name the gateway's with --socket",
        "outcome: some of pending, done, failed, unknown, refused expected, not 'doen'",
        "line 1: there are semicolons between the columns; write the file with commas",
    ],
)
def test_these_have_no_english_left(text: str) -> None:
    """Each is composed of several messages, and all of them are Chinese."""
    chinese = language.said(text)
    assert chinese != text
    assert not re.search("[a-z]+ [a-z]+", re.sub("`.*?`", "", chinese)), chinese
