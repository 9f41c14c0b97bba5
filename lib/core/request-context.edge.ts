/**
 * Whether work can end with the request that started it, although other requests wait for it. At the edge, it does: its
 * promises then never settle, and its timers never end.
 */
export const WORK_ENDS_WITH_REQUEST = true as boolean

/** After this time without a sign of life, work counts as ended. */
export const MAX_SILENCE_MS = 500
