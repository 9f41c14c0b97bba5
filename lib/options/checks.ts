import { VKitArgumentError, VKitConfigError } from '../core/errors.js'
import { nearestName } from '../core/nearest-name.js'
import { inheritedProperty, ownProperties } from '../core/own-properties.js'
import { VKitError } from '../core/vkit-error.js'

/** The maximum delay of Node's timers: a signed 32-bit number of milliseconds. */
const LONGEST_MS = 2 ** 31 - 1

/** The cache allocates 40 bytes per entry in advance, so a higher number is an error, not a number of users. */
const MAX_COUNT = 10_000_000

type MakeError = (what: string) => Error

export const config: MakeError = what => new VKitConfigError(`${what}.`)
export const argument: MakeError = what => new VKitArgumentError(`${what}.`)

/** A getter or proxy of the customer may throw, and its error may contain anything. */
export function guardGetters<T>(makeError: MakeError, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof VKitError ? error : makeError('The options cannot be read: a getter or a proxy throws')
  }
}

export function readOptions<T extends object>(given: unknown, known: KnownKeys, makeError: MakeError): T {
  checkOptionsObject(given, known, makeError)
  const own = ownProperties(given)
  for (const key of Object.keys(own)) if (!known.keys.has(key)) throw unknownOption(key, known, makeError)
  return own as T
}

export function checkOptionsObject(
  given: unknown,
  { prefix, keys }: KnownKeys,
  makeError: MakeError,
): asserts given is object {
  const what = prefix === '' ? 'The options' : prefix.slice(0, -1)
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw makeError(`${what} must be an object`)
  if (isIterable(given)) throw makeError(`${what} must be a plain object, not an iterable; pass scopes as an array`)
  const inherited = inheritedProperty(given, keys)
  if (inherited !== undefined) {
    throw makeError(`${what} must have own properties: the inherited property${nameOf(inherited, prefix)} is not used`)
  }
}

export function unknownOption(key: string, { prefix, keys }: KnownKeys, makeError: MakeError): Error {
  const nearest = nearestName(key, keys)
  const known = `Known options: ${[...keys].join(', ')}`
  if (nearest === undefined) return makeError(`Unknown option${nameOf(key, prefix)}. ${known}`)
  // A name close to a known one is a typo, and safe to repeat.
  return makeError(`Unknown option "${prefix}${key}": did you mean "${prefix}${nearest}"? ${known}`)
}

/** Repeats only text that looks like a name: other text may be the secret in the wrong place. */
function nameOf(key: string, prefix: string): string {
  return /^[A-Za-z]{1,24}$/.test(key) ? ` "${prefix}${key}"` : ''
}

interface KnownKeys {
  /** The prefix of each name in messages. */
  readonly prefix: string
  readonly keys: ReadonlySet<string>
}

export function knownKeys(prefix: string, keys: readonly string[]): KnownKeys {
  return { prefix, keys: new Set(keys) }
}

export function readMember(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (Reflect.get(value, name) as unknown) : undefined
}

export function hasMethods(value: unknown, names: readonly PropertyKey[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every(name => typeof Reflect.get(value, name) === 'function')
}

export function isIterable(value: object): boolean {
  return Symbol.asyncIterator in value || Symbol.iterator in value
}

export function duration(value: unknown, name: string, makeError: MakeError): number {
  if (typeof value === 'number' && value > 0 && value <= LONGEST_MS) return value
  throw makeError(`${name} must be a number of milliseconds above 0 and at most ${LONGEST_MS}`)
}

export function optionalDuration(value: unknown, name: string, makeError: MakeError): number | undefined {
  if (value === undefined || (typeof value === 'number' && value >= 0 && Number.isFinite(value))) return value
  throw makeError(`${name} must be a number of milliseconds, 0 or more`)
}

interface Count {
  readonly name: string
  readonly min: number
  readonly makeError?: MakeError
}

export function integer(value: unknown, { name, min, makeError = config }: Count): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= MAX_COUNT) return value
  throw makeError(`${name} must be a whole number from ${min} to ${MAX_COUNT}`)
}

export function fraction(value: unknown, name: string): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw config(`${name} must be a number above 0 and at most 1`)
}

export function functionOption<F>(value: F, name: string): F {
  if (typeof value === 'function') return value
  throw config(`${name} must be a function`)
}
