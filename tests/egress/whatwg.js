// The host that a browser's URL parser sees, for each URL of a JSON list; null where it refuses.
let text = "";
process.stdin.on("data", (chunk) => (text += chunk));
process.stdin.on("end", () => {
  const hosts = JSON.parse(text).map((url) => {
    try {
      return new URL(url).hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
    } catch {
      return null;
    }
  });
  process.stdout.write(JSON.stringify(hosts));
});
