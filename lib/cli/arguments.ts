import { parseArgs, type ParseArgsConfig } from 'node:util'
import { nearestName } from '../core/nearest-name.js'
import { environment } from '../options/environment.js'
import { usageError } from './exit-codes.js'

type Flags = NonNullable<ParseArgsConfig['options']>

export const COMMON_FLAGS = {
  help: { type: 'boolean', short: 'h' },
  'secret-file': { type: 'string' },
  'base-url': { type: 'string' },
} as const satisfies Flags

/** Parses `args` strictly. @throws CommandError that repeats only the plain name of a flag, never a value. */
export function parseFlags<const T extends Flags>(
  args: readonly string[],
  options: T,
): ReturnType<typeof parseArgs<{ options: T; allowPositionals: true; strict: true; args: string[] }>> {
  const config = { args: [...args], options, allowPositionals: true } as const
  // The errors of Node repeat what was given, which may be a secret.
  for (const token of parseArgs({ ...config, strict: false, tokens: true }).tokens) {
    const problem = token.kind === 'option' && problemOf(token, options)
    if (problem) throw usageError(problem)
  }
  return parseArgs({ ...config, strict: true })
}

interface Option {
  readonly name: string
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

function problemOf({ name, rawName, value, inlineValue }: Option, options: Flags): string | undefined {
  const type = Object.hasOwn(options, name) ? options[name]?.type : undefined
  if (type === undefined) return unknownOption(name, rawName, Object.keys(options))
  if (type === 'boolean') return value === undefined ? undefined : `${rawName} takes no value.`
  // A value that begins with a dash is more likely the next option.
  const isMissing = value === undefined || value === '' || (!inlineValue && /^-./.test(value))
  return isMissing ? `${rawName} needs a value.` : undefined
}

function unknownOption(name: string, rawName: string, known: readonly string[]): string {
  if (/secret|token|password|key/.test(name)) return NO_SECRET_ARGUMENTS
  if (!/^[a-zA-Z][a-z-]{0,20}$/.test(name)) return 'Unknown option.'
  const similar = known.find(each => name.length === 1 && each.startsWith(name)) ?? nearestName(name, known)
  const meant = similar ? `--${similar}` : /^v(ersion)?$/i.test(name) ? 'vkit --version' : undefined
  return `Unknown option ${rawName}.${meant ? ` Did you mean ${meant}?` : ''}`
}

const NO_SECRET_ARGUMENTS =
  'Secrets are not accepted as arguments: other users of this machine can see them, and the shell stores them. ' +
  'Use VKIT_APP_SECRET, --secret-file, or standard input with --secret-file -.'

/** @throws CommandError if an argument looks like a secret or a token; the error does not repeat it. */
export function refuseSecrets(args: readonly string[]): void {
  if (!args.some(looksLikeSecret)) return
  throw usageError(
    `An argument looks like a secret or a token, and was not used. ${NO_SECRET_ARGUMENTS} ` +
      'If it was your app secret, remove it from the shell history.',
  )
}

/** Whether `text` contains a JWT, as app secrets and session tokens are, or the secret of the environment. */
export function looksLikeSecret(text: string): boolean {
  const known = environment()['VKIT_APP_SECRET']
  if (known && known.length >= 8 && text.includes(known)) return true
  // A JWT has three parts with dots between them; the first is a base64url JSON object with `alg`.
  const parts = text.split('.')
  return parts.some((part, i) => i < parts.length - 2 && parts[i + 1] !== '' && endsWithJwtHeader(part))
}

function endsWithJwtHeader(part: string): boolean {
  // Other text may precede the header, as in `--secret=eyJ…`; `{` in base64url begins with `ew` or `ey`.
  const end = part.slice(-MAX_JWT_HEADER)
  return [...end.matchAll(/e[wy]/g)].some(({ index }) => isJwtHeader(end.slice(index)))
}

const MAX_JWT_HEADER = 1_024

function isJwtHeader(text: string): boolean {
  try {
    const header: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    return typeof header === 'object' && header !== null && 'alg' in header
  } catch {
    return false
  }
}

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses `90s`, `10m`, `1h` or `500ms` into milliseconds. A number without a unit is seconds. */
export function readDuration(text: string, flag: string): number {
  const [, amount, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? []
  const ms = Number(amount) * (UNITS[unit] ?? NaN)
  if (ms > 0 && ms < 2 ** 31) return ms
  throw usageError(`${flag} must be a duration such as 500ms, 90s, 10m or 1h, and at most 24 days.`)
}

export function readWhole(text: string, flag: string, [min, max]: readonly [number, number]): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN
  if (value >= min && value <= max) return value
  throw usageError(`${flag} must be a whole number from ${min} to ${max}.`)
}
