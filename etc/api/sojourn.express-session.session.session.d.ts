// What sojourn/express-session/session/session declares. npm run api writes this file.

// export =
export declare class Session {
    readonly id: string;
    readonly req: SessionOwner;
    cookie: Cookie;
    constructor(req: object, data?: object | null);
    touch(): this;
    resetMaxAge(): this;
    save(): Promise<void>;
    save(callback: Done): this;
    reload(): Promise<void>;
    reload(callback: Done): this;
    destroy(): Promise<void>;
    destroy(callback: Done): this;
    regenerate(): Promise<void>;
    regenerate(callback: Done): this;
}
