// A chat over Socket.IO: who speaks is known by the session of the page, and a logout closes the connection.
import { createServer } from "node:http";
import express from "express";
import { Server } from "socket.io";
import { session } from "sojourn";

const app = express();
const sessions = session({ secret: process.env.SESSION_SECRET ?? "only for this example: 32 bytes or more" });
app.use(express.urlencoded({ extended: false }));
app.use(sessions);

app.get("/", (req, res) => {
  res.send(req.session.userId === null ? LOGIN : CHAT);
});
app.post("/login", async (req, res) => {
  const name = String(req.body?.name ?? "").trim();
  if (name === "") return res.redirect(303, "/");
  await req.session.login(name); // Anybody may have any name here: check a password in its place.
  res.redirect(303, "/");
});
app.post("/logout", async (req, res) => {
  await req.session.logout();
  res.redirect(303, "/");
});

const server = createServer(app);
const io = new Server(server);

// Every connection has the session that the page has, as a copy to read.
io.use(async (socket, next) => {
  const found = await sessions.authenticateUpgrade(socket.request).catch(() => undefined);
  if (!found?.userId) return next(new Error("log in first"));
  socket.data.session = found;
  next();
});

io.on("connection", (socket) => {
  const { session: found } = socket.data;
  const stop = found.onEnd(() => socket.disconnect(true)); // logged out, revoked or expired: at once
  socket.on("disconnect", stop);
  socket.on("say", (text) => {
    io.emit("said", { from: found.userId, text: String(text).slice(0, 500) });
    found.touch().catch(() => {}); // speaking is a use of the session, an open page is not
  });
});

const LOGIN = `<!doctype html><title>Chat</title>
<form action="/login" method="post"><input name="name" placeholder="Your name" required autofocus> <button>Join</button></form>`;

const CHAT = `<!doctype html><title>Chat</title>
<ul id="messages"></ul>
<form id="say"><input id="text" autocomplete="off" autofocus> <button>Send</button></form>
<form action="/logout" method="post"><button>Leave</button></form>
<script src="/socket.io/socket.io.js"></script>
<script>
  const socket = io();
  const text = document.getElementById("text");
  document.getElementById("say").addEventListener("submit", (event) => {
    event.preventDefault();
    socket.emit("say", text.value);
    text.value = "";
  });
  socket.on("said", ({ from, text }) => {
    const line = document.createElement("li");
    line.textContent = from + ": " + text;
    document.getElementById("messages").append(line);
  });
  socket.on("disconnect", (reason) => reason === "io server disconnect" && location.reload());
</script>`;

server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`The chat is at http://localhost:${server.address().port}`);
});
