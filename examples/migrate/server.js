// A site on express-session becomes one on Sojourn while people are logged in: nobody has to log in again.
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { siteAfter } from "./after.js";
import { siteBefore } from "./before.js";

const folder = mkdtempSync(join(tmpdir(), "sojourn-migrate-"));
const settings = { oldFolder: join(folder, "old"), newFolder: join(folder, "new"), oldSecret: "the secret of before" };

// "Deploying" is a click here: from then on requests reach the other site.
let site = siteBefore(settings);
const server = createServer((req, res) => {
  if (req.url === "/deploy" && req.method === "POST") {
    site = siteAfter(settings);
    res.writeHead(303, { Location: "/" }).end();
  } else site(req, res);
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`The site on express-session is at http://localhost:${server.address().port}`);
});
