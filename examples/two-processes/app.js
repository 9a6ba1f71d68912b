// One of the processes. They share nothing but Redis.
import express from "express";
import { session } from "sojourn";
import { RedisStore } from "sojourn/redis";

const [name] = process.argv.slice(2);
const sessions = session({
  store: new RedisStore(process.env.REDIS_URL ?? "redis://127.0.0.1:6379", {
    prefix: process.env.PREFIX ?? "two-processes:",
  }),
  secret: process.env.SESSION_SECRET ?? "only for this example: 32 bytes or more",
});

const app = express();
app.set("trust proxy", 1); // one proxy stands in front
app.use(express.urlencoded({ extended: false }));
app.use(sessions);

app.get("/", (req, res) => {
  const { userId, visits = 0 } = req.session;
  res.send(`Process ${name}: ${userId ?? "stranger"}, ${visits} visits counted
    <form action="/visit" method="post"><button>Count</button></form>
    <form action="/login" method="post"><button>Log in as Ada</button></form>
    <form action="/logout" method="post"><button>Log out</button></form>`);
});
// However many arrive at both processes at once, every one is counted.
app.post("/visit", async (req, res) => {
  await req.session.update((current) => {
    current.visits = (current.visits ?? 0) + 1;
  });
  res.redirect(303, "/");
});
app.post("/login", async (req, res) => {
  await req.session.login("ada");
  res.redirect(303, "/");
});
// The other process knows at once.
app.post("/logout", async (req, res) => {
  await req.session.logout();
  res.redirect(303, "/");
});

app.use((error, _req, res, _next) => {
  console.error(`Process ${name}: ${error.message}. Is Redis running? REDIS_URL says where.`);
  res.status(error.status ?? 500).send("The sessions can't be reached.");
});

const server = app.listen(0, "127.0.0.1", () => process.send(server.address().port));
process.once("disconnect", async () => {
  server.close();
  server.closeAllConnections();
  await sessions.close();
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {}); // the parent decides
