import { SojournError } from "../../contract/errors.ts";

/** Replies as what they must be. Clients may be set up to give numbers as text, or text as bytes. */

export function textOf(reply: unknown): string {
  if (typeof reply === "string") return reply;
  if (Buffer.isBuffer(reply)) return reply.toString();
  throw unexpected();
}

export function numberOf(reply: unknown): number {
  const number = typeof reply === "number" ? reply : Number(textOf(reply));
  if (Number.isNaN(number)) throw unexpected();
  return number;
}

export function listOf(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply;
  throw unexpected();
}

function unexpected(): SojournError {
  return new SojournError("STORE_CORRUPT", "Redis sent a reply of another kind than the command has.");
}
