import { Cookie } from "sojourn/express-session";
export = Cookie;
