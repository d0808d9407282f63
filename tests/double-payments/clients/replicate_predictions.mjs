import Replicate from "replicate";

const client = new Replicate({ auth: "key", baseUrl: process.argv[2] });
await client.predictions.create({ model: "google/veo-3.1", input: { prompt: "A red kite" } });
