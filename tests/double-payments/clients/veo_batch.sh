# The batch runs twice, as with a user who does not know the first outcome.
export KIE_API_KEY=key KIE_BASE_URL=$1
echo '{"prompt": "A red kite"}' > videos.jsonl
"$VEO" generate --batch videos.jsonl --provider kie
exec "$VEO" generate --batch videos.jsonl --provider kie
