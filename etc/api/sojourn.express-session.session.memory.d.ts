// What sojourn/express-session/session/memory declares. Written by npm run api.

// export =
export type MemoryStore = SessionsInMemory;
export declare const MemoryStore: typeof SessionsInMemory;
