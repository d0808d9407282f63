"""The clients to compare, with the installation of each and the command that creates one video with it."""

import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).parent.resolve()
ROOT = HERE.parent.parent
FOLDER = ROOT / "target" / "double-payments"
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"


class Python:
    """A script with packages from PyPI."""

    def __init__(self, name, script, *packages):
        self.name = name
        self.script = HERE / "clients" / script
        self.packages = packages
        self.folder = FOLDER / "-".join(packages).replace("/", "+")
        self.installed = self.folder

    def installation(self):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        return [*pip, "--target", self.folder, *self.packages]

    def command(self):
        return ["env", f"PYTHONPATH={self.folder}", sys.executable, self.script]


class Node(Python):
    """A script with packages from npm."""

    def installation(self):
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        return [*npm, "--prefix", self.folder, *self.packages]

    def command(self):
        # Node looks for packages beside the script.
        return ["node", shutil.copy(self.script, self.folder)]


class Rust:
    """A cargo project of its own, with packages from crates.io."""

    def __init__(self, name, project):
        self.name = name
        self.project = HERE / project
        self.folder = FOLDER / project
        self.installed = self.folder / "debug" / "create"

    def installation(self):
        manifest = self.project / "Cargo.toml"
        return ["cargo", "build", "--quiet", "--manifest-path", manifest, "--target-dir", self.folder]

    def command(self):
        return [self.installed]


class Ours:
    """A program that the workspace has built."""

    installed = BUILT

    def __init__(self, name, *command):
        self.name = name
        self.parts = command

    def command(self):
        return self.parts


LIBRARY = BUILT / "examples" / "create_video"

CLIENTS = [
    Python("openai (Python) 3.57.0", "openai_videos.py", "openai==3.57.0"),
    Rust("async-openai 0.43.0", "async-openai"),
    Python("runwayml (Python) 5.24.0", "runway_videos.py", "runwayml==5.24.0"),
    Node("@runwayml/sdk 4.20.1", "runway_videos.mjs", "@runwayml/sdk@4.20.1"),
    Python("lumaai (Python) 1.21.0", "luma_videos.py", "lumaai==1.21.0"),
    Node("lumaai (npm) 1.19.1", "luma_videos.mjs", "lumaai@1.19.1"),
    Python("fal-client 1.0.3", "fal_queue.py", "fal-client==1.0.3"),
    Node("@fal-ai/client 1.10.1", "fal_queue.mjs", "@fal-ai/client@1.10.1"),
    Python("replicate (Python) 1.0.7", "replicate_predictions.py", "replicate==1.0.7"),
    Node("replicate (npm) 1.4.0", "replicate_predictions.mjs", "replicate@1.4.0"),
    Node("ai 6.0.326 with fal", "ai_fal.mjs", "ai@6.0.326", "@ai-sdk/fal@2.0.59"),
    Node("ai 7.0.173 with fal", "ai_fal.mjs", "ai@7.0.173", "@ai-sdk/fal@3.0.41"),
    Node("ai 7.0.173 with replicate", "ai_replicate.mjs", "ai@7.0.173", "@ai-sdk/replicate@3.0.46"),
    Python("litellm 1.106.2", "litellm_videos.py", "litellm==1.106.2"),
    Python("litellm 1.106.2, its Router", "litellm_router.py", "litellm==1.106.2"),
    Python("google-genai 3.6.1", "google_videos.py", "google-genai==3.6.1"),
    Python("runapi-veo-3-1 0.3.0", "runapi_videos.py", "runapi-veo-3-1==0.3.0"),
    Ours("veo-core", LIBRARY, "none"),
    Ours("veo-core with a ledger, asked twice", LIBRARY, "file"),
    Ours("veo-core with a ledger in PostgreSQL, asked twice", LIBRARY, "postgres"),
    Ours("veo generate", "sh", HERE / "clients" / "veo_generate.sh"),
    Ours("veo generate --batch, run twice", "sh", HERE / "clients" / "veo_batch.sh"),
]
