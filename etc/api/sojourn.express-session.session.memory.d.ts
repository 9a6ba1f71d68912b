// What sojourn/express-session/session/memory declares. npm run api writes this file.

// export =
export type MemoryStore = SessionsInMemory;
export declare const MemoryStore: typeof SessionsInMemory;
