#!/usr/bin/env bash
# Reads the providers' pages, as the workflow `drift` does every week. New facts go to the branch `drift`, for which the
# script opens or updates one pull request. For a page that cannot be read, it opens or updates one issue. It never
# merges. The pages are texts of others, so they pass through files only, and never through a shell.
#
# Needs git with a remote `origin`, and gh with a token that may write contents, pull requests and issues.
# `scripts/drift.sh --from DIR` reads saved pages.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The number of the branch's open pull request, or nothing.
open=$(gh pr list --head drift --state open --json number --jq '.[].number')
if [ -n "$open" ]; then
    # A maintainer may have pushed to the branch, so the new facts are added to it.
    git fetch --quiet origin drift
    git switch --quiet --force-create drift FETCH_HEAD
fi

exit=0
cargo xtask drift "$@" --accept --markdown >"$folder/body.md" 2>"$folder/problems.txt" || exit=$?
case $exit in
0) ;;
3)
    title="A page of a provider cannot be read"
    issue=$(gh issue list --state open --search "in:title \"$title\"" --json number --jq '.[0].number')
    if [ -n "$issue" ]; then
        gh issue edit "$issue" --body-file "$folder/body.md"
    else
        gh issue create --title "$title" --body-file "$folder/body.md"
    fi
    exit
    ;;
*)
    cat "$folder/problems.txt" >&2
    exit 1
    ;;
esac

git add openapi/documented
if git diff --cached --quiet; then
    echo "the pages state what they stated before"
    exit
fi
if [ -z "$open" ]; then
    git switch --quiet --force-create drift
fi
git -c user.name="github-actions[bot]" -c user.email="41898282+github-actions[bot]@users.noreply.github.com" \
    commit --quiet --message "Note what the providers' pages state now"
if [ -n "$open" ]; then
    git push --quiet origin drift
    gh pr edit "$open" --body-file "$folder/body.md"
else
    # The branch may be left over from an earlier pull request, so it is replaced.
    git push --quiet --force origin drift
    gh pr create --head drift --title "Follow the providers' pages" --body-file "$folder/body.md"
fi
