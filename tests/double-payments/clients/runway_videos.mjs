import RunwayML from "@runwayml/sdk";

const [url, seconds] = process.argv.slice(2);
const client = new RunwayML({ apiKey: "key", baseURL: url, timeout: 1000 * seconds });
await client.textToVideo.create({ model: "veo3.1", promptText: "A red kite", ratio: "1280:720", duration: 8 });
