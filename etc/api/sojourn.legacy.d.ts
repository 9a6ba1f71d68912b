// What sojourn/legacy declares. npm run api writes this file.

// Awaitable
export type Awaitable<T> = T | Promise<T>;

// LegacyCookieSessionOptions
export interface LegacyCookieSessionOptions extends LegacyOptions {
    keys: readonly SignatureKey[] | Signer;
    name?: string | undefined;
    encrypt?: boolean | undefined;
}

// LegacyExpressSessionOptions
export interface LegacyExpressSessionOptions extends LegacyOptions {
    secret: SignatureKey | readonly SignatureKey[];
    store: {
        get(id: string, callback: (error?: unknown, session?: unknown) => void): unknown;
        destroy(id: string, callback: (error?: unknown) => void): unknown;
    };
    name?: string | undefined;
}

// LegacyOptions
export interface LegacyOptions {
    cookie?: {
        path?: string | undefined;
        domain?: string | undefined;
        secure?: boolean | "auto" | undefined;
        sameSite?: string | boolean | undefined;
        partitioned?: boolean | undefined;
    } | undefined;
    userId?: ((data: Readonly<Record<string, unknown>>) => string | number | null | undefined) | undefined;
    until?: Date | string | undefined;
}

// LegacyReader
export interface LegacyReader {
    readonly name: string;
    readonly clearing: readonly string[];
    read(req: IncomingMessage): Awaitable<LegacySession | undefined>;
}

// LegacySession
export interface LegacySession {
    readonly data: Readonly<Record<string, unknown>>;
    readonly userId?: string | undefined;
    end(): Awaitable<void>;
}

// SignatureKey
export type SignatureKey = string | NodeJS.ArrayBufferView | KeyObject;

// Signer
export interface Signer {
    sign(text: string): string;
    index(text: string, signature: string): number;
}

// cookieSession
export declare function cookieSession(options: LegacyCookieSessionOptions): LegacyReader;

// expressSession
export declare function expressSession(options: LegacyExpressSessionOptions): LegacyReader;
