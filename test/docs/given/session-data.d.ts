// The data that the pages keep in their sessions. An application declares its own.
import "sojourn";
import "sojourn/express-session";

interface Data {
  views: number;
  cart: { id: number; amount: number }[];
  seen: Date;
  files: string[];
  points: number;
  language: string;
  csrf: string;
}

declare global {
  namespace Express {
    interface Request {
      flash(type: string, message?: unknown): unknown;
      logout(callback: (error: unknown) => void): void;
    }
  }
}

declare module "sojourn" {
  interface SessionData extends Data {}
}

declare module "sojourn/express-session" {
  interface SessionData extends Data {}
}
