import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const docs = fileURLToPath(new URL("../../docs/", import.meta.url));

interface Group {
  text: string;
  /** The title in the sidebar, and the page below `docs/`, without its `.md`. */
  pages: [text: string, page: string][];
}

/** The order of the pages. A page that is not written yet is left out. */
const groups: Group[] = [
  {
    text: "Start",
    pages: [
      ["Overview", "index"],
      ["A login in five minutes", "start"],
    ],
  },
  {
    text: "Guides: users",
    pages: [
      ["Login and logout", "guides/login-and-logout"],
      ["Remember me", "guides/remember-me"],
      ["A page of devices", "guides/devices-page"],
      ["Asking for the password again", "guides/fresh-logins"],
      ["Limits on sessions", "guides/limits"],
      ["Disabled users, changed passwords", "guides/disabled-users"],
      ["Impersonation", "guides/impersonation"],
      ["Single sign-on", "guides/single-sign-on"],
      ["Links that sign in", "guides/sign-in-links"],
    ],
  },
  {
    text: "Guides: data",
    pages: [
      ["What a session holds", "guides/session-data"],
      ["Flash messages", "guides/flash-messages"],
      ["Lists and counters", "guides/lists-and-counters"],
      ["Schemas and migrations", "guides/schemas-and-migrations"],
      ["TypeScript", "guides/typescript"],
    ],
  },
  {
    text: "Guides: stores",
    pages: [
      ["Choosing a store", "guides/choosing-a-store"],
      ["Memory", "guides/memory"],
      ["SQLite", "guides/sqlite"],
      ["Files", "guides/files"],
      ["Redis and Valkey", "guides/redis"],
      ["PostgreSQL", "guides/postgresql"],
      ["MySQL and MariaDB", "guides/mysql"],
      ["Stores of express-session", "guides/express-session-stores"],
      ["Sealed sessions", "guides/sealed-sessions"],
      ["Outages", "guides/outages"],
    ],
  },
  {
    text: "Guides: clients",
    pages: [
      ["Bearer tokens, mobile apps", "guides/bearer-tokens"],
      ["Single-page applications", "guides/single-page-apps"],
      ["WebSockets", "guides/websockets"],
      ["Server-sent events", "guides/server-sent-events"],
      ["A warning before the end", "guides/session-end-warning"],
      ["CSRF", "guides/csrf"],
    ],
  },
  {
    text: "Guides: libraries",
    pages: [
      ["Passport", "guides/passport"],
      ["OpenID Connect", "guides/openid-connect"],
      ["GraphQL", "guides/graphql"],
      ["tRPC", "guides/trpc"],
      ["NestJS", "guides/nestjs"],
      ["Testing", "guides/testing"],
    ],
  },
  {
    text: "Guides: operation",
    pages: [
      ["In production", "production"],
      ["Behind a proxy", "guides/behind-a-proxy"],
      ["Serverless", "guides/serverless"],
      ["Clusters", "guides/clusters"],
      ["Encryption at rest", "guides/encryption-at-rest"],
      ["Key rotation", "guides/key-rotation"],
      ["Backups", "guides/backups"],
      ["Privacy", "guides/privacy"],
      ["Events and logs", "guides/events"],
    ],
  },
  {
    text: "Migrate",
    pages: [
      ["From express-session", "migrate/express-session"],
      ["With the codemod", "guides/codemod"],
      ["From cookie-session", "migrate/cookie-session"],
      ["From iron-session", "migrate/iron-session"],
    ],
  },
  {
    text: "Concepts",
    pages: [
      ["How a session lives", "concepts/how-a-session-lives"],
      ["Concurrency", "concepts/concurrency"],
      ["Promises and their limits", "concepts/promises"],
      ["What a store keeps", "concepts/what-a-store-keeps"],
    ],
  },
  {
    text: "Look up",
    pages: [
      ["Troubleshooting", "troubleshooting"],
      ["Errors", "ERRORS"],
      ["Security", "SECURITY"],
      ["Performance", "PERFORMANCE"],
      ["Architecture", "ARCHITECTURE"],
      ["Decisions", "DECISIONS"],
    ],
  },
];

export const sidebar = groups.map(({ text, pages }) => ({
  text,
  items: pages
    .filter(([, page]) => existsSync(join(docs, `${page}.md`)))
    .map(([title, page]) => ({ text: title, link: page === "index" ? "/" : `/${page}` })),
}));

/** Every page that the sidebar can name. */
export const known = groups.flatMap(({ pages }) => pages.map(([, page]) => `${page}.md`));
