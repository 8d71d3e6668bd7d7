"""Completion of commands and options in a shell."""

from __future__ import annotations

import click

from devgate.cli.output import say


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the code that teaches a shell to complete devgate's commands and options.

    \b
    Set it up once:
      bash   devgate completion bash > ~/.local/share/bash-completion/completions/devgate
      zsh    devgate completion zsh > "${fpath[1]}/_devgate"
      fish   devgate completion fish > ~/.config/fish/completions/devgate.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click has all shells that the argument allows"
    root = ctx.find_root()
    # source_vars() instead of source(), which would run bash to learn its version.
    complete = kind(root.command, {}, "devgate", "_DEVGATE_COMPLETE")
    say(complete.source_template % complete.source_vars())
