// How long a condition may take to come true, and what happens when it does not.

export const PATIENCE_MS = 30_000;

export function check(condition, message) {
    if (!condition) throw new Error(message);
}
