export const invalidation = {}
