import { parseArgs, type ParseArgsConfig } from 'node:util'
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
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const name = /--[a-z][a-z-]{0,20}/.exec((error as Error).message)?.[0] ?? ''
    if (/secret|token|password|key/.test(name) && name !== '--secret-file') throw usageError(NO_SECRET_ARGUMENTS)
    if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') throw usageError(`Unknown option ${name}.`.replace(' .', '.'))
    throw usageError(`Invalid use of option ${name}.`.replace(' .', '.'))
  }
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
