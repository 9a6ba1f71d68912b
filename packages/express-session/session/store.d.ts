import { Store } from "sojourn/express-session";
export = Store;
