import { createReplicate } from "@ai-sdk/replicate";
import { experimental_generateVideo as generateVideo } from "ai";

const replicate = createReplicate({ apiToken: "key", baseURL: process.argv[2] });
await generateVideo({ model: replicate.video("google/veo-3.1"), prompt: "A red kite" });
