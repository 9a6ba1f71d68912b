import type { Contender } from "../lib/contender.ts";
import { expressSessionSite } from "../lib/express-session-site.ts";
import { load } from "../lib/peer.ts";
import { temporaryFolder } from "../lib/temporary-folder.ts";

type FileStore = new (options: { path: string; logFn: () => void; reapInterval: number }) => object;
const makeFileStore: (session: unknown) => FileStore = load("session-file-store");

export const contender: Contender = {
  name: "express-session, session-file-store",
  kind: "peer",
  over: "bare-express",
  open(data) {
    const folder = temporaryFolder();
    const Store = makeFileStore(load("express-session"));
    // Silent, and without its timer, which would keep the process alive.
    const store = new Store({ path: folder.path, logFn: () => {}, reapInterval: -1 });
    return expressSessionSite(data, store, folder.remove);
  },
};
