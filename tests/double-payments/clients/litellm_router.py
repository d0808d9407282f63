import asyncio
import sys

from litellm import Router

settings = {
    "model": "openai/sora-2",
    "api_key": "key",
    "api_base": f"{sys.argv[1]}/v1",
    "timeout": float(sys.argv[2]),
}
router = Router(model_list=[{"model_name": "video", "litellm_params": settings}])
asyncio.run(router.avideo_generation(model="video", prompt="A red kite"))
