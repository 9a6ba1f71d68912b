import { Session } from "sojourn/express-session";
export = Session;
