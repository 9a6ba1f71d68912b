// What sojourn/express-session/session/store declares. npm run api writes this file.

// export =
export type Store = BaseStore;
export declare const Store: typeof BaseStore;
