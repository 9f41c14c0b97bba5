import http from 'node:http'
import { nearestName } from '../core/nearest-name.js'

/** A test for a value, and its description for errors. */
export interface Check {
  readonly expected: string
  readonly accepts: (value: unknown) => boolean
}

/** A check for each member of `T`. */
export type Checks<T> = { readonly [K in keyof T]-?: Check }

/**
 * Returns the own properties of `given`, and checks their names and types. `what` names `given` in an error.
 *
 * @throws TypeError that names the member, never its value
 */
export function checkMembers<T extends object>(what: string, given: unknown, checks: Checks<T>): T {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`${what} must be an object, not ${describeType(given)}.`)
  }
  const own = Object.assign(Object.create(null) as T, given)
  const names = Object.keys(own)
  if (names.length === 0 && !isPlain(given)) throw new TypeError(`${what} must be an object with own properties.`)
  for (const name of names) {
    if (!Object.hasOwn(checks, name)) throw unknownMember(what, name, Object.keys(checks))
    const value = own[name as keyof T]
    if (value !== undefined) checkValue(`${what}: ${name}`, value, checks[name as keyof T])
  }
  return own
}

/** @throws TypeError if `check` does not accept `value` */
export function checkValue(what: string, value: unknown, { accepts, expected }: Check): void {
  if (!accepts(value)) throw new TypeError(`${what} must be ${expected}.`)
}

export const TEXT: Check = {
  expected: 'a non-empty string',
  accepts: value => typeof value === 'string' && value !== '',
}
export const FRACTION: Check = {
  expected: 'a number from 0 to 1',
  accepts: value => typeof value === 'number' && value >= 0 && value <= 1,
}
export const FUNCTION: Check = { expected: 'a function', accepts: value => typeof value === 'function' }
export const BOOLEAN: Check = { expected: 'true or false', accepts: value => typeof value === 'boolean' }
export const ARRAY: Check = { expected: 'an array', accepts: Array.isArray }
export const BOOLEAN_OR_IN_BODY: Check = {
  expected: "true, false or 'in-body'",
  accepts: value => typeof value === 'boolean' || value === 'in-body',
}
export const HEADERS: Check = {
  expected: 'an object of header names and their values, each a string or an array of strings',
  accepts: value => isObject(value) && !Array.isArray(value) && Object.entries(value).every(isHeader),
}
export const JSON_BODY: Check = {
  expected: 'text, bytes or a value that JSON can represent',
  accepts: value => typeof value === 'string' || value instanceof Uint8Array || isJson(value),
}
export const JSON_OBJECT: Check = {
  expected: 'an object that JSON can represent',
  accepts: value => isObject(value) && !Array.isArray(value) && isJson(value),
}

export function wholeNumber(min: number, max: number): Check {
  return {
    expected: max === Infinity ? `a whole number of at least ${min}` : `a whole number from ${min} to ${max}`,
    accepts: value => typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max,
  }
}

export function milliseconds(min: number, max: number): Check {
  return {
    expected: `a number of milliseconds from ${min} to ${max}`,
    accepts: value => typeof value === 'number' && value >= min && value <= max,
  }
}

/** Accepts an object whose members `names` all pass `check`. */
export function objectWith(expected: string, names: readonly string[], check: Check): Check {
  const accepts = (value: unknown): boolean =>
    (isObject(value) || typeof value === 'function') && names.every(name => check.accepts(Reflect.get(value, name)))
  return { expected, accepts }
}

function unknownMember(what: string, name: string, known: readonly string[]): TypeError {
  // The error repeats only a short plain name, because a secret may be in the wrong place.
  const shown = /^[A-Za-z_-]{1,24}$/.test(name) ? ` "${name}"` : ''
  const nearest = nearestName(name, known)
  const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`
  return new TypeError(`${what}: unknown option${shown}.${hint} Known options: ${known.join(', ')}.`)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Whether `value` is an object literal, also of another realm such as Jest's. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isHeader([name, value]: readonly [string, unknown]): boolean {
  try {
    http.validateHeaderName(name)
    for (const each of Array.isArray(value) ? value : [value]) {
      if (typeof each !== 'string') return false
      http.validateHeaderValue(name, each)
    }
    return true
  } catch {
    return false
  }
}

function isJson(value: unknown): boolean {
  try {
    return typeof JSON.stringify(value) === 'string'
  } catch {
    return false
  }
}

function describeType(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `of type ${typeof value}`
}
