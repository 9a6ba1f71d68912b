// What sojourn/express-session/session/cookie declares. npm run api writes this file.

// export =
export declare class Cookie {
    path?: string | undefined;
    _expires?: Date | null | undefined;
    originalMaxAge: number | null;
    httpOnly?: boolean | undefined;
    partitioned?: boolean | undefined;
    priority?: "low" | "medium" | "high" | undefined;
    signed?: boolean | undefined;
    secure?: boolean | "auto" | undefined;
    domain?: string | undefined;
    sameSite?: boolean | "lax" | "strict" | "none" | "auto" | undefined;
    constructor(options?: CookieOptions | null);
    get expires(): Date | null | undefined;
    set expires(date: Date | null | undefined);
    get maxAge(): number | null | undefined;
    set maxAge(ms: number | Date | null | undefined);
    get data(): {
        originalMaxAge: number | null;
        partitioned: boolean | undefined;
        priority: "high" | "low" | "medium" | undefined;
        expires: Date | null | undefined;
        secure: "auto" | boolean | undefined;
        httpOnly: boolean | undefined;
        domain: string | undefined;
        path: string | undefined;
        sameSite: "auto" | "lax" | "none" | "strict" | boolean | undefined;
    };
    serialize(name: string, value: string): string;
    toJSON(): Cookie["data"];
}
