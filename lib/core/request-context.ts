/**
 * Whether work can end with the request that started it, although other requests wait for it. Never on Node;
 * request-context.edge.ts has the values of the edge.
 */
export const WORK_ENDS_WITH_REQUEST = false as boolean

/** After this time without a sign of life, work counts as ended: on Node, longer than any process lives. */
export const MAX_SILENCE_MS = 1e15
