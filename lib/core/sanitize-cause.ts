/** What is left of a foreign error: its name and its code, where they look like ones. */
export interface SanitizedCause extends Error {
  /** Such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. */
  readonly code?: string
}

/** A fresh error that tells what `error` was, from an allow-list; message and properties may hold the secret and stay behind. */
export function sanitizeCause(error: unknown): SanitizedCause | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const name = readWord(error, 'name', /^[A-Z][A-Za-z0-9]{0,63}$/) ?? 'Error'
  const code = readWord(error, 'code', /^[A-Z][A-Z0-9_]{0,63}$/)
  const cause = new Error(code ?? name)
  Object.defineProperty(cause, 'name', { value: name })
  // The frames would be ours, not those of the fault.
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
