import type { JWTPayload } from 'jose'
import { decodeJwt } from 'jose/jwt/decode'
import { bindContext } from '../core/async-context.js'
import { describeType } from '../core/describe-type.js'
import { VKitConfigError } from '../core/errors.js'
import { ownProperties } from '../core/own-properties.js'
import { sanitizeCause } from '../core/sanitize-cause.js'
import { isUnsetText } from '../core/unset-text.js'
import { SecretSource } from './secret-source.js'

/**
 * Returns the app secret, for secret managers and rotation. The client calls it for each mint, and its time counts
 * towards the deadline.
 *
 * It runs in the async context in which the client was created. It does not see the request that is being served,
 * because requests share mints. If you have several apps, create one client for each.
 */
export type SecretProvider = () => string | Promise<string>

const MAX_SECRET_BYTES = 8 * 1024

/**
 * Creates the source of the option `appSecret`. Without the option, it reads `readEnvironment` at the first call.
 * `assertSendable` throws for a secret that the client must not send to its endpoint.
 *
 * @throws VKitConfigError if the given string cannot be an app secret
 */
export function resolveSecret(
  given: unknown,
  readEnvironment: () => string | undefined,
  assertSendable: (secret: string) => void,
): SecretSource {
  // Every secret of a client passes this place before it is sent, also those after a rotation.
  const check = (secret: string): string => {
    assertSendable(secret)
    return secret
  }
  const from = (read: () => string | Promise<string>, rotates = false): SecretSource => {
    const readChecked = (): string | Promise<string> => {
      const secret = read()
      return typeof secret === 'string' ? check(secret) : secret.then(check)
    }
    return new SecretSource({ rotates, read: readChecked })
  }
  if (typeof given === 'function') {
    // Requests share mints, so a provider that reads the current request could return another tenant's secret.
    const provider = bindContext(given as SecretProvider)
    return from(() => callProvider(provider), true)
  }
  if (given === undefined) return from(() => checkEnvironment(readEnvironment()))
  const secret = checkSecret(given, 'appSecret')
  return from(() => secret)
}

/** Why a provider that depends on the current request fails here. */
const PROVIDER_CONTEXT = 'It runs in the context in which the client was created, and does not see the current request.'

async function callProvider(provider: SecretProvider): Promise<string> {
  let secret: unknown
  try {
    secret = await provider()
  } catch (error) {
    throw new VKitConfigError(
      `The app secret provider failed. Its own error is not shown, because it may contain the secret. ${PROVIDER_CONTEXT}`,
      { cause: sanitizeCause(error) },
    )
  }
  if (secret === undefined) throw new VKitConfigError(`The app secret provider returned undefined. ${PROVIDER_CONTEXT}`)
  return checkSecret(secret, 'The value that the app secret provider returned')
}

function checkEnvironment(secret: string | undefined): string {
  if (secret) return checkSecret(secret, 'VKIT_APP_SECRET')
  throw new VKitConfigError(
    'No app secret. Pass appSecret to VKitClient, or set VKIT_APP_SECRET (dashboard: Apps → Your App → API TOKEN).',
  )
}

function checkSecret(secret: unknown, what: string): string {
  if (typeof secret !== 'string') {
    const expected = `a string${what === 'appSecret' ? ' or a function' : ''}`
    throw new VKitConfigError(`${what} must be ${expected}, not ${describeType(secret)}.`)
  }
  const problem = findProblem(secret)
  if (problem !== undefined) throw new VKitConfigError(`${what} ${problem}.`)
  return secret
}

/** Why a string cannot be an app secret, as the end of a sentence. */
function findProblem(secret: string): string | undefined {
  if (secret === '') return 'is empty'
  if (isUnsetText(secret)) return 'is the string of a missing value, such as "undefined"'
  if (/^(["'`]).*\1$/s.test(secret)) return 'is in quotes: remove them'
  if (!isVisibleAscii(secret)) {
    return 'contains spaces, line breaks or characters outside ASCII: copy only the secret'
  }
  if (secret.length > MAX_SECRET_BYTES) return 'is longer than 8 KiB'
  if (isSessionToken(secret)) {
    return 'is a session token. Use the API TOKEN of your app (dashboard: Apps → Your App → API TOKEN)'
  }
  return undefined
}

/** Whether `secret` can be sent in a header unchanged: not empty, without spaces and characters outside ASCII. */
export function isVisibleAscii(secret: string): boolean {
  return /^[\x21-\x7e]+$/.test(secret)
}

/**
 * App secrets are JWTs with `role: "app"` and without `exp` (contract.md). A string that is not a JWT is not a session
 * token.
 */
export function isSessionToken(secret: string): boolean {
  const { exp, role } = claimsOf(secret)
  return exp !== undefined || (role !== undefined && role !== 'app')
}

/** Whether an emulator created this app secret: only these have the claim, and they are worth nothing elsewhere. */
export function isEmulatorSecret(secret: string): boolean {
  return claimsOf(secret)['vkit_emulator'] === true
}

/** The claims of a JWT, unverified; none of another string. */
function claimsOf(secret: string): JWTPayload {
  try {
    return ownProperties(decodeJwt(secret))
  } catch {
    return ownProperties({})
  }
}
