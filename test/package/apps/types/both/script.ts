declare module "sojourn" {
  interface SessionData {
    cart: string[];
  }
}
