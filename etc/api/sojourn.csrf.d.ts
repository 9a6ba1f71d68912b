// What sojourn/csrf declares. npm run api writes this file.

// CsrfOptions
export interface CsrfOptions {
    trustedOrigins?: readonly string[] | undefined;
    strict?: boolean | undefined;
    except?: readonly string[] | undefined;
}

// csrf
export declare function csrf(options?: CsrfOptions): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;
