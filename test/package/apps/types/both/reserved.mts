import { session } from "sojourn";

declare module "sojourn" {
  interface SessionData {
    userId: string;
  }
}

session();
