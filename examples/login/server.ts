import { session } from "sojourn";
import { createApp } from "./app.ts";
import { readSettings } from "./settings.ts";
import { openPlace } from "./store.ts";
import { Users } from "./users.ts";

const settings = readSettings(process.env);
const { options, store } = openPlace(settings);
const sessions = session({ ...options, secret: settings.secret });
const users = new Users(settings.file);

const server = createApp({ sessions, store, users }).listen(settings.port, settings.host, (error) => {
  if (error) {
    console.error(`Port ${settings.port}: ${error.message}. Another one: PORT=3001 npm start`);
    process.exit(1);
  }
  const address = server.address();
  const port = typeof address === "object" ? address?.port : settings.port;
  console.log(`The shop is open: http://localhost:${port}`);
});

// The first signal lets running requests finish; a second one, or five seconds, ends them.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close(async () => {
      await sessions.close(); // the store too
      users.close();
    });
    // A connection whose request has ended would be kept open for the browser's next one.
    setInterval(() => server.closeIdleConnections(), 50).unref();
    setTimeout(() => server.closeAllConnections(), 5000).unref();
  });
}
