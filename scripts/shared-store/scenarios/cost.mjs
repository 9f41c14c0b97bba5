export const cost = {}
