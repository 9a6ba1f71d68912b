import { NOTE } from "../../contract/store.ts";

const AFTER_NOTES = String.fromCharCode(NOTE.charCodeAt(0) + 1);

/** Conditions that an index on `handle`, compared byte by byte, answers. */
export const IS_NOTE = `handle >= '${NOTE}' AND handle < '${AFTER_NOTES}'`;
export const IS_SESSION = `(handle < '${NOTE}' OR handle >= '${AFTER_NOTES}')`;
