#!/usr/bin/env bash
# Makes the picture of the first command in README.md: runs the command in a terminal, and draws the screen. Needs tmux,
# and Python with PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
picture=crates/veo-cli/docs/first-command.svg
unset CARGO_TARGET_DIR NO_COLOR KIE_API_KEY UNIALL_API_KEY

command=$(sed -n 's/^\$ \(cargo run .*\)/\1/p' README.md | head -n 1)
folder=$(mktemp -d)
tmux="tmux -L veo-$$ -f /dev/null"
trap '$tmux kill-server 2> /dev/null || true; rm -rf "$folder" dog.mp4' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'rich==15.*'

cargo build -p veo-cli
rm -f dog.mp4
$tmux new-session -d -x 92 -y 10 "env HOME=$HOME PS1='\$ ' bash --norc --noprofile"
see() {
    for _ in $(seq 300); do
        if $tmux capture-pane -p | grep -q -e "$1"; then return; fi
        sleep 0.1
    done
    echo "the screen never had: $1" >&2
    exit 1
}
see '^\$'
$tmux send-keys -l "$command"
$tmux send-keys Enter
see '^dog.mp4'
$tmux capture-pane -p -e -J > "$folder/screen"

"$folder/venv/bin/python" - "$folder/screen" "$picture" << 'PYTHON'
import io, re, sys
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

screen = open(sys.argv[1]).read().rstrip().removesuffix("$").rstrip()
console = Console(record=True, width=92, file=io.StringIO(), force_terminal=True, color_system="standard")
console.print(Text.from_ansi(screen), soft_wrap=False)
svg = console.export_svg(title="", theme=MONOKAI, unique_id="veo")
# The picture loads no fonts from the web.
svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S).replace("Fira Code, ", "")
open(sys.argv[2], "w").write("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
PYTHON
echo "$picture, $(wc -c < "$picture") bytes"
