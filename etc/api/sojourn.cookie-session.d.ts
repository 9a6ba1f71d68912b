// What sojourn/cookie-session declares. npm run api writes this file.

// CookieSession
export declare class CookieSession {
    [name: string]: any;
    get isNew(): boolean;
    get isChanged(): boolean;
    get isPopulated(): boolean;
    save(callback?: Done): this | Promise<void>;
    reload(callback?: Done): this | Promise<void>;
    regenerate(callback?: Done): this | Promise<void>;
    destroy(callback?: Done): this | Promise<void>;
}

// CookieSessionOptions
export interface CookieSessionOptions extends CookieSettings {
    name?: string | undefined;
    keys?: readonly SignatureKey[] | Signer | undefined;
    secret?: SignatureKey | undefined;
    encrypt?: boolean | undefined;
}

// CookieSessionRequest
export interface CookieSessionRequest extends IncomingMessage {
    session?: CookieSession | null;
    sessionOptions: CookieSettings;
}

// CookieSettings
export interface CookieSettings {
    maxAge?: number | null | undefined;
    expires?: Date | undefined;
    path?: string | undefined;
    domain?: string | undefined;
    sameSite?: "strict" | "lax" | "none" | boolean | undefined;
    priority?: "low" | "medium" | "high" | undefined;
    partitioned?: boolean | undefined;
    secure?: boolean | undefined;
    secureProxy?: boolean | undefined;
    httpOnly?: boolean | undefined;
    signed?: boolean | undefined;
    overwrite?: boolean | undefined;
}

// Done
export type Done<T = void> = (error?: unknown, value?: T) => unknown;

// SignatureKey
export type SignatureKey = string | NodeJS.ArrayBufferView | KeyObject;

// Signer
export interface Signer {
    sign(text: string): string;
    index(text: string, signature: string): number;
}

// export =
declare function cookieSession(options?: CookieSessionOptions): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;
declare namespace cookieSession {
    export { type CookieSession, type CookieSessionOptions, type CookieSessionRequest, type CookieSettings, type Done, implementation, type SignatureKey, type Signer, };
}

// implementation
declare const implementation = "sojourn";

declare global {
    namespace Express {
        interface SojournRequests {
            "cookie-session": {
                session: CookieSession | null | undefined;
            };
        }
        interface Request {
            sessionOptions: CookieSettings;
        }
    }
    namespace CookieSessionInterfaces {
        type CookieSessionOptions = TheOptions;
        type CookieSessionObject = CookieSession;
        type CookieSessionRequest = TheRequest;
    }
}

declare global {
    namespace Express {
        interface SojournRequests {
        }
        type SojournSession = PartOf<SojournRequests[keyof SojournRequests], "session">;
        interface Request {
            session: SojournSession;
        }
    }
}
