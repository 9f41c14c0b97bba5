/** The safe parts of a foreign error: its name and its code, if they have the usual format. */
export interface SanitizedCause extends Error {
  /** For example `ECONNREFUSED` or `CERT_HAS_EXPIRED`. */
  readonly code?: string
}

/** Returns a new error with the name and code of `error` only: its message and properties may contain the secret. */
export function sanitizeCause(error: object): SanitizedCause
export function sanitizeCause(error: unknown): SanitizedCause | undefined
export function sanitizeCause(error: unknown): SanitizedCause | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const name = readWord(error, 'name', /^[A-Z][A-Za-z0-9]{0,63}$/) ?? 'Error'
  const code = readWord(error, 'code', /^[A-Z][A-Z0-9_]{0,63}$/)
  const cause = new Error(code ?? name)
  Object.defineProperty(cause, 'name', { value: name })
  // The frames would be those of this function, not of the failure.
  Object.defineProperty(cause, 'stack', { value: `${name}: ${cause.message}` })
  return code === undefined ? cause : Object.assign(cause, { code })
}

function readWord(error: object, key: 'name' | 'code', shape: RegExp): string | undefined {
  try {
    const value: unknown = Reflect.get(error, key)
    return typeof value === 'string' && shape.test(value) ? value : undefined
  } catch {
    return undefined
  }
}
