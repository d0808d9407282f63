# Twice, as a user does who does not know what became of the first time.
export KIE_API_KEY=key KIE_BASE_URL=$1
echo '{"prompt": "A red kite"}' > videos.jsonl
"$VEO" generate --batch videos.jsonl --provider kie
exec "$VEO" generate --batch videos.jsonl --provider kie
