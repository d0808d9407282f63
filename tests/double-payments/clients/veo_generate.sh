export KIE_API_KEY=key KIE_BASE_URL=$1
exec "$VEO" generate "A red kite" --provider kie
