#!/usr/bin/env bash
# Runs the program in a real terminal: progress, Ctrl-C, a batch, and a typed API key. Prints the screen at each step,
# and fails if a part of it is missing. Needs tmux and a built program: cargo build -p veo-cli.
set -euo pipefail
cd "$(dirname "$0")/.."
veo=$(realpath "${VEO:-${CARGO_TARGET_DIR:-target}/debug/veo}")
command -v tmux > /dev/null || { echo "there is no tmux; install it" >&2; exit 2; }

folder=$(mktemp -d)
tmux="tmux -L veo-$$ -f /dev/null"
# Programs that still write to the folder get time to end.
trap '$tmux kill-server 2> /dev/null || true; sleep 0.5; rm -rf "$folder"' EXIT
export HOME=$folder XDG_STATE_HOME=$folder/state XDG_CONFIG_HOME=$folder/config
unset NO_COLOR CLICOLOR CLICOLOR_FORCE
mkdir "$folder/bin" && ln -s "$veo" "$folder/bin/veo"
$tmux new-session -d -x 100 -y 30 -c "$folder" "env PATH=$folder/bin:$PATH PS1='\$ ' bash --norc --noprofile"

type_line() { $tmux send-keys -l "$1"; $tmux send-keys Enter; }
# Waits until the screen has a text, and shows it.
see() {
    for _ in $(seq 100); do
        if $tmux capture-pane -p | grep -q -e "$1"; then
            echo "== $1"
            $tmux capture-pane -p | sed '/^$/d'
            return
        fi
        sleep 0.05
    done
    echo "the screen never had: $1" >&2
    $tmux capture-pane -p >&2
    exit 1
}

for colour in '' 'NO_COLOR=1 '; do
    type_line "clear; ${colour}veo generate"
    see '^error: there is no prompt'
    case "$colour$($tmux capture-pane -e -p | grep -c $'\e\[31m' || true)" in
        1 | 'NO_COLOR=1 0') ;;
        *) echo "the colours are wrong with '$colour'" >&2; exit 1 ;;
    esac
done

$tmux new-window -d "$folder/bin/veo sim --port 8797"
type_line 'clear; veo generate --sim kie "A dog" -o dog.mp4'
see 'Making the video ([0-9]*s)'
see '^dog.mp4'
type_line 'clear; veo generate --sim uniall "A dog" -o dog2.mp4'
see 'Making the video \[=.*\] [1-9][0-9]*%'
see '^dog2.mp4'

type_line 'clear; export KIE_API_KEY=any KIE_BASE_URL=http://127.0.0.1:8797; veo generate "A dog" -o cat.mp4'
see 'Making the video'
$tmux send-keys C-c
see 'Wait for it again with: veo wait kie:'
type_line 'code=$?; clear; echo "code $code"'
see 'code 130'
type_line 'clear; veo wait'
see '^cat.mp4'

for number in 1 2 3 4 5 6; do echo "{\"prompt\": \"Dog $number\"}"; done > "$folder/jobs.jsonl"
type_line 'clear; veo generate --batch jobs.jsonl --concurrency 3 --receipts receipts.jsonl'
see 'line 3: Making the video'
see '[1-5] of 6 lines'
see '6 of 6 lines done'

type_line 'clear; veo auth kie; echo'
see 'it is not shown'
type_line 'sk-typed'
see 'Kept in'
if $tmux capture-pane -p | grep -q sk-typed; then
    echo "the key is on the screen" >&2
    exit 1
fi
grep -q sk-typed "$folder/config/veo/config.toml"
echo "== all is well"
