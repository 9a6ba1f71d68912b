// What sojourn/oidc declares. npm run api writes this file.

// BackchannelLogoutOptions
export interface BackchannelLogoutOptions {
    sessions: RevocableSessions;
    issuer: string;
    clientId: string;
    jwks?: KeySet | string | undefined;
    algorithms?: readonly string[] | undefined;
    linkOf?: ((sid: string) => string) | undefined;
    userIdOf?: ((sub: string) => string | undefined | Promise<string | undefined>) | undefined;
    clockTolerance?: Duration | undefined;
}

// Duration
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d" | "w"}`;

// KeySet
export interface KeySet {
    keys: {
        kty: string;
        [parameter: string]: unknown;
    }[];
}

// RevocableSessions
export interface RevocableSessions {
    revokeAll(of: string | {
        link: string;
    }): Promise<number>;
}

// backchannelLogout
export declare function backchannelLogout(options: BackchannelLogoutOptions): (req: IncomingMessage & {
    body?: unknown;
}, res: ServerResponse, next: (error?: unknown) => void) => void;
