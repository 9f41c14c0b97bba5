/** A token has at most 16 KiB; the rest is for the longest identity and scopes. */
export const MAX_RECORD_LENGTH: number = 256 * 1024
