import sys

import litellm

litellm.video_generation(
    model="openai/sora-2",
    prompt="A red kite",
    api_key="key",
    api_base=f"{sys.argv[1]}/v1",
    timeout=float(sys.argv[2]),
)
