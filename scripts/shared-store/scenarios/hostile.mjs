export const hostile = {}
