import { createApp } from "./app.ts";
import { Audit } from "./audit.ts";
import { openSessions } from "./sessions.ts";
import { readSettings } from "./settings.ts";
import { openSupport, SUPPORT_EMAIL } from "./support.ts";
import { Users } from "./users.ts";

const settings = readSettings(process.env);
const { sessions, store } = openSessions(settings);
const users = new Users(settings.file);
const audit = new Audit(settings.file);
audit.listen(sessions);
const hasSupport = await openSupport(users, settings.support.password);

const app = createApp({ sessions, store, users, audit, freshFor: settings.freshFor });
const server = app.listen(settings.port, settings.host, (error) => {
  if (error) {
    console.error(`Port ${settings.port}: ${error.message}. Another one: PORT=3001 npm start`);
    process.exit(1);
  }
  const address = server.address();
  const port = typeof address === "object" ? address?.port : settings.port;
  if (hasSupport) console.log(`Support is ${SUPPORT_EMAIL}. Its first password is in ${settings.support.path}`);
  console.log(`The shop is open: http://localhost:${port}`);
});

// The first signal lets running requests finish; a second one, or five seconds, ends them.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close(async () => {
      await sessions.close(); // the store too
      users.close();
      audit.close();
    });
    // A connection whose request has ended would be kept open for the browser's next one.
    setInterval(() => server.closeIdleConnections(), 50).unref();
    setTimeout(() => server.closeAllConnections(), 5000).unref();
  });
}
