// What sojourn/express-session/session/store declares. Written by npm run api.

// export =
export type Store = BaseStore;
export declare const Store: typeof BaseStore;
